import assert from 'node:assert/strict';
import { type Entry, logIndex, memberId, term } from '#raft/log/entry.js';
import { AppliedState } from '#replica/driver/applied-state.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import { encodeStamped } from '#replica/requests/cluster-time.js';
import { LedgerMachine } from '#replica/testing/ledger-machine.js';

const start: AppliedMeta = {
  index: logIndex(1),
  term: term(1),
  time: 0,
  membership: {
    clusterId: 'test',
    incarnation: 'f1',
    confState: { voters: [memberId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    members: [],
    nextMemberId: memberId(2),
  },
};

function entry(index: number, time: number, text: string): Entry {
  const data = encodeStamped({ time, command: new TextEncoder().encode(text) });
  return { index: logIndex(index), term: term(1), type: 'normal', data };
}

function state() {
  const ledger = new LedgerMachine('first');
  const raft = { applyConfChange: () => start.membership.confState };
  const applied = new AppliedState<string>(ledger, raft, start);
  /** What came of each entry. */
  const apply = (...entries: readonly Entry[]): readonly string[] =>
    entries.map((each) => {
      const done = applied.apply(each);
      return done === undefined ? `${each.index} -` : `${done.index} ${done.output}`;
    });
  return { applied, ledger, apply };
}

describe('applied state', () => {
  it('applies commands in order, and passes entries that carry none', () => {
    const { applied, apply } = state();
    const seen = apply(entry(2, 10, 'a'), { ...entry(3, 0, ''), data: new Uint8Array() }, entry(4, 20, 'b'));
    assert.deepEqual(seen, ['2 1: a', '3 -', '4 2: b']);
    assert.equal(applied.time, 20);
    assert.throws(() => apply(entry(6, 30, 'c')), /entry 6 applied after 4/);
  });

  it('time never goes back, whatever a leader stamped', () => {
    const { ledger, apply } = state();
    apply(entry(2, 100, 'a'), entry(3, 40, 'b'), entry(4, 101, 'c'));
    assert.deepEqual(
      ledger.lines.map(({ time }) => time),
      [100, 100, 101],
    );
  });

  it('hands its changes over once, and only when the log is committed that far', () => {
    const { applied, apply } = state();
    apply(entry(2, 1, 'a'), entry(3, 2, 'b'));
    assert.equal(applied.take(logIndex(2)), undefined);
    assert.ok(applied.pendingBytes > 0);
    const taken = applied.take(logIndex(3));
    assert.deepEqual([taken?.meta.index, taken?.meta.time, taken?.changes.length], [3, 2, 2]);
    assert.deepEqual([applied.take(logIndex(3)), applied.pendingBytes, applied.pending], [undefined, 0, false]);
  });

  it('starts over from a snapshot: what was changed before is not stored any more', async () => {
    const { applied, ledger, apply } = state();
    apply(entry(2, 1, 'old'));
    async function* records() {
      yield [{ key: Uint8Array.of(0, 0, 0, 1), value: Buffer.from('new') }];
    }
    await applied.restore(records(), { ...start, index: logIndex(50), time: 500 });
    assert.deepEqual([applied.index, applied.time, applied.pending, ledger.text], [50, 500, false, '1 new']);
    apply(entry(51, 501, 'next'));
    assert.equal(applied.take(logIndex(51))?.changes.length, 1);
  });
});
