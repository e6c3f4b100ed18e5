/** What a set of runs must have met at least once: branches that are easy to miss, and without which little is proven. */

export const marks: readonly string[] = [
  'mark: address space exhausted',
  'mark: blocks given back',
  'mark: blocks let again after quarantine',
  'mark: a data plane went down at the end of its lease',
  'mark: membership applied',
  'mark: joint configuration applied',
  'mark: disk hangs noticed',
  'mark: leader with a hanging disk hands over',
  'mark: leader without space hands over',
  'mark: pause noticed',
  'mark: conflicting entries replaced',
  'snapshots installed',
  'snapshots that broke off',
  'crashes at a storage step',
  'masters ended by their disk',
  'disk full errors',
  'disk read errors',
  'fault: clock-leap',
  'clusters that began anew',
  'operator: end-adoption',
  'mark: adopted blocks',
  'wiped members refused',
  'members removed',
  'members that joined',
  'membership: replace',
  'takeovers',
  'reinstalled hosts',
  'refused: aborted',
  'refused: already-exists',
  'linearizable reads',
];

/** The marks that no run has hit. */
export function missedMarks(counts: ReadonlyMap<string, number>): readonly string[] {
  return marks.filter((mark) => (counts.get(mark) ?? 0) === 0);
}

export function addCounts(total: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [what, count] of more) total.set(what, (total.get(what) ?? 0) + count);
}
