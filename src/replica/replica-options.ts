/** What a replica is made of and bounded by. Everything it touches of the world comes in here. */

import type { CompactionLimits } from '#replica/compaction.js';
import type { StorageWriterLimits } from '#replica/driver/storage-writer.js';
import type { MovedMember } from '#replica/members/moved-members.js';
import type { Clock, Defer } from '#replica/ports/clock.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { Founder, PeerNetwork } from '#replica/ports/peer-network.js';
import type { StateMachine } from '#replica/ports/state-machine.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import type { LaterCommands } from '#replica/requests/command-kinds.js';
import type { ProposalLimits } from '#replica/requests/proposals.js';
import type { ReadBarrierLimits } from '#replica/requests/read-barriers.js';
import { formatDuration } from '#text/duration.js';
import { clusterIdForm, memberNameForm } from '#text/name-form.js';
import { formatSize } from '#text/size.js';

export type ReplicaTiming = {
  /** Between two heartbeats of a leader, 1 ms or more. */
  readonly heartbeatMs: number;
  /**
   * A member that has not heard from a leader for this long, up to twice as long, campaigns: at least 5 ×
   * `heartbeatMs`.
   */
  readonly electionMs: number;
};

/** Counts, bytes and ms as the names end; all are checked by `checkLimits`. */
export type ReplicaLimits = {
  readonly proposals: ProposalLimits;
  readonly reads: ReadBarrierLimits;
  readonly writes: StorageWriterLimits;
  readonly compaction: CompactionLimits;
  /** Bytes of entries proposed and not yet committed. */
  readonly uncommittedBytesMax: number;
  /** Append messages, and bytes of entries, under way to one peer; bytes of entries in one message. */
  readonly appendsInFlightMax: number;
  readonly appendBytesInFlightMax: number;
  readonly appendBytesMax: number;
  /** Bytes of committed entries applied in one step. */
  readonly applyBytesPerStepMax: number;
  /**
   * Applied changes that are not stored yet: beyond so many bytes, or after so many ms, they are written without a log
   * write.
   */
  readonly unsavedBytesMax: number;
  readonly flushAfterMs: number;
  /** Snapshots streamed to followers at a time. */
  readonly snapshotSendsMax: number;
};

const kibi = 1024;
const mebi = 1024 * kibi;

/** Peers call one that was away once a second at least. */
export const defaultAloneMs = 1500;

export const defaultReplicaTiming: ReplicaTiming = { heartbeatMs: 100, electionMs: 1000 };

export const defaultReplicaLimits: ReplicaLimits = {
  proposals: {
    commandBytesMax: mebi,
    queuedMax: 16_384,
    queuedBytesMax: 16 * mebi,
    perBatchMax: 1024,
    bytesPerBatchMax: mebi,
    underWayMax: 16_384,
  },
  reads: { waitingMax: 65_536, timeoutMs: 5000, retryMs: 500 },
  writes: { entriesPerWriteMax: 8192, bytesPerWriteMax: 4 * mebi, queuedMax: 4096 },
  compaction: { entriesKept: 10_000, entriesKeptForPeersMax: 100_000, compactionStep: 1000 },
  uncommittedBytesMax: 16 * mebi,
  appendsInFlightMax: 256,
  appendBytesInFlightMax: 16 * mebi,
  appendBytesMax: 2 * mebi,
  applyBytesPerStepMax: 256 * kibi,
  unsavedBytesMax: 4 * mebi,
  flushAfterMs: 1000,
  snapshotSendsMax: 2,
};

