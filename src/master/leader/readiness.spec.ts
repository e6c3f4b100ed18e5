import assert from 'node:assert/strict';
import type { LeaderView, SeatChange } from '#master/leader/leadership.js';
import { Readiness } from '#master/leader/readiness.js';
import { type LogIndex, logIndex, memberId } from '#raft/log/entry.js';
import { ProposeError, type ProposeErrorCode } from '#replica/ports/replicated-log.js';
import { idleStatus, noMembership } from '#replica/replica-status.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const one = { id: memberId(1), name: 'm1', peer: 'm1:1', storeId: '1' };
const leader = { id: memberId(2), name: 'm2', peer: 'm2:1', storeId: '2' };
const none: LeaderView = { kind: 'none' };
const follows: LeaderView = { kind: 'member', member: leader };
const space = { freeBytes: undefined, neededBytes: 0, problem: undefined };
const behind = /^this master has not caught up with its leader, m2: it has applied 7, and knows that 9 is committed$/;

type Question = { readonly resolve: (index: LogIndex) => void; readonly reject: (error: Error) => void };

/** A master whose log answers when the spec says so. */
function scene() {
  const time = new VirtualTime();
  const questions: Question[] = [];
  const unforeseen: unknown[] = [];
  const state: { seat: LeaderView; closed: string | undefined; changes: number } = {
    seat: none,
    closed: undefined,
    changes: 0,
  };
  let tell: (change: SeatChange) => void = () => undefined;
  const readiness = new Readiness({
    log: {
      readBarrier: () => new Promise((resolve, reject) => questions.push({ resolve, reject })),
      status: () => ({
        ...idleStatus(one, noMembership('test'), space),
        appliedIndex: logIndex(7),
        commitIndex: logIndex(9),
      }),
    },
    leadership: {
      get seat() {
        return state.seat;
      },
      onChange: (listener) => {
        tell = listener;
        return () => undefined;
      },
    },
    clock: time,
    closed: () => state.closed,
    changed: () => {
      state.changes += 1;
    },
    report: (error) => unforeseen.push(error),
  });
  const sit = (seat: LeaderView): void => {
    state.seat = seat;
    tell({ seat, paused: false });
  };
  /** The answer to the one question that is open. */
  const answer = async (with_: ProposeErrorCode | 'read' | 'bug'): Promise<void> => {
    const [question, ...more] = questions.splice(0);
    assert.ok(question !== undefined && more.length === 0, 'one question is open');
    if (with_ === 'read') question.resolve(logIndex(9));
    else question.reject(with_ === 'bug' ? new Error('bug') : new ProposeError(with_, with_));
    await time.runFor(0);
  };
  return { readiness, time, state, questions, unforeseen, sit, answer };
}

describe('a master is ready', () => {
  it('when it follows a leader and has applied what was committed when it came', async () => {
    const { readiness, state, questions, sit, answer } = scene();
    assert.equal(readiness.why(), 'the masters have no leader that this one knows of');
    assert.equal(questions.length, 0, 'there is nobody to ask');
    sit(follows);
    assert.match(readiness.why() ?? '', behind);
    const { changes } = state;
    await answer('read');
    assert.equal(readiness.why(), undefined);
    assert.equal(state.changes, changes + 1);
  });

  it('not while it fetches what it lacks, however long that takes', async () => {
    const { readiness, time, sit, answer } = scene();
    sit(follows);
    for (let round = 0; round < 5; round += 1) {
      await answer('timeout');
      assert.match(readiness.why() ?? '', behind);
      await time.runFor(500);
    }
    await answer('read');
    assert.equal(readiness.why(), undefined);
  });

  it('and stays so through a lag that is shorter than a read waits, but not through a longer one', async () => {
    const { readiness, time, questions, sit, answer } = scene();
    sit(follows);
    await answer('read');
    await time.runFor(4000);
    assert.equal(questions.length, 0);
    await time.runFor(2000);
    assert.equal(questions.length, 1, 'it asks again');
    assert.equal(readiness.why(), undefined, 'and is ready meanwhile');
    await answer('overloaded');
    assert.equal(readiness.why(), undefined, 'which says nothing of its lag');
    await time.runFor(500);
    await answer('timeout');
    assert.match(readiness.why() ?? '', behind);
  });

  it('not on the word of a time before it lost its leader', async () => {
    const { readiness, time, sit, answer } = scene();
    sit(follows);
    await answer('read');
    sit(none);
    assert.match(readiness.why() ?? '', /no leader/);
    await time.runFor(60_000);
    await answer('not-leader');
    sit(follows);
    assert.match(readiness.why() ?? '', behind);
    await time.runFor(500);
    await answer('read');
    assert.equal(readiness.why(), undefined);
  });

  it('as a leader that knows the state, and not before', () => {
    const { readiness, sit } = scene();
    sit({ kind: 'elect' });
    assert.match(readiness.why() ?? '', /just been elected/);
    sit({ kind: 'here' });
    assert.equal(readiness.why(), undefined);
  });

  it('not while its plan is not loaded, or when it stops', async () => {
    const { readiness, state, sit, answer } = scene();
    state.closed = 'this master is starting';
    sit(follows);
    await answer('read');
    assert.equal(readiness.why(), 'this master is starting');
  });

  it('and reports errors that were not expected', async () => {
    const { readiness, unforeseen, sit, answer } = scene();
    sit(follows);
    await answer('bug');
    assert.equal(unforeseen.length, 1);
    assert.match(readiness.why() ?? '', behind);
  });
});
