/**
 * Drives one core with asynchronous storage writes, in turns: a turn takes what the core wants, hands messages to
 * the peers and entries to the storage writer, which start at the same time, and has committed entries applied.
 *
 * The order that `Ready` demands holds because everything that a message promises goes through the one storage
 * queue, and the message leaves that queue only when it is durable.
 *
 * It is made last of the parts of a member, and calls the others; none calls it. What ends later (a write, a transfer, a
 * wait) comes back as the promise that it began with.
 */

import { InvariantError } from '#errors/invariant.js';
import { asError } from '#errors/unknown-error.js';
import { isConfChange } from '#raft/confchange/conf-change.js';
import { RaftError } from '#raft/errors.js';
import type { MemberId } from '#raft/log/entry.js';
import type { Message, PeerMessage, SnapshotMessage } from '#raft/message.js';
import type { Raft } from '#raft/raft.js';
import type { Ready } from '#raft/ready.js';
import { withHeldVotes } from '#raft/roles/held-votes.js';
import type { AppliedState } from '#replica/driver/applied-state.js';
import type { CommitNotices } from '#replica/driver/commit-notices.js';
import type { LogTail } from '#replica/driver/log-tail.js';
import type { LogUpkeep } from '#replica/driver/log-upkeep.js';
import type { ReadyHandler } from '#replica/driver/ready-handler.js';
import type { SendResult, SnapshotReceiver, SnapshotSender } from '#replica/driver/snapshot-transfers.js';
import type { DurableWrite, StorageWriter } from '#replica/driver/storage-writer.js';
import type { TurnWaits } from '#replica/driver/turn-waits.js';
import type { LeadershipState } from '#replica/fitness/leadership-state.js';
import type { Clock, Defer } from '#replica/ports/clock.js';
import type { LogWrite } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import type { PendingRequests } from '#replica/requests/pending-requests.js';

/**
 * Readies worked off in one turn; more wait for the next, so that messages and ticks are not held up by a long
 * catch-up.
 */
const readiesPerTurnMax = 16;

export type RaftDriverParts<Output> = {
  readonly self: MemberId;
  readonly clock: Clock;
  readonly defer: Defer;
  /** How long applied changes wait at most for a log write that takes them along, in ms. */
  readonly flushAfterMs: number;
  readonly observe: (event: ReplicaEvent) => void;
  readonly raft: Raft;
  readonly tail: LogTail;
  readonly leadership: LeadershipState;
  readonly applied: AppliedState<Output>;
  readonly requests: PendingRequests<Output>;
  readonly handler: ReadyHandler<Output>;
  readonly messages: CommitNotices;
  readonly writer: StorageWriter;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  readonly upkeep: LogUpkeep;
  readonly waits: TurnWaits;
};

export class RaftDriver<Output> {
  /** Resolves when the member can't go on: the store failed, or a part has thrown. Nothing is sent or written then. */
  readonly failure: Promise<Error>;
  readonly #parts: RaftDriverParts<Output>;
  #failed: (error: Error) => void = () => {};
  #snapshotFrom: MemberId;
  #turnDue = false;
  /** While applied changes are to be flushed at a time. */
  #cancelFlush: (() => void) | undefined;
  #stopped = false;

  constructor(parts: RaftDriverParts<Output>) {
    this.#parts = parts;
    this.#snapshotFrom = parts.self;
    this.failure = new Promise((resolve) => {
      this.#failed = resolve;
    });
  }

  /** Takes what a peer sent, to be worked off together with what else has arrived. One that makes no sense is dropped. */
  receive(message: PeerMessage): void {
    // As if it were lost: each would have an answer wait for the disk, and a leader sends one with each heartbeat, for hours.
    if (message.kind === 'append' && this.#parts.writer.full) return;
    this.act(() => this.#step(message));
    this.wake();
  }

  /** Takes a snapshot in. Rejects when it does not come whole. */
  receiveSnapshot(
    message: SnapshotMessage,
    meta: AppliedMeta,
    chunks: AsyncIterable<readonly StateRecord[]>,
  ): Promise<void> {
    return this.#parts.receiver.receive(message, meta, chunks, () => this.#offer(message));
  }

  /** Has the next turn come after what has already arrived was taken in. */
  wake(): void {
    if (this.#turnDue || this.#stopped) return;
    this.#turnDue = true;
    this.#parts.defer(() => {
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
      this.fail(asError(error));
    }
  }

  /** Stores the commit index and the applied changes without waiting for entries. */
  flush(): void {
    this.act(() => {
      this.#parts.writer.flush();
      this.#write();
    });
  }

  /** Ends all work: see `failure`. */
  fail(error: Error): void {
    this.stop();
    this.#failed(error);
  }

  /** No more turns, writes or messages. */
  stop(): void {
    const { writer, messages } = this.#parts;
    this.#stopped = true;
    // A timer that is armed would keep the process from ending.
    this.#cancelFlush?.();
    writer.stop();
    messages.stop();
  }

  #turn(): void {
    this.act(() => this.#work());
  }

  #work(): void {
    const { raft } = this.#parts;
    let readies = 0;
    do {
      this.#propose();
      for (; readies < readiesPerTurnMax && raft.hasReady(); readies += 1) {
        this.#handle(raft.ready());
        if (this.#stopped) return;
      }
      this.#write();
    } while (readies < readiesPerTurnMax && raft.hasReady());
    if (raft.hasReady()) this.wake();
    this.#upkeep();
    this.#parts.waits.check();
  }

  /** Commands that came while a write was in flight are proposed together: one batch, one message per peer. */
  #propose(): void {
    const { raft, leadership, applied, requests, writer } = this.#parts;
    const { reads, proposals, time } = requests;
    reads.run();
    if (!leadership.ready || writer.busy || proposals.queued === 0) return;
    proposals.proposeTo(raft, Math.max(applied.time, time.now()));
  }

  #handle(ready: Ready): void {
    const { handler } = this.#parts;
    handler.lead(ready);
    // Messages and writes first: while peers and the disk are at work, what is committed already is applied.
    for (const message of withHeldVotes(ready.messages)) if (message.kind !== 'storage-apply') this.#route(message);
    this.#write();
    for (const message of ready.messages) if (message.kind === 'storage-apply') this.#route(message);
    for (const { request, index } of ready.readStates) handler.confirmRead(request, index);
  }