export type ReplicaOptions<Output> = {
  /** This member's name, and the cluster it belongs to, as configured. */
  readonly name: string;
  readonly clusterId: string;
  /** The first members, this one among them. Only the very first start of the cluster asks for it. */
  readonly founders: readonly Founder[];
  /**
   * HOST:PORT of members of the cluster that an empty store shall join: it waits until that cluster has added it, and
   * bootstraps nothing. `founders` do not count then.
   */
  readonly join?: readonly string[];
  /** Opened by the caller, and closed by it after `stop`. */
  readonly store: LogStore;
  /** Where members are called in place of their recorded addresses. */
  readonly moved?: readonly MovedMember[];
  readonly network: PeerNetwork;
  readonly machine: StateMachine<Output>;
  /**
   * HOST:PORT at which this member, `self`, serves its clients, as others reach it; sent to the peers. Asked again and
   * again.
   */
  readonly serves?: (self: MemberInfo) => string;
  /** The kinds of commands that `machine` knows; sent to the peers. */
  readonly commandKinds: readonly string[];
  /** Those of them that came after the first release: see `CommandKinds`. Default: none. */
  readonly laterCommands?: LaterCommands;
  readonly clock: Clock;
  readonly defer: Defer;
  /** A uniform integer in [0, below). */
  readonly random: (below: number) => number;
  /** Receives the events for operators and logs. Must not throw. */
  readonly observe: (event: ReplicaEvent) => void;
  readonly timing?: ReplicaTiming;
  readonly limits?: Partial<ReplicaLimits>;
  /**
   * So long a sole founder waits for members that know it already before it bootstraps its cluster, in ms. Default:
   * `defaultAloneMs`; 0 where there can be no other member.
   */
  readonly aloneMs?: number;
};

/** @throws RangeError naming the field, its value and the limit */
export function checkTiming({ heartbeatMs, electionMs }: ReplicaTiming): void {
  if (!(heartbeatMs >= 1)) throw new RangeError(`heartbeat ${heartbeatMs}ms is too short: 1ms at least`);
  if (!(electionMs >= 5 * heartbeatMs)) {
    const least = `${formatDuration(5 * heartbeatMs)} at least`;
    throw new RangeError(`election timeout ${formatDuration(electionMs)} is too short: 5 heartbeats, ${least}`);
  }
}

/**
 * The largest message sent unchunked: a connection takes messages of 32 MiB, and one that is too large would be sent
 * again and again.
 */
const pieceBytesMax = 24 * mebi;
/** Limits that may be 0. */
const mayBeZero: ReadonlySet<string> = new Set(['entriesKept', 'unsavedBytesMax', 'flushAfterMs']);

/** @throws RangeError naming the field, its value and the limit */
export function checkLimits(limits: ReplicaLimits): void {
  checkLeast('limits', limits);
  const { appendBytesMax, appendBytesInFlightMax, proposals } = limits;
  if (appendBytesInFlightMax < appendBytesMax) {
    const least = `as much as limits.appendBytesMax, ${appendBytesMax}, at least`;
    throw new RangeError(`limits.appendBytesInFlightMax is ${appendBytesInFlightMax}: ${least}`);
  }
  const pieces = [
    ['appendBytesMax', appendBytesMax],
    ['proposals.commandBytesMax', proposals.commandBytesMax],
  ] as const;
  for (const [field, value] of pieces) {
    if (value > pieceBytesMax) {
      throw new RangeError(`limits.${field} is ${value}: ${formatSize(pieceBytesMax)} at most`);
    }
  }
}

function checkLeast(path: string, limits: object): void {
  for (const [name, value] of Object.entries(limits)) {
    const field = `${path}.${name}`;
    if (typeof value === 'object' && value !== null) {
      checkLeast(field, value);
      continue;
    }
    const least = mayBeZero.has(name) ? 0 : 1;
    if (!(typeof value === 'number' && value >= least)) throw new RangeError(`${field} is ${value}: ${least} at least`);
  }
}

/**
 * Ids and names are stored, and a store refuses what it can't read back: so they are looked at before.
 * @throws RangeError naming the field, its value and the limit
 */
export function checkNames({
  name,
  clusterId,
  founders,
}: Pick<ReplicaOptions<unknown>, 'name' | 'clusterId' | 'founders'>): void {
  if (!clusterIdForm.pattern.test(clusterId)) {
    throw new RangeError(`cluster id "${clusterId}": ${clusterIdForm.allowed} are allowed`);
  }
  const names = founders.map((founder) => founder.name);
  for (const one of [name, ...names]) {
    if (!memberNameForm.pattern.test(one)) {
      throw new RangeError(`member name "${one}": ${memberNameForm.allowed} are allowed`);
    }
  }
  const twin = names.find((one, at) => names.indexOf(one) !== at);
  if (twin !== undefined) throw new RangeError(`two founders are named "${twin}": names are unique`);
}
