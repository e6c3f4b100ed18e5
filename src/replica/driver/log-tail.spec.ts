import assert from 'node:assert/strict';
import { InvariantError } from '#errors/invariant.js';
import { type Entry, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import { LogTail } from '#replica/driver/log-tail.js';
import type { AppliedMeta } from '#replica/ports/membership.js';

function meta(index: number, inTerm = 1): AppliedMeta {
  const confState = { voters: [memberId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const membership = { clusterId: 'test', incarnation: 'f1', confState, members: [], nextMemberId: memberId(2) };
  return { index: logIndex(index), term: term(inTerm), time: 0, membership };
}

function entries(from: number, to: number, inTerm = 1): Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    term: term(inTerm),
    index: logIndex(from + at),
    type: 'normal' as const,
    data: new Uint8Array(10),
  }));
}

/** Compacted up to 4, with entries 5 to 9, applied up to 7. */
function tail(): LogTail {
  return new LogTail({
    hardState: { term: term(1), vote: noMember, commit: logIndex(7) },
    compacted: { index: logIndex(4), term: term(1) },
    entries: entries(5, 9),
    applied: meta(7),
  });
}

function indexes(log: LogTail): readonly number[] {
  return log
    .entries(log.firstIndex(), logIndex(log.lastIndex() + 1), Number.POSITIVE_INFINITY)
    .map(({ index }) => index);
}

describe('the tail of the log', () => {
  it('holds what is stored, and the term of what was compacted last', () => {
    const log = tail();
    assert.deepEqual(indexes(log), [5, 6, 7, 8, 9]);
    assert.deepEqual(
      [3, 4, 5, 9, 10].map((index) => log.term(logIndex(index))),
      [undefined, 1, 1, 1, undefined],
    );
    assert.throws(() => log.entries(logIndex(4), logIndex(6), 1000), InvariantError);
    assert.throws(() => log.entries(logIndex(5), logIndex(11), 1000), InvariantError);
  });

  it('replaces what is there from the first new entry on, and takes none that leaves a gap', () => {
    const log = tail();
    log.append(entries(8, 8, 2));
    assert.deepEqual(indexes(log), [5, 6, 7, 8]);
    assert.equal(log.term(logIndex(8)), 2);
    assert.throws(() => log.append(entries(10, 10, 2)), InvariantError);
  });

  it('offers the state that is stored as a snapshot, also right after one was installed', () => {
    const log = tail();
    assert.equal(log.snapshot()?.index, 7);
    log.persist(meta(8));
    assert.equal(log.snapshot()?.index, 8);
    log.install(meta(20, 3));
    assert.deepEqual([log.snapshot()?.index, log.snapshot()?.term, log.persisted.index], [20, 3, 20]);
    assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(logIndex(20))], [21, 20, 3]);
    assert.deepEqual(indexes(log), []);
  });

  it('is compacted up to the stored state at most', () => {
    const log = tail();
    log.compact(logIndex(6));
    assert.deepEqual(indexes(log), [7, 8, 9]);
    assert.equal(log.term(logIndex(6)), 1);
    assert.throws(() => log.compact(logIndex(8)), InvariantError);
  });
});
