/** How many agents arrived and departed lately, by the history of the masters. */
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { milliseconds } from '#cli/words.js';
import {
  agentFlow,
  agentWords,
  type FlowEntry,
  flowSpanMinMs,
  flowWords,
  type HistoryFlow,
} from '#ipam/space/agent-flow.js';
import { formatTime } from '#text/duration.js';

/** Entries of one call: the most that a master answers. */
const pageLimit = 1_000;
/** The history has 10,000 changes of agents and 10,000 of operators; beyond that it grows as it is read. */
const pagesMax = 30;

/** @param windowMs how far back. @throws Failure where the history is too short */
export async function historyFlow(client: MasterClient, windowMs: number, now: number): Promise<HistoryFlow> {
  const flow = agentFlow(await entriesSince(client, now - windowMs), windowMs, now);
  if (flow !== undefined && flow.spanMs >= flowSpanMinMs) return flow;
  const found = flow === undefined ? 'has no agent that came or went' : `covers ${formatTime(flow.spanMs)}`;
  throw new Failure(exitCodes.refused, `the history ${found}: a forecast needs at least 1d of it`, [
    'Give the rates: sublet plan --arrivals 20/day --departures 5/day',
  ]);
}

/** Those since `begin`, and one at least of an agent before it where there is one. */
async function entriesSince(client: MasterClient, begin: number): Promise<readonly FlowEntry[]> {
  const entries: FlowEntry[] = [];
  let beforeRevision = 0;
  for (let page = 0; page < pagesMax; page++) {
    const request = { what: [...flowWords], limit: pageLimit, beforeRevision };
    const found = (await client.call(operatorService.listHistory, request, { idempotent: true })).entries;
    entries.push(
      ...found.map(({ what, detail, time }) => ({
        what: what ?? '',
        detail: detail ?? '',
        wallTime: milliseconds(time) ?? 0,
      })),
    );
    // Entries of operators are kept longer, and say nothing of how far the others go back.
    if (entries.some(({ what, wallTime }) => agentWords.some((word) => word === what) && wallTime < begin)) break;
    if (found.length < pageLimit) break;
    beforeRevision = Math.min(...found.map(({ revision }) => revision ?? 0));
  }
  return entries;
}
