/**
 * Watches the storage write in flight. A write that takes longer than an election timeout means that the disk hangs: a
 * leader then hands over, and a member with such a disk does not campaign until it answers.
 */
import type { MemberId } from '#raft/log/entry.js';
import { Handover } from '#replica/fitness/handover.js';
import type { ReplicaEvent } from '#replica/replica-event.js';

export class DiskWatch {
  readonly #electionMs: number;
  readonly #observe: (event: ReplicaEvent) => void;
  readonly #handover: Handover;
  #hungSinceMs: number | undefined;

  constructor(electionMs: number, observe: (event: ReplicaEvent) => void) {
    this.#electionMs = electionMs;
    this.#observe = observe;
    this.#handover = new Handover(electionMs);
  }

  get hangs(): boolean {
    return this.#hungSinceMs !== undefined;
  }

  /** Once a tick. The one of its `successors` that a leader should hand over to now; none on others. */
  check(now: number, busySinceMs: number | undefined, successors: readonly MemberId[]): MemberId | undefined {
    const forMs = busySinceMs === undefined ? 0 : now - busySinceMs;
    if (forMs <= this.#electionMs) {
      this.#answered(now);
      return undefined;
    }
    const begins = this.#hungSinceMs === undefined;
    this.#hungSinceMs ??= busySinceMs;
    const target = this.#handover.next(now, successors);
    if (begins || target !== undefined) this.#observe({ kind: 'disk-hangs', forMs, handsOverTo: target });
    return target;
  }

  #answered(now: number): void {
    if (this.#hungSinceMs === undefined) return;
    this.#observe({ kind: 'disk-answers', afterMs: now - this.#hungSinceMs });
    this.#hungSinceMs = undefined;
    this.#handover.reset();
  }
}
