/**
 * One batch in the making: the operations, and the head that is true once they are durable. Each step checks
 * the invariants of Raft that a caller could break; `seal` checks those that hold between the parts.
 */
import { strict as assert } from 'node:assert';
import type { Entry, HardState, LogIndex } from '#raft/log/entry.js';
import { entryRecord, entrySum } from '#replica/driver/entry-record.js';
import type { LogWrite } from '#replica/ports/log-store.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { RecordChange } from '#replica/ports/state-machine.js';
import type { KeyRange, KeyValueOperation } from '#storage/key-value.js';
import { encodeHead, type Head } from '#storage/records/head-record.js';
import { entryKey, entryRange, headKey, membershipKey, stateKey, stateRange } from '#storage/records/keys.js';
import type { LogSums } from '#storage/records/log-sums.js';
import { encodeMembershipRecord } from '#storage/records/membership-record.js';
import { type RecordSums, recordName } from '#storage/records/record-sums.js';
import { encodeStateRecord } from '#storage/records/state-record.js';
import type { StagedGeneration } from '#storage/snapshots/snapshot-staging.js';

/** What the store knows of its content; the sums run ahead of the disk while a batch is written. */
export type StoreContent = {
  readonly head: Head;
  readonly logSums: LogSums;
  readonly recordSums: RecordSums;
  /** The object last written, so that an unchanged one is not encoded again. */
  readonly membership: Membership | undefined;
};

type Mutable<Type> = { -readonly [Name in keyof Type]: Type[Name] };

export class WriteDraft {
  readonly #operations: KeyValueOperation[] = [];
  readonly #garbage: KeyRange[] = [];
  readonly #head: Mutable<Head>;
  readonly #logSums: LogSums;
  #recordSums: RecordSums;
  #membership: Membership | undefined;

  constructor(content: StoreContent) {
    this.#head = { ...content.head, sequence: content.head.sequence + 1 };
    this.#logSums = content.logSums;
    this.#recordSums = content.recordSums;
    this.#membership = content.membership;
  }

