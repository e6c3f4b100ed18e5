/** How many agents arrived and departed lately, by the history of the plan. */
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { milliseconds } from '#cli/words.js';
import type { HistoryWord } from '#ipam/view/history.js';
import type { sublet } from '#proto/sublet.js';
import { formatTime } from '#text/duration.js';

export type HistoryFlow = {
  readonly arrivals: number;
  readonly departures: number;
  /** The length of time in which they were, ms. */
  readonly spanMs: number;
};

type Entry = sublet.v1.HistoryEntry.$Properties;

/** Entries of one call: the most that a master answers. */
const pageLimit = 1_000;
/** The history has 10,000 changes of agents and 10,000 of operators; beyond that it grows as it is read. */
const pagesMax = 30;
const spanMinMs = 86_400_000;
/** Less history than asked for begins with its oldest entry of these. Those of operators are kept longer. */
const ofAgents: readonly HistoryWord[] = ['register', 'leave', 'expire'];
const departures: readonly HistoryWord[] = ['leave', 'expire', 'release', 'replace-agent'];

/** @param windowMs how far back. @throws Failure where the history is too short */
export async function historyFlow(client: MasterClient, windowMs: number, now: number): Promise<HistoryFlow> {
  const begin = now - windowMs;
  const { entries, whole } = await entriesSince(client, begin);
  const oldest = Math.min(...entries.filter(({ what }) => isOneOf(ofAgents, what)).map(timeOf));
  const spanMs = whole ? windowMs : now - Math.max(begin, oldest);
  if (!(spanMs >= spanMinMs)) {
    const found = Number.isFinite(spanMs) ? `covers ${formatTime(spanMs)}` : 'has no agent that came or went';
    throw new Failure(exitCodes.refused, `the history ${found}: a forecast needs at least 1d of it`, [
      'Give the rates: sublet plan --arrivals 20/day --departures 5/day',
    ]);
  }
  const within = entries.filter((entry) => timeOf(entry) >= now - spanMs);
  return {
    arrivals: within.filter(isArrival).length,
    departures: within.filter(({ what }) => isOneOf(departures, what)).length,
    spanMs,
  };
}

/** `whole`: the history goes back to `begin`. */
async function entriesSince(
  client: MasterClient,
  begin: number,
): Promise<{ readonly entries: readonly Entry[]; readonly whole: boolean }> {
  const entries: Entry[] = [];
  let beforeRevision = 0;
  for (let page = 0; page < pagesMax; page++) {
    const request = { what: [...new Set([...ofAgents, ...departures])], limit: pageLimit, beforeRevision };
    const found = (await client.call(operatorService.listHistory, request, { idempotent: true })).entries;
    entries.push(...found);
    // Entries of operators are kept longer, and say nothing of how far the others go back.
    if (found.some((entry) => isOneOf(ofAgents, entry.what) && timeOf(entry) < begin)) return { entries, whole: true };
    if (found.length < pageLimit) break;
    beforeRevision = Math.min(...found.map(({ revision }) => revision ?? 0));
  }
  return { entries, whole: false };
}

/** An agent that holds nothing so far: a new one, or one that comes back. */
function isArrival({ what, detail }: Entry): boolean {
  return what === 'register' && /^(?:arrived|returned)\b/.test(detail ?? '');
}

function isOneOf(words: readonly HistoryWord[], what: string | null | undefined): boolean {
  return words.some((word) => word === what);
}

function timeOf({ time }: Entry): number {
  return milliseconds(time) ?? 0;
}
