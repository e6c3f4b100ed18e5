/**
 * Reads that wait until the leader knows that it still is one (dissertation §6.4). Each read gets a round, a
 * rising number; heartbeats carry the newest round and are echoed with it. An echo of a round was sent after
 * every read up to that round had arrived, so a quorum of echoes confirms all of them at once.
 */
import type { LogIndex, MemberId } from '#raft/log/entry.js';
import { jointIndex, type Voters } from '#raft/tracker/quorum.js';

/** `from`: the member that asked. `index`: the commit index when it was asked; the answer must include it. */
export type PendingRead = { readonly request: number; readonly from: MemberId; readonly index: LogIndex };

export class PendingReads {
  /** Capacity; the caller of `add` enforces it. */
  readonly max: number;
  #queue: { readonly read: PendingRead; readonly round: number }[] = [];
  readonly #echoed = new Map<MemberId, number>();
  /** Of the newest read. Not set back by `clear`: no round is ever used twice. */
  #round = 0;

  constructor(max: number) {
    this.max = max;
  }

  get count(): number {
    return this.#queue.length;
  }

  /** What a heartbeat carries: the newest round, or 0 if no read waits. */
  get context(): number {
    return this.#queue.length === 0 ? 0 : this.#round;
  }

  add(read: PendingRead): void {
    this.#round += 1;
    this.#queue.push({ read, round: this.#round });
  }

  /** `member` has echoed `context`. */
  echo(member: MemberId, context: number): void {
    const known = this.#echoed.get(member) ?? 0;
    // Clamped: an echo cannot confirm a read that has not been asked yet.
    this.#echoed.set(member, Math.max(known, Math.min(context, this.#round)));
  }

  /** Takes out the reads that a quorum of `voters` has confirmed, oldest first. `self` confirms all. */
  takeConfirmed(voters: Voters, self: MemberId): readonly PendingRead[] {
    const round = jointIndex(voters, (voter) => (voter === self ? Number.POSITIVE_INFINITY : this.#echoed.get(voter)));
    const waiting = this.#queue.findIndex((entry) => entry.round > round);
    const confirmed = this.#queue.splice(0, waiting < 0 ? this.#queue.length : waiting);
    return confirmed.map(({ read }) => read);
  }

  /** The leadership under which they were asked is over. */
  clear(): void {
    this.#queue = [];
    this.#echoed.clear();
  }
}
