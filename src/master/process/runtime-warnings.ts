import type { Warning } from '#master/warning.js';
import { badNode } from '#runtime/node-releases.js';

export function runtimeWarnings(bad: string | undefined = badNode()): readonly Warning[] {
  if (bad === undefined) return [];
  return [{ message: bad, remedy: 'start this master on that one; until then it listens on loopback only' }];
}
