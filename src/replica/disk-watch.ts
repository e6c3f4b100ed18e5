/**
 * Watches the storage write in flight. One that takes longer than an election timeout means that the disk hangs:
 * a leader then hands over, and nobody with such a disk campaigns until it answers.
 */
import type { MemberId } from '#raft/entry.js';
import type { RaftStatus } from '#raft/status.js';
import type { ReplicaEvent } from '#replica/replica-event.js';

export class DiskWatch {
  readonly #electionMs: number;
  readonly #observe: (event: ReplicaEvent) => void;
  #hungSinceMs: number | undefined;
  /** Handed to in this hang already, without success. */
  readonly #tried = new Set<MemberId>();
  #lastTryMs = 0;

  constructor(electionMs: number, observe: (event: ReplicaEvent) => void) {
    this.#electionMs = electionMs;
    this.#observe = observe;
  }

  get hangs(): boolean {
    return this.#hungSinceMs !== undefined;
  }

  /** Once a tick. Whom a leader should hand over to now, if to anybody. */
  check(now: number, busySinceMs: number | undefined, leader: RaftStatus | undefined): MemberId | undefined {
    const forMs = busySinceMs === undefined ? 0 : now - busySinceMs;
    if (forMs <= this.#electionMs) {
      this.#answered(now);
      return undefined;
    }
    const begins = this.#hungSinceMs === undefined;
    this.#hungSinceMs ??= busySinceMs;
    const due = begins || now - this.#lastTryMs >= this.#electionMs;
    const target = leader !== undefined && due ? transferTarget(leader, this.#tried) : undefined;
    if (target !== undefined) this.#lastTryMs = now;
    if (begins || target !== undefined) this.#observe({ kind: 'disk-hangs', forMs, handsOverTo: target });
    return target;
  }

  #answered(now: number): void {
    if (this.#hungSinceMs === undefined) return;
    this.#observe({ kind: 'disk-answers', afterMs: now - this.#hungSinceMs });
    this.#hungSinceMs = undefined;
    this.#tried.clear();
  }
}

/** The voter that answers and has most of the log, one not in `tried` if there is any; notes it there. */
export function transferTarget({ id, progress }: RaftStatus, tried: Set<MemberId>): MemberId | undefined {
  const able = [...progress].filter(([member, peer]) => member !== id && !peer.learner && peer.active);
  if (able.every(([member]) => tried.has(member))) tried.clear();
  const [best] = able.filter(([member]) => !tried.has(member)).sort(([, one], [, other]) => other.match - one.match);
  if (best === undefined) return undefined;
  tried.add(best[0]);
  return best[0];
}
