/**
 * Drives one core with asynchronous storage writes, in turns: a turn takes what the core wants, hands messages to
 * the peers and entries to the storage writer, which start at the same time, and has committed entries applied.
 *
 * The order that `Ready` demands holds because everything that a message promises goes through the one storage
 * queue, and the message leaves that queue only when it is durable.
 */

import { InvariantError } from '#errors/invariant.js';
import { asError } from '#errors/unknown-error.js';
import { isConfChange } from '#raft/confchange/conf-change.js';
import { RaftError } from '#raft/errors.js';
import type { Entry, LogIndex, MemberId } from '#raft/log/entry.js';
import type { Message, PeerMessage, SnapshotMessage } from '#raft/message.js';
import type { Raft } from '#raft/raft.js';
import type { Ready } from '#raft/ready.js';
import { withHeldVotes } from '#raft/roles/held-votes.js';
import { CommitNotices } from '#replica/driver/commit-notices.js';
import type { LogTail } from '#replica/driver/log-tail.js';
import { type SendResult, SnapshotReceiver, SnapshotSender } from '#replica/driver/snapshot-transfers.js';
import { type AppliedChanges, StorageWriter, type StorageWriterLimits } from '#replica/driver/storage-writer.js';
import type { Clock } from '#replica/ports/clock.js';
import type { LogStore, LogWrite } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { PeerNetwork } from '#replica/ports/peer-network.js';
import type { Defer } from '#replica/replica-options.js';

/** Readies worked off in one turn; more wait for the next, so that a long catch-up lets messages and ticks in. */
const readiesPerTurnMax = 16;

/** What the driver leaves to its owner. Whatever these throw ends the member. */
export type RaftDriverHost = {
  /** Before each look at the core: the moment to propose and to start reads. */
  beforeReady(): void;
  /** First of all of a Ready: who leads, in which term. */
  leadership(ready: Pick<Ready, 'softState' | 'hardState'>): void;
  apply(entries: readonly Entry[]): void;
  readConfirmed(request: number, index: LogIndex): void;
  takeApplied(commit: LogIndex): AppliedChanges | undefined;
  /** The store now has another state: make it the machine's. */
  restore(meta: AppliedMeta, from: MemberId): Promise<void>;
  snapshotEnded(result: SendResult): void;
  turnEnded(): void;
  refused(from: MemberId, reason: string): void;
  /** The member can't go on. */
  failed(error: Error): void;
};

export type RaftDriverParts = {
  readonly self: MemberId;
  readonly raft: Raft;
  readonly tail: LogTail;
  readonly store: LogStore;
  readonly network: PeerNetwork;
  readonly clock: Clock;
  readonly defer: Defer;
  readonly writes: StorageWriterLimits;
  readonly snapshotSendsMax: number;
  readonly host: RaftDriverHost;
};

export class RaftDriver {
  readonly writer: StorageWriter;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  readonly #self: MemberId;
  readonly #raft: Raft;
  readonly #tail: LogTail;
  readonly #messages: CommitNotices;
  readonly #defer: Defer;
  readonly #host: RaftDriverHost;
  #snapshotFrom: MemberId;
  #turnDue = false;
  #stopped = false;

