/**
 * Snapshots on their way: those streamed out to followers that are behind the compaction point, and the one being
 * received. Both leave the log at work; a transfer that ends early starts over with the next one.
 */

import { asError } from '#errors/unknown-error.js';
import type { LogIndex, MemberId, SnapshotMeta } from '#raft/log/entry.js';
import type { SnapshotMessage } from '#raft/message.js';
import type { Clock } from '#replica/ports/clock.js';
import type { LogStore, StagedSnapshot } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { PeerNetwork } from '#replica/ports/peer-network.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { type Backoff, backoffMs } from '#time/backoff.js';

/**
 * `waits`: the maximum of transfers is in flight, or the last one has just failed, which was reported; the core tries
 * again. Reported once, `again` from then on.
 */
export type SendResult = { readonly to: MemberId; readonly index: LogIndex } & (
  | { readonly kind: 'sent' }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'waits'; readonly again: boolean }
);

/**
 * From a transfer that failed to the next one to the same member. The core asks with each heartbeat, and each transfer
 * reads the whole state; but a quorum may wait for this member, so the pause is short.
 */
const backoff: Backoff = { baseMs: 1_000, capMs: 4_000 };

type Pause = { readonly attempt: number; readonly endMs: number };

export class SnapshotSender {
  readonly #store: Pick<LogStore, 'openSnapshot'>;
  readonly #network: Pick<PeerNetwork, 'sendSnapshot'>;
  readonly #clock: Clock;
  readonly #sendsMax: number;
  /** Per member, the lowest index whose successors it will need: the log must not be compacted beyond it. */
  readonly #inFlight = new Map<MemberId, LogIndex>();
  /** Followers waiting for a send slot. */
  readonly #waiting = new Set<MemberId>();
  /** Followers whose last transfer failed. */
  readonly #pauses = new Map<MemberId, Pause>();

  constructor(
    store: Pick<LogStore, 'openSnapshot'>,
    network: Pick<PeerNetwork, 'sendSnapshot'>,
    clock: Clock,
    sendsMax: number,
  ) {
    this.#store = store;
    this.#network = network;
    this.#clock = clock;
    this.#sendsMax = sendsMax;
  }

  /** The log is needed from behind this index on; undefined when nothing is under way. */
  get pinned(): LogIndex | undefined {
    let lowest: LogIndex | undefined;
    for (const index of this.#inFlight.values()) lowest = lowest === undefined || index < lowest ? index : lowest;
    return lowest;
  }

  /**
   * Streams the applied state to the member that `message` names. It may be newer than the message promises, never
   * older. Resolves when it is over; undefined: a transfer to that member is in flight already.
   */
  async send(message: SnapshotMessage): Promise<SendResult | undefined> {
    const { to, snapshot } = message;
    const { index } = snapshot;
    if (this.#inFlight.has(to)) return undefined;
    if (this.#clock.now() < (this.#pauses.get(to)?.endMs ?? Number.NEGATIVE_INFINITY)) {
      return { kind: 'waits', to, index, again: true };
    }
    if (this.#inFlight.size >= this.#sendsMax) {
      // The core asks again with each heartbeat.
      const again = this.#waiting.has(to);
      this.#waiting.add(to);
      return { kind: 'waits', to, index, again };
    }
    this.#waiting.delete(to);
    this.#inFlight.set(to, index);
    try {
      return this.#end({ kind: 'sent', to, index: await this.#stream(message) });
    } catch (error) {
      return this.#end({ kind: 'failed', to, index, error: asError(error) });
    }
  }

  async #stream(message: SnapshotMessage): Promise<LogIndex> {
    const source = await this.#store.openSnapshot();
    try {
      const snapshot = snapshotOf(source.meta);
      await this.#network.sendSnapshot({ ...message, snapshot }, source);
      return snapshot.index;
    } finally {
      await source.close();
    }
  }

  #end(result: SendResult): SendResult {
    const { to, kind } = result;
    this.#inFlight.delete(to);
    if (kind === 'sent') this.#pauses.delete(to);
    else this.#pause(to);
    // Clears the queue: followers that still need a snapshot ask again.
    if (this.#inFlight.size === 0) this.#waiting.clear();
    return result;
  }

  #pause(to: MemberId): void {
    const now = this.#clock.now();
    const last = this.#pauses.get(to);
    // A failure of long ago says nothing about this one.
    const again = last !== undefined && now - last.endMs < backoff.capMs;
    const attempt = again ? last.attempt + 1 : 0;
    this.#pauses.set(to, { attempt, endMs: now + backoffMs(backoff, attempt) });
  }
}

/** Takes snapshots in, one at a time, and keeps the staged one until the core has decided about it. */
export class SnapshotReceiver {
  readonly #store: Pick<LogStore, 'stageSnapshot'>;
  #receiving = false;
  #staged: StagedSnapshot | undefined;

  constructor(store: Pick<LogStore, 'stageSnapshot'>) {
    this.#store = store;
  }

  /**
   * `offer` gives the snapshot, once it is staged, to the core, which claims it at once or does not want it. Rejects when
   * the stream breaks, when another one is being received, and when it contradicts its message.
   */
  async receive(
    message: SnapshotMessage,
    meta: AppliedMeta,
    chunks: AsyncIterable<readonly StateRecord[]>,
    offer: () => void,
  ): Promise<void> {
    const { index, term } = message.snapshot;
    if (meta.index !== index || meta.term !== term) {
      throw new Error(`a snapshot at ${meta.index} of term ${meta.term} came as one at ${index} of term ${term}`);
    }
    if (this.#receiving) throw new Error('another snapshot is being received');
    this.#receiving = true;
    try {
      await this.#stage(meta, chunks, offer);
    } finally {
      this.#receiving = false;
    }
  }

  /** The staged snapshot that the core now wants installed. */
  claim({ index, term }: SnapshotMeta): StagedSnapshot {
    const staged = this.#staged;
    if (staged?.meta.index !== index || staged.meta.term !== term) {
      throw new Error(`the core wants the snapshot at ${index} of term ${term} installed, which was not received`);
    }
    this.#staged = undefined;
    return staged;
  }

  async #stage(meta: AppliedMeta, chunks: AsyncIterable<readonly StateRecord[]>, offer: () => void): Promise<void> {
    const sink = await this.#store.stageSnapshot(meta);
    let claimed = false;
    try {
      for await (const records of chunks) await sink.append(records);
      this.#staged = await sink.finish();
      offer();
      claimed = this.#staged === undefined;
    } finally {
      // What is left of a transfer that broke, or of a snapshot that the core did not want.
      this.#staged = undefined;
      if (!claimed) await sink.abort();
    }
  }
}

export function snapshotOf({ index, term, membership }: AppliedMeta): SnapshotMeta {
  return { index, term, confState: membership.confState };
}
