/**
 * What the history says of the masters. The members are in the log's own configuration, not in the plan: an entry here
 * names the author of a change, and binds no member.
 */
import type { MasterChange, MasterName, RecordMembership } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { masterNameLengthMax, masterPeerLengthMax } from '#ipam/limits.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { masterEntry } from '#ipam/view/history.js';

export function recordMembership(writer: PlanWriter, { change }: RecordMembership): Reply | Refusal {
  const masters = mastersOf(change);
  for (const master of masters) {
    const wrong = wrongWith(change, master);
    if (wrong !== undefined) return wrong;
  }
  const names = masters.map(({ name }) => name);
  writer.note(masterEntry[change.kind], writer.origin.by, names, detailOf(change));
  return done();
}

function mastersOf(change: MasterChange): readonly MasterName[] {
  return change.kind === 'replace' ? [change.master, change.by] : [change.master];
}

/** Where they are reached, too: once a master is gone, nothing else says it. */
function detailOf(change: MasterChange): string {
  const { kind, master } = change;
  if (kind === 'replace') return `${placed(master)} by ${placed(change.by)}`;
  return kind === 'add' ? `at ${master.peer}, as a learner` : `at ${master.peer}`;
}

function placed({ name, peer }: MasterName): string {
  return `${name} at ${peer}`;
}

/** Names and addresses have been judged where they entered; here it is what they may fill the history with. */
function wrongWith({ kind }: MasterChange, { name, peer }: MasterName): Refusal | undefined {
  const fields = [
    { field: 'name', text: name, max: masterNameLengthMax },
    { field: 'peer', text: peer, max: masterPeerLengthMax },
  ];
  const wrong = fields.find(({ text, max }) => text.length === 0 || text.length > max);
  if (wrong === undefined) return undefined;
  const { field, text, max } = wrong;
  const message = `record-membership: ${kind}: the ${field} of a master has ${text.length} characters: 1 to ${max} are allowed`;
  return refuse('invalid-argument', field, message);
}
