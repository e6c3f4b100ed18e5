/**
 * A leader's view of one peer's log, and how it sends to it (dissertation §10.2.1 for the optimistic pipeline):
 *
 * - `probe`: where the logs meet is not known; one append with entries, then wait for its answer.
 * - `replicate`: it is; send at once and move `next` ahead, up to the window.
 * - `snapshot`: the entries it needs are gone; wait until it has caught up through a snapshot.
 */
import { type LogIndex, logIndex, noIndex } from '#raft/log/entry.js';
import { type InflightLimits, Inflights } from '#raft/tracker/inflights.js';

/**
 * How the leader treats a peer. `probe`: one append at a time until it is known where the logs meet.
 * `replicate`: optimistic, up to the window. `snapshot`: nothing but heartbeats until it has caught up.
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

export type RaftPeerStatus = {
  /** Highest index known to be on the peer's stable storage. */
  readonly match: LogIndex;
  /** Next index to send. */
  readonly next: LogIndex;
  readonly state: ProgressState;
  /** No append goes out until the peer answers. */
  readonly paused: boolean;
  /** Heard from since the last quorum check. */
  readonly active: boolean;
  readonly learner: boolean;
  /** Index of the snapshot on its way; 0 if none. */
  readonly pendingSnapshot: LogIndex;
  /** Append messages under way, and whether no more may be. */
  readonly inflight: number;
  readonly inflightFull: boolean;
};

export class Progress {
  /** Highest index known to be on the peer's stable storage. Always below `next`. */
  match: LogIndex;
  /** Next index to send. */
  next: LogIndex;
  state: ProgressState = 'probe';
  /** Highest commit index sent, so that needless empty appends can be left out. */
  sentCommit: LogIndex = noIndex;
  /** No append until the peer answers. Meaningful in `probe` and `replicate`. */
  flowPaused = false;
  /** Index of the snapshot on its way; 0 outside of `snapshot`. */
  pendingSnapshot: LogIndex = noIndex;
  /** Heard from since the last quorum check. */
  active = false;
  learner: boolean;
  readonly inflights: Inflights;
  readonly #limits: InflightLimits;

  constructor(start: { match: LogIndex; next: LogIndex; learner: boolean; limits: InflightLimits }) {
    this.match = start.match;
    this.next = start.next;
    this.learner = start.learner;
    this.#limits = start.limits;
    this.inflights = new Inflights(start.limits);
  }

  /** A copy that shares the window: for trying a configuration change on, after which one of the two is discarded. */
  withLearner(learner: boolean): Progress {
    const copy = Object.assign(
      new Progress({ match: this.match, next: this.next, learner, limits: this.#limits }),
      this,
      { learner },
    );
    return copy;
  }

  /** No append may be sent now. */
  get paused(): boolean {
    return this.state === 'snapshot' || this.flowPaused;
  }

  /** Back to probing from the last index known to match, or past the snapshot that was on its way. */
  becomeProbe(): void {
    const known = this.state === 'snapshot' ? Math.max(this.match, this.pendingSnapshot) : this.match;
    this.#enter('probe');
    this.next = logIndex(known + 1);
    this.lowerSentCommit();
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.next = logIndex(this.match + 1);
  }

  /** A snapshot at `index` is on its way. */
  becomeSnapshot(index: LogIndex): void {
    this.#enter('snapshot');
    this.pendingSnapshot = index;
    this.next = logIndex(index + 1);
    this.sentCommit = index;
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.flowPaused = false;
    this.pendingSnapshot = noIndex;
    this.inflights.reset();
  }

  /** An append with `count` entries and `bytes` of data is sent. */
  sent(count: number, bytes: number): void {
    if (this.state === 'replicate') {
      if (count > 0) {
        this.next = logIndex(this.next + count);
        this.inflights.add(logIndex(this.next - 1), bytes);
      }
      this.flowPaused = this.inflights.full;
    } else if (count > 0) {
      this.flowPaused = true;
    }
  }

  /** The peer has everything up to `index`. Returns whether that is news. */
  acknowledge(index: LogIndex): boolean {
    if (index <= this.match) {
      return false;
    }
    this.match = index;
    this.next = logIndex(Math.max(this.next, index + 1));
    this.flowPaused = false;
    return true;
  }

  /**
   * The peer rejected the append after `rejected` and hints that the logs may meet at `hint`. Returns false for
   * the late answer to an earlier message, which changes nothing.
   */
  reject(rejected: LogIndex, hint: LogIndex): boolean {
    if (this.state === 'replicate') {
      if (rejected <= this.match) {
        return false;
      }
      this.becomeProbe();
      return true;
    }
    if (this.next - 1 !== rejected) {
      return false;
    }
    this.next = logIndex(Math.max(Math.min(rejected, hint + 1), this.match + 1));
    this.flowPaused = false;
    this.lowerSentCommit();
    return true;
  }

  /** After `next` went back: the peer may not have seen a commit index that it cannot use yet. */
  lowerSentCommit(): void {
    this.sentCommit = logIndex(Math.min(this.sentCommit, this.next - 1));
  }

  /** Whether an empty append with `commit` would let the peer commit more than what was sent before. */
  canBumpCommit(commit: LogIndex): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  status(): RaftPeerStatus {
    const { match, next, state, paused, active, learner, pendingSnapshot, inflights } = this;
    return {
      match,
      next,
      state,
      paused,
      active,
      learner,
      pendingSnapshot,
      inflight: inflights.count,
      inflightFull: inflights.full,
    };
  }
}
