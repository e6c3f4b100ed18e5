/** What a member at work tells `Replica`, which tells its own listeners. */
import type { LogIndex } from '#raft/log/entry.js';
import type { LeadershipNotice } from '#replica/fitness/leadership-state.js';
import type { Applied } from '#replica/ports/replicated-log.js';

export type ActiveReplicaListener<Output> = {
  applied(applied: Applied<Output>): void;
  restored(index: LogIndex): void;
  /** On a leader: this peer's store has acknowledged `index`, which is committed. Called again and again. */
  acknowledged(storeId: string, index: number): void;
  leadership(notice: LeadershipNotice): void;
  /** The member has stopped by itself: `fatal` or `removed` was observed. */
  ended(): void;
};
