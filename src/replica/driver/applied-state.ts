/**
 * The replicated state as far as it is applied: drives the state machine through committed entries in order, and
 * keeps what they changed until the storage writer takes it along with a log write. Membership is part of it.
 */

import { invariant } from '#errors/invariant.js';
import { decodeConfChange, isConfChange } from '#raft/confchange/conf-change.js';
import type { ConfState, Entry, LogIndex } from '#raft/log/entry.js';
import type { AppliedChanges } from '#replica/driver/storage-writer.js';
import { changeMembers } from '#replica/members/membership-change.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { Applied } from '#replica/ports/replicated-log.js';
import type { RecordChange, StateMachine, StateRecord } from '#replica/ports/state-machine.js';
import { decodeStamped } from '#replica/requests/cluster-time.js';

/** What the rest of the replica learns of each entry, in log order. */
export type AppliedHost<Output> = {
  applied(applied: Applied<Output>, entry: Entry): void;
  /** The entry carried no command. */
  passed(entry: Entry): void;
  /** Has the core switch to the new configuration. */
  reconfigure(change: ReturnType<typeof decodeConfChange>): ConfState;
  membershipChanged(membership: Membership): void;
};

export class AppliedState<Output> {
  readonly #machine: StateMachine<Output>;
  readonly #host: AppliedHost<Output>;
  #index: LogIndex;
  #term: Entry['term'];
  #time: number;
  #membership: Membership;
  #changes: RecordChange[] = [];
  #changedBytes = 0;
  #persistedIndex: LogIndex;

  constructor(machine: StateMachine<Output>, host: AppliedHost<Output>, start: AppliedMeta) {
    this.#machine = machine;
    this.#host = host;
    this.#index = start.index;
    this.#term = start.term;
    this.#time = start.time;
    this.#membership = start.membership;
    this.#persistedIndex = start.index;
  }

  get index(): LogIndex {
    return this.#index;
  }

  /** Cluster time of the last applied entry. */
  get time(): number {
    return this.#time;
  }

  get membership(): Membership {
    return this.#membership;
  }

  get meta(): AppliedMeta {
    return { index: this.#index, term: this.#term, time: this.#time, membership: this.#membership };
  }

  /** Whether anything was applied that no write has taken yet. */
  get pending(): boolean {
    return this.#index > this.#persistedIndex;
  }

  /** Keys and values changed and not yet taken, in bytes. */
  get pendingBytes(): number {
    return this.#changedBytes;
  }

  /** Applies the next entries. What the machine throws goes to the caller, who must stop the member. */
  apply(entries: readonly Entry[]): void {
    for (const entry of entries) {
      invariant(entry.index === this.#index + 1, () => `entry ${entry.index} applied after ${this.#index}`);
      if (isConfChange(entry.type)) this.#reconfigure(entry);
      else if (entry.data.byteLength === 0) this.#pass(entry);
      else this.#command(entry);
    }
  }

  /** Hands over what was applied up to now, if the log is committed that far. */
  take(commit: LogIndex): AppliedChanges | undefined {
    if (!this.pending || this.#index > commit) return undefined;
    const taken = { meta: this.meta, changes: this.#changes };
    this.#changes = [];
    this.#changedBytes = 0;
    this.#persistedIndex = this.#index;
    return taken;
  }

  /** Starts over from stored records: at start, and when a snapshot has replaced them. */
  async restore(records: AsyncIterable<readonly StateRecord[]>, meta: AppliedMeta): Promise<void> {
    this.#changes = [];
    this.#changedBytes = 0;
    await this.#machine.restore(records, meta);
    this.#index = meta.index;
    this.#term = meta.term;
    this.#time = meta.time;
    this.#persistedIndex = meta.index;
    this.#membership = meta.membership;
  }

  #command(entry: Entry): void {
    const { time, command } = decodeStamped(entry.data);
    this.#moveTo(entry, time);
    const { output, changes } = this.#machine.apply(command, {
      index: entry.index,
      term: entry.term,
      time: this.#time,
    });
    for (const change of changes) {
      this.#changes.push(change);
      this.#changedBytes += change.key.byteLength + (change.value?.byteLength ?? 0);
    }
    this.#host.applied({ index: entry.index, time: this.#time, output }, entry);
  }

  #pass(entry: Entry): void {
    this.#moveTo(entry, this.#time);
    this.#host.passed(entry);
  }

  #reconfigure(entry: Entry): void {
    const change = decodeConfChange(entry);
    const confState = this.#host.reconfigure(change);
    this.#moveTo(entry, this.#time);
    this.#membership = changeMembers(this.#membership, change, confState);
    this.#host.membershipChanged(this.#membership);
    this.#host.passed(entry);
  }

  /** A leader's clock may be behind its predecessor's last stamp: cluster time stands still until it has caught up. */
  #moveTo(entry: Entry, time: number): void {
    this.#index = entry.index;
    this.#term = entry.term;
    this.#time = Math.max(this.#time, time);
  }
}