  #route(message: Message): void {
    const { writer, receiver, messages, handler } = this.#parts;
    switch (message.kind) {
      case 'storage-append':
        writer.add(message, message.snapshot === undefined ? undefined : receiver.claim(message.snapshot));
        return;
      case 'storage-apply':
        // A member that is about to be removed must receive this while there is a connection to it.
        if (message.entries.some(({ type }) => isConfChange(type))) messages.flush();
        handler.apply(message.entries);
        this.#respond(message.responses);
        return;
      case 'snapshot':
        this.#sendSnapshot(message);
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
        messages.send(message);
    }
  }

  #respond(responses: readonly Message[]): void {
    for (const response of responses) {
      if (this.#stopped) return;
      if (response.to === this.#parts.self) this.#step(response);
      else this.#route(response);
    }
  }

  /** Gives the core a message. One that makes no sense is refused and dropped. */
  #step(message: Message): void {
    const { raft, observe } = this.#parts;
    try {
      raft.step(message);
    } catch (error) {
      if (!(error instanceof RaftError)) throw error;
      observe({ kind: 'message-refused', from: message.from, reason: error.message });
    }
  }

  /** Starts the next write unless one is in flight. */
  #write(): void {
    const { writer } = this.#parts;
    this.#respond(writer.release());
    writer.begin()?.then(
      (durable) => this.#written(durable),
      (error: unknown) => this.fail(asError(error)),
    );
  }

  #written(durable: DurableWrite | undefined): void {
    if (durable !== undefined && !this.#stored(durable.write)) return;
    this.act(() => {
      if (durable !== undefined) this.#respond(durable.responses);
      this.#work();
    });
  }

  /** Makes known what is on the disk, also while the member stops. False: the member has failed. */
  #stored({ install, entries, applied }: LogWrite): boolean {
    const { tail, handler } = this.#parts;
    try {
      if (install !== undefined) {
        handler.restored(install.meta, this.#snapshotFrom);
        tail.install(install.meta);
      }
      if (entries !== undefined) tail.append(entries);
      if (applied !== undefined) tail.persist(applied.meta);
      return true;
    } catch (error) {
      this.fail(asError(error));
      return false;
    }
  }

  #upkeep(): void {
    const { upkeep, writer, clock, flushAfterMs } = this.#parts;
    if (upkeep.overfull) {
      writer.flush();
      this.#write();
    }
    if (this.#cancelFlush === undefined && upkeep.unsaved) {
      this.#cancelFlush = clock.after(flushAfterMs, () => {
        this.#cancelFlush = undefined;
        if (upkeep.unsaved) this.flush();
      });
    }
    const through = upkeep.compact();
    if (through === undefined) return;
    writer.compact(through);
    this.#write();
  }

  #sendSnapshot(message: SnapshotMessage): void {
    this.#parts.sender.send(message).then(
      (result) => result !== undefined && this.#sent(result),
      (error: unknown) => this.fail(asError(error)),
    );
  }

  #sent(result: SendResult): void {
    const { raft, handler } = this.#parts;
    this.act(() => {
      raft.reportSnapshot(result.to, result.kind === 'sent');
      handler.snapshotEnded(result);
    });
    this.wake();
  }

  /** A snapshot is staged. The core decides at once, so that what it does not want can be thrown away. */
  #offer(message: SnapshotMessage): void {
    this.#snapshotFrom = message.from;
    this.act(() => this.#step(message));
    this.#turn();
    while (!this.#stopped && this.#parts.raft.hasReady()) this.#turn();
  }
}
