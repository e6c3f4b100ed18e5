/** Waiting for a leader: what a program does first after its member has started. */

import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';
import { formatDuration } from '#text/duration.js';

/** The part of a replica that shows the leader, and tells waiting callers that it has stopped. */
export type LeaderSource = Pick<ReplicatedLog<unknown>, 'status' | 'onLeadership'> & {
  /** Calls the listener once, with the error for the callers that wait. Returns the unsubscriber. */
  onStopped(listener: (error: ProposeError) => void): () => void;
};

/** @throws ProposeError `timeout`, `stopped`, as a rejection */
export function awaitLeader(log: LeaderSource, clock: Clock, withinMs: number): Promise<MemberInfo> {
  const known = leaderOf(log);
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((resolve, reject) => {
    const ends = [
      log.onLeadership(() => {
        const leader = leaderOf(log);
        if (leader !== undefined) end(() => resolve(leader));
      }),
      log.onStopped((error) => end(() => reject(error))),
      clock.after(withinMs, () =>
        end(() => reject(new ProposeError('timeout', `no leader is known after ${formatDuration(withinMs)}`))),
      ),
    ];
    const end = (settle: () => void): void => {
      for (const cancel of ends) cancel();
      settle();
    };
  });
}

function leaderOf(log: Pick<ReplicatedLog<unknown>, 'status'>): MemberInfo | undefined {
  const { leader, leaderReady, self } = log.status();
  return leader?.id === self.id && !leaderReady ? undefined : leader;
}
