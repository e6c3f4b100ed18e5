/**
 * The replicated state as far as it is applied: drives the state machine through committed entries in order, and
 * keeps what they changed until the storage writer takes it along with a log write. Membership is part of it.
 */

import { invariant } from '#errors/invariant.js';
import { decodeConfChange, isConfChange } from '#raft/confchange/conf-change.js';
import type { Entry, LogIndex } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import { changeMembers } from '#replica/members/membership-change.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { Applied } from '#replica/ports/replicated-log.js';
import type { RecordChange, StateMachine, StateRecord } from '#replica/ports/state-machine.js';
import { decodeStamped } from '#replica/requests/cluster-time.js';

export type AppliedChanges = { readonly meta: AppliedMeta; readonly changes: readonly RecordChange[] };

export class AppliedState<Output> {
  readonly #machine: StateMachine<Output>;
  readonly #raft: Pick<Raft, 'applyConfChange'>;
  #index: LogIndex;
  #term: Entry['term'];
  #time: number;
  #membership: Membership;
  #changes: RecordChange[] = [];
  #changedBytes = 0;
  #persistedIndex: LogIndex;

  /** `start` is the stored state, already restored into the machine. */
  constructor(machine: StateMachine<Output>, raft: Pick<Raft, 'applyConfChange'>, start: AppliedMeta) {
    this.#machine = machine;
    this.#raft = raft;
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

  /**
   * Applies the next entry. Returns what came of its command; undefined: it carried none. A change of the configuration
   * is the core's, too, when this returns. What the machine throws goes to the caller, which must stop the member.
   */
  apply(entry: Entry): Applied<Output> | undefined {
    invariant(entry.index === this.#index + 1, () => `entry ${entry.index} applied after ${this.#index}`);
    if (isConfChange(entry.type)) this.#reconfigure(entry);
    else if (entry.data.byteLength === 0) this.#moveTo(entry, this.#time);
    else return this.#command(entry);
    return undefined;
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

  #command(entry: Entry): Applied<Output> {
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
    return { index: entry.index, time: this.#time, output };
  }

  #reconfigure(entry: Entry): void {
    const change = decodeConfChange(entry);
    const confState = this.#raft.applyConfChange(change);
    this.#moveTo(entry, this.#time);
    this.#membership = changeMembers(this.#membership, change, confState);
  }

  /** A leader's clock may be behind its predecessor's last stamp: cluster time stands still until it has caught up. */
  #moveTo(entry: Entry, time: number): void {
    this.#index = entry.index;
    this.#term = entry.term;
    this.#time = Math.max(this.#time, time);
  }
}
