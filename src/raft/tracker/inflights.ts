/**
 * The append messages under way to one peer, oldest first: the window that bounds how far a leader runs ahead
 * of a peer's answers, in messages and in data bytes.
 */
import type { LogIndex } from '#raft/log/entry.js';

export type InflightLimits = { readonly messagesMax: number; readonly bytesMax: number };

type Inflight = { readonly index: LogIndex; readonly bytes: number };

/** Freed slots are kept at the front of the queue up to this many, then cut off in one go. */
const freedMax = 64;

export class Inflights {
  readonly #limits: InflightLimits;
  #queue: Inflight[] = [];
  #head = 0;
  #bytes = 0;

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  /** Messages under way. */
  get count(): number {
    return this.#queue.length - this.#head;
  }

  /** No more messages may be sent. The last one may have exceeded the bytes. */
  get full(): boolean {
    return this.count >= this.#limits.messagesMax || this.#bytes >= this.#limits.bytesMax;
  }

  /** A message was sent whose last entry is `index`, with `bytes` of data. Indexes rise. */
  add(index: LogIndex, bytes: number): void {
    this.#queue.push({ index, bytes });
    this.#bytes += bytes;
  }

  /** Everything up to `index` has arrived. */
  freeTo(index: LogIndex): void {
    for (;;) {
      const first = this.#queue[this.#head];
      if (first === undefined || first.index > index) {
        break;
      }
      this.#bytes -= first.bytes;
      this.#head += 1;
    }
    if (this.#head === this.#queue.length) {
      this.reset();
    } else if (this.#head > freedMax) {
      this.#queue.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** Forgets everything. */
  reset(): void {
    this.#queue = [];
    this.#head = 0;
    this.#bytes = 0;
  }
}
