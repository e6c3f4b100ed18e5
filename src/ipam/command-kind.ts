/**
 * The kinds of commands, and what tells the kind of one that is encoded. It is asked of every command that is proposed and
 * applied for as long as some later kind is not in use, so it looks at the command's head and leaves the rest unread.
 */
import { Reader } from 'protobufjs/minimal.js';
import type { CommandKind } from '#ipam/command.js';

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
  'register-run',
  'drain-overlay',
  'return-overlays',
  'replace-agent',
  'mark-branch',
  'begin-adoption-on-proof',
  'register-held',
  'end-adoption-although',
];

/**
 * Those of them that came after the first release, in the order in which they came: a leader proposes one only once every
 * master knows it. Whoever adds a kind adds it here, too; and a field that
 * changes what a command does makes it another kind, since an older master would carry it out without that field.
 */
export const laterCommandKinds: readonly CommandKind[] = [
  'record-membership',
  'register-run',
  'drain-overlay',
  'return-overlays',
  'replace-agent',
  'mark-branch',
  'begin-adoption-on-proof',
  'register-held',
  'end-adoption-although',
];

/** Kinds that came in one release with another one, which stands for them: a master that knows that one knows them all. */
const cameWith: ReadonlyMap<string, CommandKind> = new Map<CommandKind, CommandKind>([
  ['register-run', 'mark-branch'],
  ['drain-overlay', 'mark-branch'],
  ['return-overlays', 'mark-branch'],
  ['replace-agent', 'mark-branch'],
  ['begin-adoption-on-proof', 'mark-branch'],
  ['register-held', 'mark-branch'],
  ['end-adoption-although', 'mark-branch'],
]);

/** Those of the later kinds that stand for a release: what a leader asks the others for. */
export const releaseKinds = laterCommandKinds.filter((kind) => !cameWith.has(kind));

/** The kind in `releaseKinds` that stands for that of an encoded command; another text for one of the first release. */
export function releaseKindOf(bytes: Uint8Array): CommandKind | '' {
  const kind = commandKindOf(bytes);
  return cameWith.get(kind) ?? kind;
}

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
