/**
 * The way out for messages to peers. An append without entries mostly says only that the commit index has risen, and the
 * next append or heartbeat says that as well: it waits a moment for such company. A leader under load so sends half as
 * many messages, and one that is asked for a single change answers before it has its followers apply it. Order is kept,
 * and what must be said is said: only a message that says the same or more takes the place of one that waits.
 */
import type { MemberId } from '#raft/log/entry.js';
import type { AppendMessage, PeerMessage } from '#raft/message.js';
import type { Clock } from '#replica/ports/clock.js';
import type { PeerNetwork } from '#replica/ports/peer-network.js';

/** How long at most, in ms: a follower knows so much later what is committed. */
const waitMs = 5;

export class CommitNotices {
  readonly #network: Pick<PeerNetwork, 'send'>;
  readonly #clock: Clock;
  /** By addressee: the last append without entries, while it waits. */
  readonly #waiting = new Map<MemberId, AppendMessage>();
  #cancel: (() => void) | undefined;

  constructor(network: Pick<PeerNetwork, 'send'>, clock: Clock) {
    this.#network = network;
    this.#clock = clock;
  }

  send(message: PeerMessage): void {
    const before = this.#waiting.get(message.to);
    if (before !== undefined) {
      this.#waiting.delete(message.to);
      if (!saysAll(message, before)) this.#network.send(before);
    }
    if (message.kind === 'append' && message.entries.length === 0) {
      this.#waiting.set(message.to, message);
      this.#cancel ??= this.#clock.after(waitMs, () => this.flush());
    } else {
      this.#network.send(message);
      // The next one to wait has its time in full: else a steady load would have one sent each time that this one ends.
      if (this.#waiting.size === 0) this.#stopWaiting();
    }
  }

  /** Sends what waits. */
  flush(): void {
    this.#stopWaiting();
    for (const message of this.#waiting.values()) this.#network.send(message);
    this.#waiting.clear();
  }

  /** Nothing waits any more, and nothing of what waited is sent. */
  stop(): void {
    this.#stopWaiting();
    this.#waiting.clear();
  }

  #stopWaiting(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}

/** Whether the receiver of `message` does not need `before` any more. */
function saysAll(message: PeerMessage, before: AppendMessage): boolean {
  if (message.kind !== 'append' || message.term !== before.term) return false;
  return message.index >= before.index && message.commit >= before.commit;
}
