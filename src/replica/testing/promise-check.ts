/**
 * Watches what members send, and holds it against what their disks have: a vote, a campaign or an acknowledgement that
 * leaves before the write that covers it is synced is a broken promise after the next crash. Also that no term has two
 * leaders.
 */
import type { PeerMessage } from '#raft/message.js';
import type { MemoryLogDisk } from '#replica/testing/memory-log-store.js';

export class PromiseCheck {
  readonly violations: string[] = [];
  readonly #leaders = new Map<number, number>();
  readonly #diskOf: (member: number) => MemoryLogDisk | undefined;
  promises = 0;

  constructor(diskOf: (member: number) => MemoryLogDisk | undefined) {
    this.#diskOf = diskOf;
  }

  sent(message: PeerMessage): void {
    const content = this.#diskOf(message.from)?.content;
    if (content === undefined) return;
    const { hardState, compacted, entries } = content;
    switch (message.kind) {
      case 'append-response': {
        if (message.reject) return;
        this.promises += 1;
        // What it acknowledged was stored and has been replaced since, or was replaced within one batch before it was
        // stored: other members see no difference, as the batch ends in a later term.
        if ((hardState?.term ?? 0) > message.term) return;
        const last = compacted.index + entries.length;
        if (last < message.index) this.#broken(message, `its disk ends at ${last}, it acknowledges ${message.index}`);
        if ((hardState?.term ?? 0) < message.term) this.#broken(message, `its disk is in term ${hardState?.term}`);
        return;
      }
      case 'vote-response':
        if (message.reject) return;
        this.promises += 1;
        // A disk in a later term keeps the promise, too: after a crash it does not vote in this one again.
        if ((hardState?.term ?? 0) > message.term) return;
        if (hardState?.term !== message.term || hardState.vote !== message.to) {
          this.#broken(message, `its disk has a vote for ${hardState?.vote} in term ${hardState?.term}`);
        }
        return;
      case 'vote':
        this.#checkTerm(message, hardState?.term);
        return;
      case 'append':
      case 'heartbeat':
      case 'snapshot': {
        this.#checkTerm(message, hardState?.term);
        const leader = this.#leaders.get(message.term) ?? message.from;
        this.#leaders.set(message.term, leader);
        if (leader !== message.from) this.#broken(message, `${leader} leads term ${message.term}, too`);
      }
    }
  }

  /**
   * A member that asks for votes, or leads, in a term that its disk does not have can do so once more after a crash.
   */
  #checkTerm(message: PeerMessage, stored = 0): void {
    if (stored < message.term) this.#broken(message, `its disk is in term ${stored}`);
  }

  #broken({ kind, from, to, term }: PeerMessage, why: string): void {
    this.violations.push(`${kind} from ${from} to ${to} in term ${term}: ${why}`);
  }
}
