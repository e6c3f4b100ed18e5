/** What every `AgentStore` does: the state directory, and the one in memory that stands for it. */
import assert from 'node:assert/strict';
import { leaseOf } from '#agent/lease/lease.js';
import { type PeerPicture, PeerTable } from '#agent/peers/peer-table.js';
import type { AgentStore, LeaseRecord } from '#agent/state/store.js';
import { grant, snapshot } from '#agent/testing/fake-masters.js';
import { sublet } from '#proto/sublet.js';

export type ContractAgentStore = {
  readonly store: AgentStore;
  /** Opens what is durable, as the next process does. */
  readonly reopen: () => Promise<AgentStore>;
  /** Has each write fail from now on. */
  readonly breakDisk: () => void;
};

export type AgentStoreCase = { readonly name: string; readonly check: (subject: ContractAgentStore) => Promise<void> };

const lease = leaseOf(grant({ agentId: 'a', instanceId: 'i', nodeIp: '10.0.0.1' }));
const record: LeaseRecord = { lease, term: { bootId: 'boot', heardAtMs: 12.5, ttlMs: 60_000 } };

/** Each case takes an empty store. */
export const agentStoreContract: readonly AgentStoreCase[] = [
  {
    name: 'has an instance and nothing else at first',
    check: async ({ store }) => {
      assert.notEqual(store.identity.instanceId, '');
      assert.deepEqual([store.identity.sequence, store.identity.formerClusterIds], [0, []]);
      assert.deepEqual([store.lease, store.peers], [undefined, undefined]);
    },
  },
  {
    name: 'keeps its identity, and has the new one at once',
    check: async ({ store, reopen }) => {
      const identity = { ...store.identity, sequence: 7, formerClusterIds: ['c2', 'c1'] };
      store.saveIdentity(identity);
      assert.deepEqual(store.identity, identity);
      assert.deepEqual((await reopen()).identity, identity);
    },
  },
  {
    name: 'keeps the newest lease, with all that stands beside it',
    check: async ({ store, reopen }) => {
      store.saveLease(record);
      const newest = { ...record, leaving: true, seen: { revision: 12, branch: 'b' } };
      store.saveLease(newest);
      assert.deepEqual({ ...(await reopen()).lease }, newest);
    },
  },
  {
    name: 'forgets a lease, also where there is none',
    check: async ({ store, reopen }) => {
      store.saveLease(undefined);
      store.saveLease(record);
      store.saveLease(undefined);
      assert.equal((await reopen()).lease, undefined);
    },
  },
  {
    name: 'keeps the newest peers',
    check: async ({ store, reopen }) => {
      await store.savePeers(pictureAt(100));
      await store.savePeers(pictureAt(101));
      assert.deepEqual((await reopen()).peers, pictureAt(101));
    },
  },
  {
    name: 'says when it could not write, and keeps what it had',
    check: async ({ store, reopen, breakDisk }) => {
      const before = { ...store.identity, sequence: 3 };
      store.saveIdentity(before);
      store.saveLease(record);
      await store.savePeers(pictureAt(100));
      breakDisk();
      assert.throws(() => store.saveIdentity({ ...before, sequence: 4 }));
      assert.throws(() => store.saveLease({ lease: { ...lease, epoch: 8 } }));
      await assert.rejects(store.savePeers(pictureAt(101)));
      assert.deepEqual(store.identity, before);
      const again = await reopen();
      assert.deepEqual(again.identity, before);
      assert.deepEqual([again.lease?.lease, again.peers], [lease, pictureAt(100)]);
    },
  },
];

function pictureAt(revision: number): PeerPicture {
  const table = new PeerTable('a');
  const { WatchResponse } = sublet.v1;
  for (const message of snapshot(revision)) table.take(WatchResponse.decode(WatchResponse.encode(message).finish()));
  return table.picture ?? assert.fail('the table is not whole');
}
