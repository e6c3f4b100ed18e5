/** Waiting for somebody to lead: what a program does first after its member has started. */
import type { Clock } from '#replica/clock.js';
import type { MemberInfo } from '#replica/membership.js';
import { ProposeError, type ReplicatedLog } from '#replica/replicated-log.js';

/** @throws ProposeError `timeout`, as a rejection */
export function awaitLeader(
  log: Pick<ReplicatedLog<unknown>, 'status' | 'onLeadership'>,
  clock: Clock,
  withinMs: number,
): Promise<MemberInfo> {
  const known = leaderOf(log);
  if (known !== undefined) return Promise.resolve(known);
  return new Promise((resolve, reject) => {
    const unsubscribe = log.onLeadership(() => {
      const leader = leaderOf(log);
      if (leader === undefined) return;
      unsubscribe();
      cancel();
      resolve(leader);
    });
    const cancel = clock.after(withinMs, () => {
      unsubscribe();
      reject(new ProposeError('timeout', `no leader is known after ${withinMs} ms`));
    });
  });
}

function leaderOf(log: Pick<ReplicatedLog<unknown>, 'status'>): MemberInfo | undefined {
  const { leader, leaderReady, self } = log.status();
  return leader?.id === self.id && !leaderReady ? undefined : leader;
}
