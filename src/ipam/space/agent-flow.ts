/** How many agents arrived and departed in a length of time, by the history of the plan. */
import type { HistoryEntry, HistoryWord } from '#ipam/view/history.js';

export type HistoryFlow = {
  readonly arrivals: number;
  readonly departures: number;
  /** The length of time in which they were, ms: what was asked for, or less where the history does not go back so far. */
  readonly spanMs: number;
  /** Arrivals of the second half of that time. */
  readonly lateArrivals: number;
};

export type FlowEntry = Pick<HistoryEntry, 'what' | 'detail' | 'wallTime'>;

/** Less history than asked for begins with its oldest entry of these. Those of operators are kept longer. */
export const agentWords: readonly HistoryWord[] = ['register', 'leave', 'expire'];
const departures: readonly HistoryWord[] = ['leave', 'expire', 'release', 'replace-agent'];
/** The entries that say how many arrived and departed. */
export const flowWords: readonly HistoryWord[] = [...new Set([...agentWords, ...departures])];
/** Less of the history says nothing of the days to come, ms. */
export const flowSpanMinMs = 86_400_000;

/** `entries` in any order, as far back as there are any. Undefined: no agent came or went. */
export function agentFlow(entries: readonly FlowEntry[], windowMs: number, now: number): HistoryFlow | undefined {
  const ofAgents = entries.filter(({ what }) => isOneOf(agentWords, what));
  if (ofAgents.length === 0) return undefined;
  const oldest = ofAgents.reduce((least, { wallTime }) => Math.min(least, wallTime), Number.POSITIVE_INFINITY);
  const spanMs = Math.min(windowMs, now - oldest);
  const arrivals = entries.filter((entry) => entry.wallTime >= now - spanMs && isArrival(entry));
  return {
    arrivals: arrivals.length,
    departures: entries.filter(({ what, wallTime }) => wallTime >= now - spanMs && isOneOf(departures, what)).length,
    spanMs,
    lateArrivals: arrivals.filter(({ wallTime }) => wallTime >= now - spanMs / 2).length,
  };
}

/** An agent that holds nothing so far: a new one, or one that comes back. */
function isArrival({ what, detail }: FlowEntry): boolean {
  return what === 'register' && /^(?:arrived|returned)\b/.test(detail);
}

function isOneOf(words: readonly HistoryWord[], what: string): boolean {
  return words.some((word) => word === what);
}