  constructor({ self, raft, tail, store, network, clock, defer, writes, snapshotSendsMax, host }: RaftDriverParts) {
    this.#self = self;
    this.#raft = raft;
    this.#tail = tail;
    this.#messages = new CommitNotices(network, clock);
    this.#defer = defer;
    this.#host = host;
    this.#snapshotFrom = self;
    const writerHost = {
      takeApplied: (commit: LogIndex) => host.takeApplied(commit),
      durable: (write: LogWrite) => this.#durable(write),
      respond: (responses: readonly Message[]) => this.#respond(responses),
      idle: () => this.#turn(),
      failed: (error: unknown) => host.failed(asError(error)),
    };
    this.writer = new StorageWriter(store, clock, writerHost, writes, tail.initialState().hardState);
    this.sender = new SnapshotSender(store, network, clock, snapshotSendsMax, (result) => this.#sent(result));
    this.receiver = new SnapshotReceiver(store, (message) => this.#offer(message));
  }

  /** Gives the core a message. One that makes no sense is refused and dropped. */
  step(message: Message): void {
    this.act(() => {
      try {
        this.#raft.step(message);
      } catch (error) {
        if (!(error instanceof RaftError)) throw error;
        this.#host.refused(message.from, error.message);
      }
    });
  }

  /** Takes what a peer sent, to be worked off together with what else has arrived. */
  receive(message: PeerMessage): void {
    // As if it were lost: each would have an answer wait for the disk, and a leader sends one with each heartbeat, for hours.
    if (message.kind === 'append' && this.writer.full) return;
    this.step(message);
    this.wake();
  }

  /** Has the next turn come after what has already arrived was taken in. */
  wake(): void {
    if (this.#turnDue || this.#stopped) return;
    this.#turnDue = true;
    this.#defer(() => {
      this.#turnDue = false;
      this.#turn();
    });
  }

  /** Does something with the core; whatever it throws ends the member. */
  act(action: () => void): void {
    if (this.#stopped) return;
    try {
      action();
    } catch (error) {
      this.#host.failed(asError(error));
    }
  }

  /** No more turns, writes or messages. */
  stop(): void {
    this.#stopped = true;
    this.writer.stop();
    this.#messages.stop();
  }

  #turn(): void {
    this.act(() => this.#work());
  }

  #work(): void {
    let readies = 0;
    do {
      this.#host.beforeReady();
      for (; readies < readiesPerTurnMax && this.#raft.hasReady(); readies += 1) {
        this.#handle(this.#raft.ready());
        if (this.#stopped) return;
      }
      this.writer.run();
    } while (readies < readiesPerTurnMax && this.#raft.hasReady());
    if (this.#raft.hasReady()) this.wake();
    this.#host.turnEnded();
  }

  #handle(ready: Ready): void {
    this.#host.leadership(ready);
    // Messages and writes first: while peers and the disk are at work, what is committed already is applied.
    for (const message of withHeldVotes(ready.messages)) if (message.kind !== 'storage-apply') this.#route(message);
    this.writer.run();
    for (const message of ready.messages) if (message.kind === 'storage-apply') this.#route(message);
    for (const { request, index } of ready.readStates) this.#host.readConfirmed(request, index);
  }

  #route(message: Message): void {
    switch (message.kind) {
      case 'storage-append':
        this.writer.add(message, message.snapshot === undefined ? undefined : this.receiver.claim(message.snapshot));
        return;
      case 'storage-apply':
        // A member that is about to be removed must receive this while there is a connection to it.
        if (message.entries.some(({ type }) => isConfChange(type))) this.#messages.flush();
        this.#host.apply(message.entries);
        this.#respond(message.responses);
        return;
      case 'snapshot':
        this.sender.send(message);
        return;
      case 'hup':
      case 'beat':
      case 'unreachable':
      case 'snapshot-status':
      case 'check-quorum':
      case 'forget-leader':
      case 'storage-append-response':
      case 'storage-apply-response':
        throw new InvariantError('broken', `the core wants a local message (${message.kind}) sent to a peer`);
      default:
        this.#messages.send(message);
    }
  }

  #respond(responses: readonly Message[]): void {
    for (const response of responses) {
      if (this.#stopped) return;
      if (response.to === this.#self) this.step(response);
      else this.#route(response);
    }
  }

  async #durable({ install, entries, applied }: LogWrite): Promise<void> {
    if (install !== undefined) {
      await this.#host.restore(install.meta, this.#snapshotFrom);
      this.#tail.install(install.meta);
    }
    if (entries !== undefined) this.#tail.append(entries);
    if (applied !== undefined) this.#tail.persist(applied.meta);
  }

  /** A snapshot is staged. The core decides at once, so that what it does not want can be thrown away. */
  #offer(message: SnapshotMessage): void {
    this.#snapshotFrom = message.from;
    this.step(message);
    this.#turn();
    while (!this.#stopped && this.#raft.hasReady()) this.#turn();
  }

  #sent(result: SendResult): void {
    if (this.#stopped) return;
    this.act(() => this.#raft.reportSnapshot(result.to, result.kind === 'sent'));
    this.#host.snapshotEnded(result);
    this.wake();
  }
}
