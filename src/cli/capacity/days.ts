/** Lengths of days, for people. */
import { count } from '#cli/words.js';
import { formatDuration } from '#text/duration.js';

const dayMs = 86_400_000;

/** `in about 23 days`, `in about 3.5 days`, `in about 5h`, `now`. */
export function inDays(ms: number): string {
  if (ms === 0) return 'now';
  if (ms < 2 * dayMs) return `in about ${formatDuration(Math.max(ms, 60_000), 1)}`;
  const days = ms / dayMs;
  return `in about ${days < 10 ? Number(days.toFixed(1)) : count(Math.round(days))} days`;
}

export function spanText(ms: number): string {
  const days = ms / dayMs;
  return days < 10 ? `${Number(days.toFixed(1))} days` : `${Math.round(days)} days`;
}