  /** The first state of a member: the log begins after `meta`. */
  bootstrap(memberId: Head['memberId'], meta: AppliedMeta): void {
    assert.equal(this.#head.generation, 0, 'bootstrap: the store has a state already');
    this.#head.memberId = memberId;
    this.#head.generation = this.#head.lastGeneration + 1;
    this.#head.lastGeneration = this.#head.generation;
    this.#restartLog(meta);
  }

  /** The staged state takes the place of the present one; the log restarts after it. */
  install(staged: StagedGeneration): void {
    const { meta, generation } = staged;
    const first = this.#head.generation === 0;
    assert(first || meta.index > this.#head.applied.index, `install: snapshot at ${meta.index} is behind the state`);
    if (first) {
      const self = meta.membership.members.find(({ storeId }) => storeId === this.#head.storeId);
      assert(self !== undefined, `install: no member of the snapshot has store ${this.#head.storeId}`);
      this.#head.memberId = self.id;
    }
    // What lies behind the snapshot may contradict it, and has to go at once; what lies before can't be read any more.
    this.#deleteEntries(meta.index + 1, this.#head.lastIndex);
    this.#garbage.push(entryRange(0, meta.index + 1), stateRange(this.#head.generation, this.#head.generation + 1));
    this.#head.generation = generation;
    this.#recordSums = staged.sums;
    this.#restartLog(meta);
  }

  /** Replaces whatever is stored from `entries[0].index` on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    const oldLast = this.#head.lastIndex;
    assert(first.index <= oldLast + 1, `append: entry ${first.index} after last entry ${oldLast}`);
    const commit = this.#head.hardState?.commit ?? this.#head.compacted.index;
    assert(first.index > commit, `append: entry ${first.index} would replace a committed one (commit ${commit})`);
    this.#logSums.truncate(first.index);
    let last: LogIndex = first.index;
    for (const [at, entry] of entries.entries()) {
      assert.equal(entry.index, first.index + at, 'append: entries with a gap');
      last = entry.index;
      const record = entryRecord(entry);
      this.#logSums.append(entrySum(record));
      this.#operations.push({ type: 'put', key: entryKey(last), value: record });
    }
    this.#deleteEntries(last + 1, oldLast);
    this.#head.lastIndex = last;
  }

  apply({ meta, changes }: NonNullable<LogWrite['applied']>): void {
    const before = this.#head.applied.index;
    assert(meta.index >= before, `applied index ${meta.index} behind the stored one, ${before}`);
    for (const [name, { key, value }] of lastOfEach(changes)) {
      const fullKey = stateKey(this.#head.generation, key);
      if (value === undefined) {
        this.#recordSums.delete(name);
        this.#operations.push({ type: 'del', key: fullKey });
      } else {
        const { stored, sum } = encodeStateRecord({ key, value });
        this.#recordSums.put(name, sum);
        this.#operations.push({ type: 'put', key: fullKey, value: stored });
      }
    }
    this.#stand(meta);
  }

  setHardState(hardState: HardState): void {
    const before = this.#head.hardState;
    assert(before === undefined || hardState.term >= before.term, 'hard state: the term goes back');
    assert(before === undefined || hardState.commit >= before.commit, 'hard state: the commit goes back');
    this.#head.hardState = hardState;
  }

  /** Entries up to and including `through` are forgotten, and deleted later. `termThere` is the term of the last of them. */
  compact(through: LogIndex, termThere: Entry['term']): void {
    this.#logSums.compact(through + 1);
    // From where the compaction before ended: ranges that meet are swept as one, however many wait.
    this.#garbage.push(entryRange(this.#head.compacted.index + 1, through + 1));
    this.#head.compacted = { index: through, term: termThere };
  }

  /** Hands out a generation that no crash can lead to hand out again. */
  newGeneration(): number {
    this.#head.lastGeneration += 1;
    return this.#head.lastGeneration;
  }

  /** The batch, the content it leads to, and the keys that nothing refers to after it. */
  seal(): {
    readonly operations: readonly KeyValueOperation[];
    readonly content: StoreContent;
    readonly garbage: readonly KeyRange[];
  } {
    const head: Head = { ...this.#head, logSum: this.#logSums.total, records: this.#recordSums.total() };
    const commit = head.hardState?.commit ?? 0;
    assert(head.applied.index <= commit, `applied index ${head.applied.index} beyond commit ${commit}`);
    assert(commit <= head.lastIndex, `commit ${commit} beyond last entry ${head.lastIndex}`);
    this.#operations.push({ type: 'put', key: headKey, value: encodeHead(head) });
    return {
      operations: this.#operations,
      content: { head, logSums: this.#logSums, recordSums: this.#recordSums, membership: this.#membership },
      garbage: this.#garbage,
    };
  }

  #restartLog(meta: AppliedMeta): void {
    this.#head.compacted = { index: meta.index, term: meta.term };
    this.#head.lastIndex = meta.index;
    this.#logSums.truncate(0);
    this.#logSums.compact(meta.index + 1);
    this.#stand(meta);
  }

  #stand({ index, term, time, membership }: AppliedMeta): void {
    this.#head.applied = { index, term, time };
    if (membership === this.#membership) return;
    this.#membership = membership;
    const { stored, sum } = encodeMembershipRecord(membership);
    this.#head.membershipSum = sum;
    this.#operations.push({ type: 'put', key: membershipKey, value: stored });
  }

  #deleteEntries(from: number, to: number): void {
    for (let index = from; index <= to; index++) this.#operations.push({ type: 'del', key: entryKey(index) });
  }
}

/** What many commands have done to each record, by its name: only the last of it is left on the disk. */
function lastOfEach(changes: readonly RecordChange[]): ReadonlyMap<string, RecordChange> {
  const last = new Map<string, RecordChange>();
  for (const change of changes) last.set(recordName(change.key), change);
  return last;
}
