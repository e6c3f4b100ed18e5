/** Reads single figures from a process's /metrics page (Prometheus text format). */

/** The sum of all samples of the metric `name`, whatever their labels. */
export async function metric(http: string, name: string): Promise<number> {
  const text = await (await fetch(`http://${http}/metrics`)).text();
  const samples = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)`, 'gm'))];
  if (samples.length === 0) throw new Error(`${http} has no metric ${name}`);
  return samples.reduce((sum, [, value]) => sum + Number(value), 0);
}
