/** Lengths of time as people write them: `24h`, `15m`, `30s`, `500ms`, `7d`, `1h30m`. Inside they are whole milliseconds. */

const unitMs: Readonly<Record<string, number>> = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };

/** The milliseconds of `1h30m`; undefined for anything else, and for more than a safe integer. */
export function parseDuration(text: string): number | undefined {
  if (!/^(?:[0-9]{1,9}(?:ms|[dhms]))+$/.test(text)) return undefined;
  let total = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const [, count, unit] of text.matchAll(/([0-9]+)(ms|[dhms])/g)) {
    const size = unitMs[unit ?? ''] ?? 0;
    // `30m1h` and `1h1h` are typos, not durations.
    if (size >= smallest) return undefined;
    smallest = size;
    total += Number(count) * size;
  }
  return Number.isSafeInteger(total) ? total : undefined;
}

/** The shortest text for a length: 5400000 → `1h30m`, 0 → `0s`. At most `parts` units, the rest cut off. */
export function formatDuration(ms: number, parts = 5): string {
  if (ms < 0) return `-${formatDuration(-ms, parts)}`;
  let left = Math.floor(ms);
  const out: string[] = [];
  for (const [unit, size] of Object.entries(unitMs)) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0) out.push(`${count}${unit}`);
  }
  return out.length === 0 ? '0s' : out.slice(0, parts).join('');
}

/**
 * A measured length for prose, rounded to what a reader needs: `12ms`, `1.1s`, `45s`, `14m57s`, `1d2h`. A configured
 * length is written exactly, with `formatDuration`.
 */
export function formatTime(ms: number): string {
  const past = Math.max(0, ms);
  if (past < 999.5) return `${Math.round(past)}ms`;
  if (past < 10_000) return `${Number((past / 1_000).toFixed(1))}s`;
  return formatDuration(Math.round(past / 1_000) * 1_000, 2);
}
