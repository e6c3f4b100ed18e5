/** What every `LogStore` does, as long as its disk works. */
import assert from 'node:assert/strict';
import { type Entry, type HardState, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { RecordChange, StateRecord } from '#replica/ports/state-machine.js';

/** `reopen` closes the store, and opens what is durable again. */
export type ContractLogStore = { readonly store: LogStore; readonly reopen: () => Promise<LogStore> };

const self = memberId(1);

/** `make` gives an empty one, of a member that has no cluster. */
export function logStoreContract(make: () => Promise<Subject<ContractLogStore>>): readonly ContractCase[] {
  const storeCase = (name: string, check: (subject: ContractLogStore) => Promise<void>): ContractCase =>
    contractCase(make, name, check);
  return [
    storeCase('is empty at first, and has an id', async ({ store }) => {
      const { storeId, clusterId, memberId: member } = store.identity;
      assert.match(storeId, /^[0-9a-f]{32}$/);
      assert.deepEqual([clusterId, member], [undefined, undefined]);
      const { hardState: first, entries: log, compacted, applied } = store.loaded;
      assert.deepEqual([first, log, compacted, applied], [undefined, [], { index: 0, term: 0 }, undefined]);
      assert.equal(store.peerFacts.size, 0);
      assert.deepEqual(await recordsOf(store), []);
    }),
    storeCase('counts its openings, each with a nonce of its own', async ({ store, reopen }) => {
      const sessions = [store.identity.session, (await reopen()).identity.session, (await reopen()).identity.session];
      assert.deepEqual(
        sessions.map(({ starts }) => starts),
        [1, 2, 3],
      );
      const nonces = sessions.map(({ nonces: [newest] }) => newest);
      assert.equal(new Set(nonces).size, 3, nonces.join());
      assert.deepEqual(sessions[2]?.nonces, [...nonces].reverse());
    }),
    storeCase('begins as a founder: with state, membership and hard state', async ({ store, reopen }) => {
      const first = meta(store, 1);
      await store.bootstrap(self, first);
      assert.equal(store.loaded.applied, undefined, 'what was loaded does not change');
      const { identity, loaded } = await reopen();
      assert.deepEqual([identity.storeId, identity.clusterId, identity.memberId], [store.identity.storeId, 'c', self]);
      assert.deepEqual(loaded.hardState, hardState(1, 1));
      assert.deepEqual(loaded.compacted, { index: 1, term: 1 });
      assert.deepEqual([loaded.applied, loaded.entries], [first, []]);
    }),
    storeCase('knows its member and cluster from the first state on', async ({ store }) => {
      await store.bootstrap(self, meta(store, 1));
      assert.deepEqual([store.identity.clusterId, store.identity.memberId], ['c', self]);
    }),
    storeCase('begins as a member that joins: without hard state', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      const { loaded } = await reopen();
      assert.deepEqual([loaded.hardState, loaded.applied], [undefined, meta(store, 0, 0)]);
    }),
    storeCase('keeps entries and hard state, and replaces what follows a conflict', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({ hardState: hardState(1, 0, 1), entries: entries(1, 5) });
      await store.write({ entries: entries(6, 7) });
      await store.write({ hardState: hardState(2, 3), entries: entries(4, 5, 2) });
      const { loaded } = await reopen();
      assert.deepEqual(loaded.hardState, hardState(2, 3));
      assert.deepEqual(texts(loaded.entries), texts([...entries(1, 3), ...entries(4, 5, 2)]));
    }),
    storeCase('keeps the records of the newest applied state, ascending by key', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({ hardState: hardState(1, 4), entries: entries(1, 4) });
      const [high, low] = [Uint8Array.of(0xff, 1), Uint8Array.of(0, 1)];
      await store.write({ applied: { meta: meta(store, 2), changes: [change('b', '1'), { key: high, value: low }] } });
      const changes = [change('a', '2'), change('b'), change('c', ''), { key: low, value: high }];
      await store.write({ applied: { meta: meta(store, 4), changes } });
      const expected = ['0001=ff01', `${hex('a')}=${hex('2')}`, `${hex('c')}=`, 'ff01=0001'];
      assert.deepEqual(await recordsOf(store), expected);
      const again = await reopen();
      assert.deepEqual(again.loaded.applied, meta(store, 4));
      assert.deepEqual(await recordsOf(again), expected);
    }),
    storeCase('writes entries, hard state and applied records at once', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({
        hardState: hardState(3, 2, 1),
        entries: entries(1, 3, 3),
        applied: { meta: meta(store, 2, 3), changes: [change('a', '1')] },
      });
      const again = await reopen();
      assert.deepEqual(again.loaded.hardState, hardState(3, 2, 1));
      assert.deepEqual(texts(again.loaded.entries), texts(entries(1, 3, 3)));
      assert.deepEqual(again.loaded.applied, meta(store, 2, 3));
      assert.deepEqual(await recordsOf(again), [`${hex('a')}=${hex('1')}`]);
    }),
    storeCase('forgets the entries that are compacted, and goes on after them', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({ hardState: hardState(1, 6), entries: entries(1, 6) });
      await store.write({ applied: { meta: meta(store, 5), changes: [] } });
      await store.compact(logIndex(4));
      await store.write({ entries: entries(7, 8) });
      const { loaded } = await reopen();
      assert.deepEqual(loaded.compacted, { index: 4, term: 1 });
      assert.deepEqual(texts(loaded.entries), texts(entries(5, 8)));
    }),
    storeCase('opens snapshots that keep what there was, in chunks as asked for', async ({ store }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({ hardState: hardState(1, 9), entries: entries(1, 9) });
      const names = ['a', 'b', 'c', 'd', 'e'];
      const changes = names.map((name) => change(name, name === 'c' ? name.repeat(40) : name.repeat(9)));
      await store.write({ applied: { meta: meta(store, 5), changes } });
      const snapshot = await store.openSnapshot();
      await store.write({ applied: { meta: meta(store, 9), changes: [change('a'), change('b', 'new')] } });
      assert.deepEqual(snapshot.meta, meta(store, 5));
      const chunks: string[][] = [];
      for await (const chunk of snapshot.chunks(20)) chunks.push(chunk.map(({ key }) => Buffer.from(key).toString()));
      // 10 bytes each, and one of 41.
      assert.deepEqual(chunks, [['a', 'b'], ['c'], ['d', 'e']]);
      await snapshot.close();
      assert.equal((await recordsOf(store)).length, 4);
    }),
    storeCase('installs a snapshot in place of its state and log', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      await store.write({
        hardState: hardState(1, 2),
        entries: entries(1, 3),
        applied: { meta: meta(store, 2), changes: [change('old', '1'), change('both', '1')] },
      });
      const sink = await store.stageSnapshot(meta(store, 20, 4));
      await sink.append([record('a', '1'), record('both', '2')]);
      await sink.append([record('c', '3')]);
      assert.equal((await recordsOf(store)).length, 2, 'what is received is apart until it is installed');
      const install = await sink.finish();
      await store.write({ install, hardState: hardState(4, 20), entries: entries(21, 22, 4) });
      await sink.abort();
      const expected = ['a=1', 'both=2', 'c=3'].map((pair) => pair.split('=').map(hex).join('='));
      assert.deepEqual(await recordsOf(store), expected);
      const again = await reopen();
      assert.deepEqual(again.loaded.applied, meta(store, 20, 4));
      assert.deepEqual(again.loaded.compacted, { index: 20, term: 4 });
      assert.deepEqual(texts(again.loaded.entries), texts(entries(21, 22, 4)));
      assert.deepEqual(again.loaded.hardState, hardState(4, 20));
      assert.deepEqual(await recordsOf(again), expected);
    }),
    storeCase('keeps nothing of a snapshot that was given up', async ({ store, reopen }) => {
      await store.bootstrap(self, meta(store, 0, 0));
      const changes = [change('a', '1')];
      await store.write({
        hardState: hardState(1, 1),
        entries: entries(1, 1),
        applied: { meta: meta(store, 1), changes },
      });
      const sink = await store.stageSnapshot(meta(store, 20, 4));
      await sink.append([record('b', '2')]);
      await sink.abort();
      const again = await reopen();
      assert.deepEqual(again.loaded.applied, meta(store, 1));
      assert.deepEqual(await recordsOf(again), [`${hex('a')}=${hex('1')}`]);
    }),
    storeCase('keeps the facts about the stores of peers when it is closed', async ({ store, reopen }) => {
      const [one, two] = ['1'.repeat(32), '2'.repeat(32)];
      const fact = { starts: 3, nonce: '0123abcd', term: 4, index: 5 };
      await store.bootstrap(self, meta(store, 0, 0));
      store.keepPeerFacts(new Map([[one, fact]]));
      store.keepPeerFacts(new Map([[two, { ...fact, index: 6 }]]));
      assert.equal(store.peerFacts.size, 0, 'what was loaded does not change');
      assert.deepEqual([...(await reopen()).peerFacts], [[two, { ...fact, index: 6 }]]);
    }),
  ];
}

