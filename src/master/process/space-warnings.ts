import type { Warning } from '#master/warning.js';
import { spaceText } from '#replica/ports/member-report.js';
import type { ReplicaStatus } from '#replica/ports/replicated-log.js';

export function spaceWarnings({
  space,
  refusal,
  peers,
}: Pick<ReplicaStatus, 'space' | 'refusal' | 'peers'>): Warning[] {
  const warnings: Warning[] = [];
  if (refusal !== undefined) {
    warnings.push({ message: `changes are refused: ${refusal}`, remedy: 'free space on the disk of a master' });
  }
  if (space.problem !== undefined) {
    warnings.push({ message: space.problem, remedy: 'free space on the disk of this master' });
  }
  for (const { member, report } of peers) {
    if (report?.space.low !== true) continue;
    warnings.push({
      message: `the disk of ${member.name} is nearly full: ${spaceText(report.space)}`,
      remedy: `free space on the disk of ${member.name}`,
    });
  }
  return warnings;
}
