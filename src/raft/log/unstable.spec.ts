import assert from 'node:assert/strict';
import { InvariantError } from '#errors/invariant.js';
import { logIndex, term } from '#raft/log/entry.js';
import { Unstable } from '#raft/log/unstable.js';
import { confState, entries } from '#raft/testing/core-member.js';

/** Unstable entries from 5 on, of these terms. */
function unstableOf(...terms: readonly number[]): Unstable {
  const unstable = new Unstable(logIndex(5));
  unstable.truncateAndAppend(entries(terms, 5));
  return unstable;
}

function stable(unstable: Unstable, index: number, ofTerm: number): void {
  unstable.stableTo(logIndex(index), term(ofTerm));
}

function nextIndexes(unstable: Unstable): readonly number[] {
  return unstable.nextEntries().map(({ index }) => index);
}

describe('an acknowledgement of stable entries', () => {
  it('drops entries up to it', () => {
    const unstable = unstableOf(1, 1, 2);
    stable(unstable, 6, 1);
    assert.equal(unstable.offset, 7);
    assert.equal(unstable.lastIndex(), 7);
    stable(unstable, 7, 2);
    assert.equal(unstable.lastIndex(), undefined);
    assert.equal(unstable.hasEntries, false);
  });

  it('drops nothing if the entry there has another term: it was overwritten meanwhile', () => {
    const unstable = unstableOf(1, 1, 2);
    stable(unstable, 6, 2);
    stable(unstable, 7, 1);
    assert.equal(unstable.offset, 5);
  });

  it('drops nothing for what is not here', () => {
    const unstable = unstableOf(1);
    stable(unstable, 4, 1);
    stable(unstable, 6, 1);
    assert.equal(unstable.offset, 5);
  });
});

describe('unstable entries', () => {
  it('are handed out once', () => {
    const unstable = unstableOf(1, 1);
    assert.deepEqual(nextIndexes(unstable), [5, 6]);
    unstable.acceptInProgress();
    assert.deepEqual(nextIndexes(unstable), []);
    unstable.truncateAndAppend(entries([1], 7));
    assert.deepEqual(nextIndexes(unstable), [7]);
    stable(unstable, 6, 1);
    assert.deepEqual(nextIndexes(unstable), [7]);
  });

  it('are not handed out when they turn out stable before', () => {
    const unstable = unstableOf(1, 1, 1);
    stable(unstable, 5, 1);
    assert.deepEqual(nextIndexes(unstable), [6, 7]);
  });

  it('are handed out again from where they were replaced', () => {
    const unstable = unstableOf(1, 1, 1);
    unstable.acceptInProgress();
    unstable.truncateAndAppend(entries([2, 2], 6));
    assert.deepEqual(nextIndexes(unstable), [6, 7]);
    assert.equal(unstable.term(logIndex(5)), 1);
    assert.equal(unstable.term(logIndex(6)), 2);
  });

  it('are replaced whole by entries that start at or before them', () => {
    const unstable = unstableOf(1, 1);
    unstable.acceptInProgress();
    unstable.truncateAndAppend(entries([3], 3));
    assert.equal(unstable.offset, 3);
    assert.deepEqual(nextIndexes(unstable), [3]);
    assert.equal(unstable.lastIndex(), 3);
  });

  it('that were handed out do not change with what comes later', () => {
    const unstable = unstableOf(1, 1);
    const handedOut = unstable.nextEntries();
    const sliced = unstable.slice(logIndex(5), logIndex(7));
    unstable.truncateAndAppend(entries([2], 6));
    unstable.truncateAndAppend(entries([2], 7));
    assert.deepEqual([...handedOut], entries([1, 1], 5));
    assert.deepEqual([...sliced], entries([1, 1], 5));
  });

  it('leave no gap', () => {
    assert.throws(() => unstableOf(1).truncateAndAppend(entries([1], 7)), InvariantError);
  });
});

describe('an unstable snapshot', () => {
  const snapshot = { index: logIndex(9), term: term(3), confState: confState([1]) };

  it('replaces all entries, is handed out once, and goes when it is stable', () => {
    const unstable = unstableOf(1, 1);
    unstable.restore(snapshot);
    assert.equal(unstable.lastIndex(), 9);
    assert.equal(unstable.term(logIndex(9)), 3);
    assert.equal(unstable.nextSnapshot(), snapshot);
    unstable.acceptInProgress();
    assert.equal(unstable.nextSnapshot(), undefined);
    assert.equal(unstable.snapshot, snapshot);
    unstable.stableSnapshotTo(logIndex(9));
    assert.equal(unstable.snapshot, undefined);
  });

  it('stays when an older one turns out stable', () => {
    const unstable = unstableOf();
    unstable.restore(snapshot);
    unstable.stableSnapshotTo(logIndex(8));
    assert.equal(unstable.snapshot, snapshot);
  });
});
