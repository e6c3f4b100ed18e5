/** Configuration changes as the files write them: `v1 l4 r5 u2` (README of the conformance folder, 4.3). */

import { CommandError } from '#cluster-test/conformance/output.js';
import { parseNumber } from '#cluster-test/conformance/script.js';
import type { ConfChangeOperation } from '#raft/confchange/conf-change.js';
import { memberId } from '#raft/log/entry.js';

const letters = new Map<string, ConfChangeOperation['kind']>([
  ['v', 'add-voter'],
  ['l', 'add-learner'],
  ['r', 'remove'],
  ['u', 'update'],
]);

/** Throws `CommandError` on an unknown operation. */
export function parseOperations(input: string): readonly ConfChangeOperation[] {
  const text = input.trim();
  return text === '' ? [] : text.split(' ').map(parseOperation);
}

function parseOperation(token: string): ConfChangeOperation {
  if (token.length < 2) {
    throw new CommandError(`unknown token ${token}`);
  }
  const kind = letters.get(token.slice(0, 1));
  if (kind === undefined) {
    throw new CommandError(`unknown input: ${token}`);
  }
  return { kind, member: memberId(parseNumber(token.slice(1))) };
}
