import type { Warning } from '#master/warning.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';

export function endedWarnings({ peers }: Pick<ReplicaStatus, 'peers'>): readonly Warning[] {
  return peers.flatMap(({ member, report }) =>
    report?.ended === undefined ? [] : [{ message: `${member.name} stopped by itself: ${report.ended}`, remedy: '' }],
  );
}
