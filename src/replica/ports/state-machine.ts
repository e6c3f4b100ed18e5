/**
 * What a replica replicates. The state is a set of records (key → value) that the replica stores along with
 * the log, so that a restart loads records instead of replaying history, and a snapshot is the records
 * themselves. The machine keeps whatever it likes in memory beside them.
 */
import type { LogIndex, Term } from '#raft/log/entry.js';

/**
 * A record put (`value`) or deleted (`value` undefined). Keys are 1–512 bytes, values up to 1 MiB. Both are written
 * asynchronously: do not mutate them after returning.
 */
export type RecordChange = { readonly key: Uint8Array; readonly value: Uint8Array | undefined };

export type StateRecord = { readonly key: Uint8Array; readonly value: Uint8Array };

export type ApplyPosition = {
  readonly index: LogIndex;
  readonly term: Term;
  /**
   * Cluster time of the command in ms: never goes back, and runs at the pace of the leader's monotonic clock.
   * It starts at 0 with the cluster and has nothing to do with the time of day.
   */
  readonly time: number;
};

export type StateMachine<Output> = {
  /**
   * Applies one committed command, whose bytes are the log's own: they are not to be changed. Deterministic: the same
   * commands at the same positions give the same output and changes on every member. A refusal is an output. It throws only when the command is of a kind or a
   * format that this version does not know, or an invariant is broken. Whatever it throws stops the replica, or its
   * state would differ from its peers'; the message is what an operator reads.
   */
  apply(command: Uint8Array, at: ApplyPosition): { readonly output: Output; readonly changes: readonly RecordChange[] };
  /**
   * Replaces the whole state by these records (start, snapshot). Record order is ascending by key bytes. On a member at work
   * reads go on meanwhile: the new state is made beside the former one, and put in its place at once.
   */
  restore(records: AsyncIterable<readonly StateRecord[]>, at: ApplyPosition): Promise<void>;
};
