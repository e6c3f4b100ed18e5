import assert from 'node:assert/strict';
import { chown, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requires, root } from '#cluster-test/requirement.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import { Ipam } from '#ipam/ipam.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import { readSurvivor, recoverCluster, restoreCluster, survivorIn, writeFirstState } from '#master/recovery.js';
import { type Entry, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { AppliedMeta, MemberInfo } from '#replica/ports/membership.js';
import { noMembership } from '#replica/replica-status.js';
import { encodeStamped } from '#replica/requests/cluster-time.js';
import { MemoryLogDisk, MemoryLogStore } from '#replica/testing/memory-log-store.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

type Store = Pick<LogStore, 'identity' | 'loaded' | 'records'>;

/** The store of member 1, as `applied` has it. */
function store(applied: AppliedMeta | undefined): Store {
  const session = { starts: 1, nonces: ['00000001'] };
  const compacted = { index: applied?.index ?? logIndex(0), term: applied?.term ?? term(0) };
  return {
    identity: { storeId: 'a'.repeat(32), clusterId: 'one', memberId: memberId(1), session },
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

  it('is none that never held a plan, and none that was removed: each gets the reason', async () => {
    for (const empty of [undefined, applied(0, [1])]) {
      await assert.rejects(
        survivorIn(store(empty), 'there'),
        /in there holds no plan: it was never more than a master/,
      );
    }
    await assert.rejects(survivorIn(store(applied(7, [2, 3])), 'there'), {
      name: 'RecoveryError',
      message: /in there is of a master that was removed/,
    });
  });

  /** A plan with agent `a1`; and, in the log only, `b2`, after an entry without a command. */
  function withTail(): { readonly store: Store; readonly plan: PlanUnderTest } {
    const plan = new PlanUnderTest();
    plan.register('a1');
    for (const [identity, cause] of [
      ['agent/a1', 'operator'],
      ['master/m1', 'removal'],
      ['master/m3', 'removal'],
    ] as const) {
      plan.run({ kind: 'revoke-identity', identity, cause, release: false });
    }
    const index = plan.index;
    const command = encodeCommand({ wallTime: 0, by: '', ...plan.request('b2') });
    const tail = [new Uint8Array(0), encodeStamped({ time: 5000, command })].map(
      (data, at): Entry => ({ index: logIndex(index + 1 + at), term: term(2), type: 'normal', data }),
    );
    const held = store(applied(index, [1]));
    const hardState = { term: term(6), vote: noMember, commit: logIndex(index) };
    const records = plan.ipam.records().map(([key, value]) => ({ key, value }));
    return {
      plan,
      store: {
        ...held,
        loaded: { ...held.loaded, hardState, entries: tail },
        async *records() {
          yield records;
        },
      },
    };
  }

  it('gives what its log holds beyond its state, too, and the newest term that it knows', async () => {
    const { store, plan } = withTail();
    const { legacy } = await survivorIn(store, 'there');
    assert.deepEqual([legacy.index, legacy.term, legacy.time], [plan.index + 2, 6, 5000]);
    assert.equal(legacy.ipam.agentCount, 2);
  });

  it('begins a cluster of one whose indexes, and with them all epochs, are beyond all that was answered before', async () => {
    const { store, plan } = withTail();
    const { legacy } = await survivorIn(store, 'there');
    const time = new VirtualTime();
    const disk = new MemoryLogDisk('f'.repeat(32));
    const fresh = new MemoryLogStore(disk, (delayMs, run) => time.after(delayMs, run));
    const reborn = { name: 'm1', peer: 'm1:7071', clusterId: 'two' };
    const { index, agents } = await time.until(writeFirstState(fresh, legacy, reborn, 0), 1000);
    assert.deepEqual([index, agents], [plan.index + 2 + 2 ** 32, 2]);
    const { applied: state, hardState, records } = disk.content;
    assert.deepEqual([state?.index, state?.term, state?.time, hardState?.commit], [index, 7, 5000, index]);
    assert.deepEqual(state?.membership.confState.voters, [1]);
    const begun = Ipam.restore([...records.values()].map(({ key, value }) => [key, value] as const));
    assert.ok(begun.adoption);
    assert.deepEqual(
      begun.revocations().map(({ identity }) => identity),
      ['agent/a1', 'master/m3'],
      'row 37: what was revoked stays so, but for the master that it begins with',
    );
    assert.deepEqual(
      [...begun.leases()].map(({ epoch }) => epoch),
      [index, index],
    );
  });
});

describe('a store that root makes for a service', () => {
  /** As systemd's DynamicUser gives them out; no other user has it. */
  const service = 61_184;
  let dataDir = '';

  before(function () {
    requires(this, root);
  });
  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'sublet-rebirth-'));
    await chown(dataDir, service, service);
  });
  afterEach(() => rm(dataDir, { recursive: true, force: true }));

  async function owners(): Promise<readonly number[]> {
    const names = await readdir(dataDir, { recursive: true });
    assert.ok(names.length > 5);
    const found = await Promise.all(names.map(async (name) => (await stat(join(dataDir, name))).uid));
    return [...new Set(found)];
  }

  it('is that service’s, restored, looked at and recovered', async () => {
    const plan = new PlanUnderTest();
    const legacy = { clusterId: 'one', index: logIndex(plan.index), term: term(1), time: 0, ipam: plan.ipam };
    await restoreCluster(dataDir, legacy, { name: 'm1', peer: 'm1:7071', clusterId: 'two' });
    assert.deepEqual(await owners(), [service]);
    const survivor = await readSurvivor(dataDir);
    assert.deepEqual(await owners(), [service]);
    await recoverCluster(dataDir, survivor, { name: 'm1', peer: 'm1:7071', clusterId: 'three' }, 'then');
    assert.deepEqual(await owners(), [service]);
  });
});