function meta(store: LogStore, index: number, atTerm = 1): AppliedMeta {
  const member = { id: self, name: 'm1', peer: '127.0.0.1:7071', storeId: store.identity.storeId };
  const confState = { voters: [self], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const cluster = { clusterId: 'c', incarnation: 'f1' };
  const membership = { ...cluster, confState, members: [member], nextMemberId: memberId(2) };
  return { index: logIndex(index), term: term(atTerm), time: index * 10, membership };
}

function hardState(atTerm: number, commit: number, vote = 0): HardState {
  return { term: term(atTerm), vote: vote === 0 ? noMember : memberId(vote), commit: logIndex(commit) };
}

/** Entries `from` to `to`, both included. */
function entries(from: number, to: number, atTerm = 1): readonly Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    term: term(atTerm),
    index: logIndex(from + at),
    type: 'normal' as const,
    data: new Uint8Array(Buffer.from(`${atTerm}/${from + at}`)),
  }));
}

function texts(of: readonly Entry[]): readonly string[] {
  return of.map((entry) => `${entry.term}/${entry.index} ${entry.type} ${Buffer.from(entry.data)}`);
}

function record(key: string, value: string): StateRecord {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}

function change(key: string, value?: string): RecordChange {
  return { key: Buffer.from(key), value: value === undefined ? undefined : Buffer.from(value) };
}

function hex(of: Uint8Array | string): string {
  return Buffer.from(of).toString('hex');
}

/** `key=value`, in hexadecimal digits, in the order in which they come. */
async function recordsOf(store: LogStore): Promise<readonly string[]> {
  const records: string[] = [];
  for await (const batch of store.records()) {
    records.push(...batch.map(({ key, value }) => `${hex(key)}=${hex(value)}`));
  }
  return records;
}
