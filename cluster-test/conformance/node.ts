/**
 * One node of the interaction environment: a core, its storage, its two work queues and the snapshots that it
 * made by applying entries (README of the conformance folder, sections 3 and 5).
 */

import { describeMessage, describeReady } from '#cluster-test/conformance/describe.js';
import { CommandError, type Output } from '#cluster-test/conformance/output.js';
import { ScriptError } from '#cluster-test/conformance/script.js';
import { decodeConfChange, isConfChange } from '#raft/confchange/conf-change.js';
import { RaftError } from '#raft/errors.js';
import type { Entry, HardState, MemberId, SnapshotMeta } from '#raft/log/entry.js';
import { MemoryLog, MemoryLogError } from '#raft/log/memory-log.js';
import type { Message, StorageAppendMessage, StorageApplyMessage } from '#raft/message.js';
import { Raft } from '#raft/raft.js';
import type { RaftConfig } from '#raft/raft-config.js';

export class Node {
  readonly id: MemberId;
  readonly raft: Raft;
  readonly log: MemoryLog;
  readonly appendWork: StorageAppendMessage[] = [];
  readonly applyWork: StorageApplyMessage[] = [];
  readonly #async: boolean;
  /** The newest of the snapshots made; storage serves it. */
  #made: SnapshotMeta;

  constructor(config: RaftConfig, start: SnapshotMeta) {
    this.id = config.id;
    this.#async = config.asyncStorageWrites;
    this.#made = start;
    this.log = start.index === 0 ? new MemoryLog() : new MemoryLog(start);
    this.log.served = start;
    this.raft = new Raft(config, this.log);
  }

  get lastSnapshot(): SnapshotMeta {
    return this.#made;
  }

  /** Takes the Ready, prints it and handles it. Messages for the network go to the end of `inFlight`. */
  processReady(output: Output, inFlight: Message[]): void {
    const ready = this.raft.ready();
    output.write(describeReady(ready));
    if (!this.#async) {
      this.#store(ready);
      this.#apply(ready.committedEntries);
    }
    for (const message of ready.messages) {
      if (message.kind === 'storage-append') {
        this.appendWork.push(message);
      } else if (message.kind === 'storage-apply') {
        this.applyWork.push(message);
      } else {
        inFlight.push(message);
      }
    }
    if (!this.#async) {
      this.raft.advance();
    }
  }

  /** Works off the first message of the append queue. */
  processAppend(output: Output, inFlight: Message[]): void {
    const work = this.appendWork.shift();
    if (work === undefined) {
      output.write('no append work to perform');
      return;
    }
    output.line(`Processing:\n${describeMessage({ ...work, responses: [] })}`);
    this.#store(work);
    respond(work.responses, output, inFlight);
  }

  /** Works off the first message of the apply queue. */
  processApply(output: Output, inFlight: Message[]): void {
    const work = this.applyWork.shift();
    if (work === undefined) {
      output.write('no apply work to perform');
      return;
    }
    output.line(`Processing:\n${describeMessage({ ...work, responses: [] })}`);
    this.#apply(work.entries);
    respond(work.responses, output, inFlight);
  }

  #store({ hardState, entries, snapshot }: StorageWork): void {
    if (hardState !== undefined) {
      this.log.setHardState(hardState);
    }
    if (snapshot !== undefined) {
      if (entries.length > 0) {
        throw new CommandError("can't apply snapshot and entries at the same time");
      }
      outcome(() => this.log.install(snapshot));
    } else {
      this.log.append(entries);
    }
  }

  #apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const confState = isConfChange(entry.type)
        ? this.raft.applyConfChange(decodeConfChange(entry))
        : this.#made.confState;
      this.#made = { index: entry.index, term: entry.term, confState };
      this.log.served = this.#made;
    }
  }
}

type StorageWork = {
  readonly hardState: HardState | undefined;
  readonly entries: readonly Entry[];
  readonly snapshot: SnapshotMeta | undefined;
};

function respond(responses: readonly Message[], output: Output, inFlight: Message[]): void {
  output.line('Responses:');
  for (const response of responses) {
    output.line(describeMessage(response));
    inFlight.push(response);
  }
}

/** Runs `action`, turning the refusals that a file may expect into the command's error. */
export function outcome(action: () => void): void {
  try {
    action();
  } catch (error) {
    throw expectable(error);
  }
}

function expectable(error: unknown): unknown {
  if (error instanceof MemoryLogError) {
    return new CommandError(error.message);
  }
  if (error instanceof RaftError) {
    switch (error.code) {
      case 'proposal-dropped':
        return new CommandError('raft proposal dropped');
      case 'local-message':
        return new CommandError('raft: cannot step raft local message');
      case 'peer-not-found':
        return new CommandError('raft: cannot step as peer not found');
      default:
        return new ScriptError(`${error.code}: ${error.message}`);
    }
  }
  return error;
}
