import assert from 'node:assert/strict';
import { survivorIn } from '#master/rebirth.js';
import { logIndex, memberId, term } from '#raft/entry.js';
import type { LogStore } from '#replica/log-store.js';
import type { AppliedMeta, MemberInfo } from '#replica/membership.js';
import { noMembership } from '#replica/replica-status.js';

type Store = Pick<LogStore, 'identity' | 'loaded' | 'records'>;

/** The store of member 1, as `applied` has it. */
function store(applied: AppliedMeta | undefined): Store {
  const compacted = { index: applied?.index ?? logIndex(0), term: applied?.term ?? term(0) };
  return {
    identity: { storeId: 'a'.repeat(32), clusterId: 'one', memberId: memberId(1) },
    loaded: { hardState: undefined, entries: [], compacted, applied },
    async *records() {},
  };
}

function applied(index: number, ids: readonly number[]): AppliedMeta {
  const members = ids.map(
    (id): MemberInfo => ({ id: memberId(id), name: `m${id}`, peer: `m${id}:7071`, storeId: `${id}`.repeat(32) }),
  );
  return { index: logIndex(index), term: term(1), time: 0, membership: { ...noMembership('one'), members } };
}

describe('a survivor that a cluster begins anew from', () => {
  it('is a member that holds a plan', async () => {
    const { self, legacy } = await survivorIn(store(applied(7, [1, 2])), 'there');
    assert.deepEqual([self.name, legacy.index, legacy.clusterId], ['m1', 7, 'one']);
  });

  it('is none that never held a plan, and none that was removed: each is told what it is', async () => {
    for (const empty of [undefined, applied(0, [1])]) {
      await assert.rejects(
        survivorIn(store(empty), 'there'),
        /in there holds no plan: it was never more than a master/,
      );
    }
    await assert.rejects(survivorIn(store(applied(7, [2, 3])), 'there'), /in there is of a master that was removed/);
  });
});
