/** Changes of the masters as the log holds them (sublet.store.v1.RecordMembership). */

import { present, RecordError } from '#ipam/codec/wire.js';
import type { MasterChange, MasterName } from '#ipam/commands/command.js';
import type { sublet } from '#proto/sublet.js';

type Stored = sublet.store.v1.RecordMembership.$Properties;

/** The field of each change of one master. */
const fields = { add: 'added', promote: 'promoted', remove: 'removed' } as const;

export function toMasterChange(change: MasterChange): Stored {
  if (change.kind === 'replace') return { replaced: { master: { ...change.master }, by: { ...change.by } } };
  return { [fields[change.kind]]: { ...change.master } };
}

/** @throws RecordError */
export function masterChangeOf(stored: Stored): MasterChange {
  const { replaced } = stored;
  if (replaced != null) return { kind: 'replace', master: nameOf(replaced.master), by: nameOf(replaced.by) };
  for (const kind of ['add', 'promote', 'remove'] as const) {
    const master = stored[fields[kind]];
    if (master != null) return { kind, master: nameOf(master) };
  }
  throw new RecordError('a change of the masters is of a kind that this version does not know');
}

function nameOf(stored: sublet.store.v1.Master.$Properties | null | undefined): MasterName {
  const { name, peer } = present(stored, 'master');
  return { name: name ?? '', peer: peer ?? '' };
}
