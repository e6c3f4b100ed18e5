/** The events of a member at work. `Replica` alone receives them: in order, and each before the state that it names changes. */
import type { LogIndex } from '#raft/log/entry.js';
import type { LeadershipNotice } from '#replica/fitness/leadership-state.js';
import type { Applied } from '#replica/ports/replicated-log.js';

export type ActiveReplicaEvent<Output> =
  | { readonly kind: 'applied'; readonly applied: Applied<Output> }
  /** A snapshot replaced the state. */
  | { readonly kind: 'restored'; readonly index: LogIndex }
  /** On a leader: this peer's store has acknowledged `index`, which is committed. Emitted again and again. */
  | { readonly kind: 'acknowledged'; readonly storeId: string; readonly index: number }
  | { readonly kind: 'leadership'; readonly notice: LeadershipNotice }
  /** The member has stopped by itself: `fatal` or `removed` was observed. */
  | { readonly kind: 'ended' };

export type EmitActiveReplicaEvent<Output> = (event: ActiveReplicaEvent<Output>) => void;
