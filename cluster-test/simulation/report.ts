/** What came of a set of seeds: a line for each, and at the end what they met, how fast, and what they never met. */
import { addCounts, missedMarks } from '#cluster-test/simulation/checks/marks.js';
import type { SimulationResult } from '#cluster-test/simulation/simulation.js';

/** One seed's run, as a process tells of it. */
export type SeedLine = Omit<SimulationResult, 'violation' | 'counts'> & {
  readonly violation: string | undefined;
  readonly counts: readonly (readonly [string, number])[];
  readonly advice: readonly string[];
};

/** With so many seeds none of the marks is missed by chance. */
const marksSeedsMin = 1000;

export class Report {
  readonly #beganMs = performance.now();
  readonly #counts = new Map<string, number>();
  #seeds = 0;
  #events = 0;
  #simulatedMs = 0;
  failed = 0;

  get seeds(): number {
    return this.#seeds;
  }

  /** By `marks.ts`: what all these seeds never met. */
  get missed(): readonly string[] {
    return missedMarks(this.#counts);
  }

  /** Something was never met, and that is not for want of seeds. */
  get marksMissing(): boolean {
    return this.#seeds >= marksSeedsMin && this.missed.length > 0;
  }

  add({ seed, traceHash, events, simulatedMs, faults, violation, counts, advice }: SeedLine): void {
    this.#seeds += 1;
    this.#events += events;
    this.#simulatedMs += simulatedMs;
    addCounts(this.#counts, new Map(counts));
    const outcome = violation === undefined ? 'ok' : `FAILED ${violation}`;
    const minutes = (simulatedMs / 60_000).toFixed(1);
    console.log(`seed ${seed}: trace ${traceHash}, ${events} events, ${minutes} min [${faults.join(' ')}] ${outcome}`);
    if (violation !== undefined) this.failed += 1;
    for (const line of advice) console.log(`  ${line}`);
  }

  /** `anything`: the seeds could bring whatever there is, so that what they never met is worth a word. */
  text({ anything }: { readonly anything: boolean }): string {
    const seconds = (performance.now() - this.#beganMs) / 1000;
    const counts = [...this.#counts]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([what, count]) => `${String(count).padStart(9)}  ${what}`);
    const hours = (this.#simulatedMs / 3_600_000).toFixed(2);
    const speed = `${(this.#seeds / seconds).toFixed(2)} seeds/s, ${Math.round(this.#events / seconds)} events/s`;
    const crashes = this.#sum('crashes', 'crashes at a storage step');
    const changes = this.#sum(...[...this.#counts.keys()].filter((what) => what.startsWith('membership: ')));
    const few = this.#seeds < marksSeedsMin ? ` (which ${this.#seeds} seeds may miss by chance)` : '';
    return [
      '',
      ...counts,
      ...(anything && this.missed.length > 0 ? [`never met${few}: ${this.missed.join('; ')}`] : []),
      `${hours} simulated hours: ${this.#sum('elections')} elections, ${crashes} crashes, ` +
        `${this.#sum('snapshots installed')} snapshots installed, ${changes} membership changes`,
      `${this.#seeds} seeds in ${seconds.toFixed(1)} s: ${speed}; ${this.failed} failed`,
    ].join('\n');
  }

  #sum(...what: readonly string[]): number {
    return what.reduce((sum, one) => sum + (this.#counts.get(one) ?? 0), 0);
  }
}
