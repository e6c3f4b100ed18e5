/**
 * Commands on their way: queued until the core takes them, then under way until they are applied, overwritten, or
 * their leader has lost its office. Each caller gets exactly one answer.
 */

import { RaftError } from '#raft/errors.js';
import { type Entry, noTerm, type Term } from '#raft/log/entry.js';
import type { ProposalPosition, Raft } from '#raft/raft.js';
import { type Applied, ProposeError } from '#replica/ports/replicated-log.js';
import { encodeStamped } from '#replica/requests/cluster-time.js';

export type ProposalLimits = {
  readonly commandBytesMax: number;
  /** Commands waiting to be proposed; beyond it they are refused as `overloaded`. */
  readonly queuedMax: number;
  readonly queuedBytesMax: number;
  /** Commands proposed at once: one log batch, one append message per peer. */
  readonly perBatchMax: number;
  readonly bytesPerBatchMax: number;
  /** Commands proposed and not yet answered. */
  readonly underWayMax: number;
};

type Caller<Output> = {
  readonly resolve: (applied: Applied<Output>) => void;
  readonly reject: (error: ProposeError) => void;
};
type Queued<Output> = Caller<Output> & { readonly command: Uint8Array };
type UnderWay<Output> = Caller<Output> & { readonly term: Term };

export class Proposals<Output> {
  readonly #limits: ProposalLimits;
  #queue: Queued<Output>[] = [];
  #queuedBytes = 0;
  /** By log index. */
  readonly #inFlight = new Map<number, UnderWay<Output>>();
  /** Of the newest entry applied: all that is under way is of this term or a later one. */
  #appliedTerm: Term = noTerm;

  constructor(limits: ProposalLimits) {
    this.#limits = limits;
  }

  get queued(): number {
    return this.#queue.length;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Queues a command. @throws ProposeError, as a rejection: `too-large`, `overloaded` */
  add(command: Uint8Array): Promise<Applied<Output>> {
    const { commandBytesMax, queuedMax, queuedBytesMax } = this.#limits;
    const bytes = command.byteLength;
    if (bytes > commandBytesMax) {
      return Promise.reject(
        new ProposeError('too-large', `the command has ${bytes} bytes, ${commandBytesMax} at most`),
      );
    }
    if (this.#queue.length >= queuedMax || this.#queuedBytes + bytes > queuedBytesMax) {
      const waiting = `${this.#queue.length} commands of ${this.#queuedBytes} bytes wait to be proposed`;
      const most = `${queuedMax} commands and ${queuedBytesMax} bytes at most`;
      return Promise.reject(new ProposeError('overloaded', `${waiting}, ${most}: try again shortly`));
    }
    this.#queuedBytes += bytes;
    return new Promise((resolve, reject) => this.#queue.push({ command, resolve, reject }));
  }

  /**
   * Has a leader's core take the next batch of commands, stamped with cluster time `time`. What it does not take now
   * stays queued: too much is uncommitted, or leadership is passing on and will be decided soon.
   */
  proposeTo(raft: Pick<Raft, 'propose'>, time: number): void {
    const batch = this.#nextBatch();
    if (batch.length === 0) return;
    try {
      const position = raft.propose(batch.map((command) => encodeStamped({ time, command })));
      if (position !== undefined) this.#proposed(batch.length, position);
    } catch (error) {
      if (!(error instanceof RaftError && error.code === 'proposal-dropped')) throw error;
    }
  }

  #nextBatch(): readonly Uint8Array[] {
    const { perBatchMax, bytesPerBatchMax, underWayMax } = this.#limits;
    const batch: Uint8Array[] = [];
    let bytes = 0;
    const most = Math.min(perBatchMax, underWayMax - this.#inFlight.size);
    for (const { command } of this.#queue) {
      bytes += command.byteLength;
      if (batch.length >= most || (batch.length > 0 && bytes > bytesPerBatchMax)) break;
      batch.push(command);
    }
    return batch;
  }

  #proposed(count: number, { term, firstIndex }: ProposalPosition): void {
    for (const [at, { command, resolve, reject }] of this.#queue.splice(0, count).entries()) {
      this.#queuedBytes -= command.byteLength;
      this.#inFlight.set(firstIndex + at, { term, resolve, reject });
    }
  }

  /** Answers the caller that waits for `entry`. */
  applied(applied: Applied<Output>, entry: Entry): void {
    this.#enterTerm(entry);
    const waiting = this.#takeAt(entry);
    if (waiting?.term === entry.term) waiting.resolve(applied);
    else waiting?.reject(overwritten(entry));
  }

  /** `entry` carried no command, so a command that waits at its index was not committed. */
  passed(entry: Entry): void {
    this.#enterTerm(entry);
    this.#takeAt(entry)?.reject(overwritten(entry));
  }

  /**
   * Terms never fall along a log: from the first entry of a term on, commands that wait in an earlier term were not
   * committed. Their callers get the answer at once, since this member may lead that term, and have other commands at
   * those indexes.
   */
  #enterTerm(entry: Entry): void {
    if (entry.term === this.#appliedTerm) return;
    this.#appliedTerm = entry.term;
    for (const [index, waiting] of this.#inFlight) {
      if (waiting.term >= entry.term) continue;
      this.#inFlight.delete(index);
      waiting.reject(overwritten(entry));
    }
  }

  /** Refuses all that is queued: nothing happened to them. */
  refuseQueued(error: () => ProposeError): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const { reject } of queue) reject(error());
  }

  /** Gives up on proposals of terms up to `term`: their outcome is unknown here. */
  abandon(term: Term, error: () => ProposeError): void {
    for (const [index, waiting] of this.#inFlight) {
      if (waiting.term > term) continue;
      this.#inFlight.delete(index);
      waiting.reject(error());
    }
  }

  #takeAt({ index }: Entry): UnderWay<Output> | undefined {
    const waiting = this.#inFlight.get(index);
    if (waiting !== undefined) this.#inFlight.delete(index);
    return waiting;
  }
}

/** Another entry was committed at its index, or before it in a later term, so this command never will be. */
function overwritten({ index, term }: Entry): ProposeError {
  return new ProposeError('not-leader', `the command was replaced at ${index} by the leader of term ${term}`);
}
