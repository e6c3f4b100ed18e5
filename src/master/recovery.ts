/**
 * A cluster that begins anew with the plan of one that is lost: from a backup, or from the store of one survivor. The
 * new cluster has an id of its own, one member, an index far beyond any that the old one can have reached, and is in
 * adoption: agents get back what they claim to hold, and no fresh block is allocated until an operator ends it.
 */
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ExpectedError } from '#errors/expected-error.js';
import { makeFolder } from '#files/make-folder.js';
import { decodeCommand } from '#ipam/codec/command-codec.js';
import { Ipam } from '#ipam/ipam.js';
import { existingStorePlace, storePlace } from '#master/store-place.js';
import { isConfChange } from '#raft/confchange/conf-change.js';
import { type LogIndex, logIndex, memberId, noMember, type Term, term } from '#raft/log/entry.js';
import { incarnationOf } from '#replica/bootstrap/incarnation.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { decodeStamped } from '#replica/requests/cluster-time.js';
import { ownAs, syncDirectory } from '#storage/files/directory.js';
import { openLevelStore } from '#storage/level-store.js';
import type { SnapshotFileContent } from '#storage/snapshots/snapshot-file.js';
import { formatPrincipal } from '#tls/principal.js';

/** How far the index jumps: no epoch and no revision that the old cluster ever sent is then valid by chance. */
export const indexJump = 2 ** 32;

/** The one member of the new cluster. */
export type NewCluster = {
  readonly name: string;
  /** HOST:PORT for its peers, once there are others again. */
  readonly peer: string;
  readonly clusterId: string;
};

/** A plan out of its cluster. */
export type PreviousState = {
  readonly clusterId: string;
  readonly index: LogIndex;
  readonly term: Term;
  /** Cluster time, in ms. */
  readonly time: number;
  readonly ipam: Ipam;
};

export type RecoveryReport = {
  readonly index: LogIndex;
  readonly agents: number;
  /** Where the survivor's old store is now. */
  readonly oldStore: string | undefined;
};

/** No cluster can be begun anew with what was given. Nothing was changed. */
export class RecoveryError extends ExpectedError {
  override readonly name = 'RecoveryError';
}

/** The plan of a backup. @throws RecordError, InvariantError when its records are no plan */
export function previousStateOf({ header, records }: SnapshotFileContent): PreviousState {
  const ipam = Ipam.restore(records.map(({ key, value }) => [key, value] as const));
  return {
    clusterId: header.clusterId,
    index: logIndex(header.index),
    term: term(header.term),
    time: header.time,
    ipam,
  };
}

/** Bootstraps a cluster with a plan, in a data directory that holds none. @throws RecoveryError, StoreError, FolderError */
export async function restoreCluster(
  dataDir: string,
  legacy: PreviousState,
  reborn: NewCluster,
): Promise<RecoveryReport> {
  const place = storePlace(dataDir);
  if (existsSync(place)) {
    throw new RecoveryError(
      `${place} holds a store already: restore into another data directory, or move it away first`,
    );
  }
  const made = await makeStore(dataDir, legacy, reborn);
  await ownAs(join(dataDir, newStore), dataDir);
  await rename(join(dataDir, newStore), place);
  await syncDirectory(dataDir);
  return { ...made, oldStore: undefined };
}

/** What a survivor's store says of itself, before anything is changed. */
export type Survivor = { readonly self: MemberInfo; readonly membership: Membership; readonly legacy: PreviousState };

/** @throws StoreError, NoStoreError; RecoveryError when the store holds no cluster */
export async function readSurvivor(dataDir: string): Promise<Survivor> {
  const place = existingStorePlace(dataDir);
  const store = await openLevelStore(place, { clock: systemClock });
  try {
    return await survivorIn(store, dataDir);
  } finally {
    await store.close();
    // LevelDB begins new files whenever it opens.
    await ownAs(place, place);
  }
}

/**
 * Reads the store of one survivor: the plan as stored, and everything that its log holds beyond. What is not known to
 * be committed is taken, too: some of it was acknowledged, and there is no way left to find out which. `place` is for
 * messages.
 * @throws StoreError; RecoveryError when it holds no cluster
 */
export async function survivorIn(
  store: Pick<LogStore, 'identity' | 'loaded' | 'records'>,
  place: string,
): Promise<Survivor> {
  const { applied, hardState } = store.loaded;
  if (applied === undefined || applied.index === 0) {
    throw new RecoveryError(`the store in ${place} holds no plan: it was never more than a master that waits to join`);
  }
  const self = applied.membership.members.find(({ id }) => id === store.identity.memberId);
  if (self === undefined) {
    throw new RecoveryError(
      `the store in ${place} is of a master that was removed from its cluster, which went on without it: recover from one that was a member to the end`,
    );
  }
  const { membership } = applied;
  const last = await replay(store, applied);
  const legacy = { ...last, clusterId: membership.clusterId, term: hardState?.term ?? last.term };
  return { self, membership, legacy };
}

