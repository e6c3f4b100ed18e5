/** Masters that stopped for good, with the reason that they gave: where they ran, it is in their own log alone. */
import type { Warning } from '#master/cluster-service.js';
import type { ReplicaStatus } from '#replica/replicated-log.js';

export function endedWarnings({ peers }: Pick<ReplicaStatus, 'peers'>): readonly Warning[] {
  return peers.flatMap(({ member, report }) =>
    report?.ended === undefined ? [] : [{ message: `${member.name} stopped by itself: ${report.ended}`, remedy: '' }],
  );
}
