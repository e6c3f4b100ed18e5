/** Values for specs of the store: a membership, entries, records, and what a store holds as plain data. */
import { type Entry, type HardState, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { DiskSpace } from '#storage/files/disk-space.js';
import type { StoreDisk } from '#storage/key-value-log-store.js';
import { HandClock } from '#storage/testing/hand-clock.js';
import type { MemoryDisk } from '#storage/testing/memory-disk.js';

export const sampleStoreId = '0123456789abcdef0123456789abcdef';
export const sampleNonce = '5e551011';
export const self = memberId(1);

export function membership(storeId = sampleStoreId): Membership {
  return {
    clusterId: 'sample',
    incarnation: 'f1',
    confState: { voters: [self], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
    members: [{ id: self, name: 'm1', peer: '127.0.0.1:7071', storeId }],
    nextMemberId: memberId(2),
  };
}

const sampleMembership = membership();

export function meta(index: number, atTerm = 1, of: Membership = sampleMembership): AppliedMeta {
  return { index: logIndex(index), term: term(atTerm), time: index * 10, membership: of };
}

/** Entries `from` to `to`, both included, with data made of term and index. */
export function sampleEntries(from: number, to: number, atTerm = 1, dataBytes = 20): readonly Entry[] {
  return Array.from({ length: to - from + 1 }, (_, at) => ({
    term: term(atTerm),
    index: logIndex(from + at),
    type: 'normal' as const,
    data: Buffer.alloc(dataBytes, `${atTerm}/${from + at} `),
  }));
}

export function hardState(atTerm: number, commit: number, vote = 0): HardState {
  return { term: term(atTerm), vote: vote === 0 ? noMember : memberId(vote), commit: logIndex(commit) };
}

export function record(key: string, value: string): StateRecord {
  return { key: Buffer.from(key), value: Buffer.from(value) };
}

/** Everything a store gives back, comparable. */
export async function contentOf(store: LogStore) {
  const { loaded } = store;
  const records: (readonly [string, string])[] = [];
  for await (const batch of store.records()) {
    for (const { key, value } of batch) records.push([Buffer.from(key).toString(), Buffer.from(value).toString()]);
  }
  return {
    hardState: loaded.hardState,
    compacted: loaded.compacted,
    applied: loaded.applied,
    log: loaded.entries.map((entry) => `${entry.term}/${entry.index}`),
    records,
  };
}

const roomy: DiskSpace = {
  check: async () => undefined,
  space: () => ({ freeBytes: undefined, neededBytes: 0, problem: undefined }),
};

export function memoryStoreDisk(disk: MemoryDisk, clock = new HandClock()): StoreDisk {
  return {
    place: '/memory',
    identityFile: disk.identityFile(),
    openBackend: async () => disk.backend(),
    space: roomy,
    clock,
    newStoreId: () => sampleStoreId,
    newNonce: () => sampleNonce,
  };
}

/** Waits until `condition` holds, a turn of the event loop at a time. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const turnsMax = 20_000;
  for (let turn = 0; turn < turnsMax; turn++) {
    if (await condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never came to be: ${what}`);
}