/** Bootstraps a cluster in the survivor's place; its old store is kept beside it. @throws RecoveryError, NoStoreError, StoreError */
export async function recoverCluster(
  dataDir: string,
  { legacy }: Survivor,
  reborn: NewCluster,
  suffix: string,
): Promise<RecoveryReport> {
  const place = existingStorePlace(dataDir);
  const oldStore = join(dataDir, `sublet.lost-${suffix}`);
  if (existsSync(oldStore)) throw new RecoveryError(`${oldStore} exists already: move it away first`);
  const made = await makeStore(dataDir, legacy, reborn);
  await ownAs(join(dataDir, newStore), place);
  await rename(place, oldStore);
  await rename(join(dataDir, newStore), place);
  await syncDirectory(dataDir);
  return { ...made, oldStore };
}

const newStore = 'sublet.new';
/** Records written at a time. */
const recordsPerWrite = 1_000;

async function replay(
  store: Pick<LogStore, 'loaded' | 'records'>,
  applied: AppliedMeta,
): Promise<Omit<PreviousState, 'clusterId'>> {
  const restoration = Ipam.restoration();
  for await (const batch of store.records()) for (const { key, value } of batch) restoration.add(key, value);
  const ipam = restoration.finish();
  let { index, term: at, time } = applied;
  for (const entry of store.loaded.entries) {
    if (entry.index <= applied.index) continue;
    index = entry.index;
    at = entry.term;
    if (isConfChange(entry.type) || entry.data.byteLength === 0) continue;
    const stamped = decodeStamped(entry.data);
    time = Math.max(time, stamped.time);
    ipam.apply(decodeCommand(stamped.command), { index, time });
  }
  return { index, term: at, time, ipam };
}

/** Writes the new cluster's first state beside what is there; a crash leaves nothing but that. */
async function makeStore(
  dataDir: string,
  legacy: PreviousState,
  { name, peer, clusterId }: NewCluster,
): Promise<Pick<RecoveryReport, 'index' | 'agents'>> {
  if (clusterId === legacy.clusterId) {
    throw new RecoveryError(
      `the new cluster can not be named ${clusterId} again: masters of the old one must not mix with it`,
    );
  }
  const place = join(dataDir, newStore);
  makeFolder(dataDir);
  await rm(place, { recursive: true, force: true });
  const store = await openLevelStore(place, { clock: systemClock });
  try {
    return await writeFirstState(store, legacy, { name, peer, clusterId }, Date.now());
  } finally {
    await store.close();
  }
}

/** Puts the new cluster's first state, with the adoption begun, into an empty store. Changes the legacy's plan. */
export async function writeFirstState(
  store: LogStore,
  legacy: PreviousState,
  { name, peer, clusterId }: NewCluster,
  wallTime: number,
): Promise<Pick<RecoveryReport, 'index' | 'agents'>> {
  const { ipam, time } = legacy;
  const index = logIndex(legacy.index + indexJump);
  const by = 'sublet snapshot';
  // A master that was removed once is the one to begin with now.
  const identity = formatPrincipal({ role: 'master', id: name });
  if (ipam.revocation(identity)?.cause === 'removal') {
    const lift = { kind: 'unrevoke-identity', identity, cause: 'removal', acceptedFrom: undefined } as const;
    ipam.apply({ ...lift, by, wallTime }, { index: logIndex(index - 1), time });
  }
  ipam.apply({ kind: 'begin-adoption', by, wallTime }, { index, time });
  const id = memberId(1);
  const self: MemberInfo = { id, name, peer, storeId: store.identity.storeId };
  const empty = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const alone = { confState: { ...empty, voters: [id] }, members: [self], nextMemberId: memberId(2) };
  const membership = { clusterId, incarnation: incarnationOf([self]), ...alone };
  const meta = { index, term: term(legacy.term + 1), time, membership };
  const sink = await store.stageSnapshot(meta);
  const records: StateRecord[] = ipam.records().map(([key, value]) => ({ key, value }));
  for (let at = 0; at < records.length; at += recordsPerWrite) {
    await sink.append(records.slice(at, at + recordsPerWrite));
  }
  await store.write({ install: await sink.finish(), hardState: { term: meta.term, vote: noMember, commit: index } });
  return { index, agents: ipam.agentCount };
}
