/** What a set of runs must have met at least once: branches that are easy to miss, and without which little is proven. */
import { type FaultKind, faultKinds } from '#cluster-test/simulation/faults/profile.js';

/** Kinds that last from beginning to end. */
const steady: readonly FaultKind[] = [
  ...(['loss', 'duplication', 'reordering', 'delay', 'late-snapshot', 'clock-rate', 'snapshots'] as const),
  ...(['storage-crash', 'disk-error', 'read-error', 'slow-disk'] as const),
];

const branches: readonly string[] = [
  // Consensus: where one rule alone keeps it safe.
  'mark: a longer log of an older term got no vote',
  'mark: a shorter log of a newer term got a vote',
  'mark: a snapshot came that was older than the state',
  'mark: conflicting entries replaced',
  'mark: elected with entries that are not committed yet',
  'mark: entries came again, and more was there behind them',
  'mark: in a joint configuration only the new majority had an entry',
  'mark: in a joint configuration only the old majority had an entry',
  'mark: joint configuration applied',
  'mark: membership applied',
  'mark: membership change asked for while one was under way',
  'mark: read at a leader before its first commit in office',
  'mark: read at a leader when another led already',
  'mark: told of less than is committed, since it lags',
  'snapshots installed',
  'snapshots that broke off',
  'linearizable reads',
  // Disks and machines.
  'crashes at a storage step',
  'disk full errors',
  'disk read errors',
  'failed writes whose data was gone',
  'failed writes whose data was there',
  'mark: disk hangs noticed',
  'mark: leader with a hanging disk hands over',
  'mark: leader without space hands over',
  'mark: pause noticed',
  'masters ended by their disk',
  'stores refused',
  'stores put back',
  'clusters put back',
  'tails lost',
  'writes in flight that landed',
  'writes in flight that were lost',
  'writes in flight that were torn',
  'writes that hung',
  // Members.
  'members removed',
  'members that joined',
  'membership: promote',
  'membership: remove',
  'membership: replace',
  'wiped members refused',
  'clusters that began anew',
  // The plan and its agents.
  'hosts cloned: other-address',
  'hosts cloned: running',
  'hosts cloned: same-address',
  'leases that expired',
  'mark: a data plane went down at the end of its lease',
  'mark: address space exhausted',
  'mark: adopted blocks',
  'mark: an adoption began on a proof',
  'mark: an agent was told of a lost branch',
  'mark: blocks given back',
  'mark: blocks granted again after quarantine',
  'mark: a copy of a host was refused',
  'operator: end-adoption',
  'refused: aborted',
  'refused: already-exists',
  'reinstalled hosts',
  'takeovers',
];

/** Kinds that come as events of their own; the others show in what became of messages and writes. */
const events = faultKinds.filter((kind) => !steady.includes(kind)).map((kind) => `fault: ${kind}`);
const messages = [
  'messages doubled',
  'messages held up',
  'messages lost',
  'messages that overtook',
  'snapshots offered late',
];

export const marks: readonly string[] = [...branches, ...events, ...messages];

/** The marks that no run has hit. */
export function missedMarks(counts: ReadonlyMap<string, number>): readonly string[] {
  return marks.filter((mark) => (counts.get(mark) ?? 0) === 0);
}

export function addCounts(total: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [what, count] of more) total.set(what, (total.get(what) ?? 0) + count);
}
