import assert from 'node:assert/strict';
import { logIndex } from '#raft/log/entry.js';
import { Inflights } from '#raft/tracker/inflights.js';
import { Progress } from '#raft/tracker/progress.js';

const unlimited = Number.POSITIVE_INFINITY;

function progressAt(match: number, next: number, messagesMax = 3): Progress {
  const limits = { messagesMax, bytesMax: unlimited };
  return new Progress({ match: logIndex(match), next: logIndex(next), learner: false, limits });
}

describe('the window of appends under way', () => {
  it('is full at its number of messages, and has room again when they are answered', () => {
    const window = new Inflights({ messagesMax: 2, bytesMax: unlimited });
    window.add(logIndex(3), 1);
    assert.equal(window.full, false);
    window.add(logIndex(5), 1);
    assert.equal(window.full, true);
    window.freeTo(logIndex(4));
    assert.deepEqual([window.count, window.full], [1, false]);
  });

  it('is full at its number of bytes, which the last message may exceed', () => {
    const window = new Inflights({ messagesMax: 100, bytesMax: 10 });
    window.add(logIndex(1), 9);
    assert.equal(window.full, false);
    window.add(logIndex(2), 9);
    assert.equal(window.full, true);
    window.freeTo(logIndex(1));
    assert.equal(window.full, false);
  });

  it('counts right over a long time', () => {
    const window = new Inflights({ messagesMax: 1_000, bytesMax: unlimited });
    for (let index = 1; index <= 5_000; index += 1) {
      window.add(logIndex(index), 1);
      window.freeTo(logIndex(Math.max(0, index - 100)));
      assert.equal(window.count, Math.min(index, 100));
    }
    window.freeTo(logIndex(5_000));
    assert.equal(window.count, 0);
  });
});

describe('a peer that is probed', () => {
  it('pauses after entries, not after an empty append', () => {
    const progress = progressAt(0, 5);
    progress.sent(0, 0);
    assert.equal(progress.paused, false);
    progress.sent(2, 10);
    assert.equal(progress.paused, true);
    assert.equal(progress.next, 5);
  });

  it('steps back to the hint on a rejection, but never below what matches', () => {
    const progress = progressAt(3, 10);
    progress.flowPaused = true;
    progress.sentCommit = logIndex(9);
    assert.equal(progress.reject(logIndex(9), logIndex(6)), true);
    assert.deepEqual([progress.next, progress.paused, progress.sentCommit], [7, false, 6]);
    assert.equal(progress.reject(logIndex(6), logIndex(1)), true);
    assert.equal(progress.next, 4);
  });

  it('never steps past what was rejected', () => {
    const progress = progressAt(0, 5);
    assert.equal(progress.reject(logIndex(4), logIndex(90)), true);
    assert.equal(progress.next, 4);
  });

  it('ignores the rejection of an earlier probe', () => {
    const progress = progressAt(0, 10);
    progress.flowPaused = true;
    assert.equal(progress.reject(logIndex(7), logIndex(2)), false);
    assert.deepEqual([progress.next, progress.paused], [10, true]);
  });
});

describe('a peer that is replicated to', () => {
  function replicating(match: number): Progress {
    const progress = progressAt(match, match + 1, 2);
    progress.becomeReplicate();
    return progress;
  }

  it('runs ahead until the window is full', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    assert.deepEqual([progress.next, progress.paused], [8, false]);
    progress.sent(1, 10);
    assert.deepEqual([progress.next, progress.paused], [9, true]);
  });

  it('is paused by an empty append while the window is full', () => {
    const progress = replicating(4);
    progress.sent(1, 1);
    progress.sent(1, 1);
    progress.flowPaused = false;
    progress.sent(0, 0);
    assert.equal(progress.paused, true);
  });

  it('goes back to probing after the last match on a rejection, whatever the hint', () => {
    const progress = replicating(4);
    progress.sent(3, 10);
    progress.sentCommit = logIndex(7);
    assert.equal(progress.reject(logIndex(6), logIndex(1)), true);
    assert.deepEqual([progress.state, progress.next, progress.sentCommit], ['probe', 5, 4]);
    assert.equal(progress.inflights.count, 0);
  });

  it('ignores the rejection of what has matched since', () => {
    const progress = replicating(4);
    assert.equal(progress.reject(logIndex(4), logIndex(1)), false);
    assert.equal(progress.state, 'replicate');
  });
});

describe('a peer that gets a snapshot', () => {
  it('is paused, and probed behind the snapshot afterwards', () => {
    const progress = progressAt(3, 9);
    progress.becomeSnapshot(logIndex(20));
    assert.deepEqual([progress.paused, progress.next, progress.sentCommit], [true, 21, 20]);
    progress.becomeProbe();
    assert.deepEqual([progress.paused, progress.next, progress.pendingSnapshot], [false, 21, 0]);
  });
});

describe('an empty append that only carries the commit index', () => {
  it('is of use if the peer has entries that it could commit by it', () => {
    const progress = progressAt(5, 8);
    progress.sentCommit = logIndex(5);
    assert.equal(progress.canBumpCommit(logIndex(5)), false, 'it knows that already');
    assert.equal(progress.canBumpCommit(logIndex(6)), true);
    progress.sentCommit = logIndex(7);
    assert.equal(progress.canBumpCommit(logIndex(9)), false, 'all that it has was committed by an earlier one');
  });
});
