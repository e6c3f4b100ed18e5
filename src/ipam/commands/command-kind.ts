/**
 * The kinds of commands, and the kind of an encoded one. While a later kind is not in use, it is read of every command that
 * is proposed or applied, so only the head of the command is looked at.
 */
import { Reader } from 'protobufjs/minimal.js';
import type { CommandKind } from '#ipam/commands/command.js';

/** Every kind that this version knows, in the order of their numbers: what a member advertises. */
export const commandKinds: readonly CommandKind[] = [
  'configure-network',
  'update-network',
  'add-overlay',
  'update-overlay',
  'remove-overlay',
  'register',
  'report-status',
  'leave',
  'release',
  'expire',
  'reserve',
  'unreserve',
  'exclude',
  'unexclude',
  'begin-adoption',
  'end-adoption',
  'record-membership',
  'drain-overlay',
  'return-overlays',
  'replace-agent',
  'mark-branch',
  'create-token',
  'use-token',
  'revoke-token',
  'revoke-identity',
  'unrevoke-identity',
  'record-backup',
];

/**
 * The kinds of `commandKinds` that came after the first release, in the order in which they came. A leader proposes one
 * only once every master has said that it can apply it. A release that adds a kind adds it here too. A field that changes
 * what a command does makes it another kind, since an older master would apply the command without that field. Nothing is
 * released yet, so there is none.
 */
export const laterCommandKinds: readonly CommandKind[] = [];

/** The field of sublet.store.v1.Command that holds the action of the first kind; those of the others follow. */
const firstField = 16;
const delimited = 2;

/** The kind of an encoded command; empty for one that this version does not know, and for what is none. */
export function commandKindOf(bytes: Uint8Array): CommandKind | '' {
  const reader = Reader.create(bytes);
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      const kind = commandKinds[(tag >>> 3) - firstField];
      if (kind !== undefined && (tag & 7) === delimited) return kind;
      reader.skipType(tag & 7);
    }
  } catch {
    // protobufjs has no error type of its own: whatever it is, the bytes are no command.
  }
  return '';
}
