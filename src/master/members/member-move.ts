/**
 * Has the cluster record another address of a master. Its id, its store and its vote stay; the new address is asked for
 * the identity of its master first, so that an address of another master, or of none, is never recorded.
 */

import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';
import { recorded } from '#master/members/membership-history.js';
import {
  change,
  controlOf,
  type MembershipServiceOptions,
  memberNamed,
  messageOf,
} from '#master/members/membership-step.js';
import type { sublet } from '#proto/sublet.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { Caller } from '#tls/caller.js';

export async function moveMember(
  options: MembershipServiceOptions,
  { name, peer }: { readonly name: string; readonly peer: string },
  caller: Caller,
): Promise<sublet.v1.Member.$Properties> {
  const { moves } = options.log.status();
  const named = memberNamed(options, name, 'move');
  // As recorded: where it is called at this master may be what is to be recorded now.
  const member = moves.find((move) => move.member.id === named.id)?.member ?? named;
  const action = `move member ${name}`;
  // A retry of what has been done is done.
  if (member.peer === peer) return messageOf(options, member.id);
  await checkWhoAnswers(options, action, member, peer);
  await recorded(options, caller, { kind: 'replace', master: member, by: { name, peer } }, () =>
    change(options, action, { kind: 'move', member: member.id, peer }),
  );
  return messageOf(options, member.id);
}

/** @throws RefusedError unless the master with this very store answers there */
async function checkWhoAnswers(
  options: MembershipServiceOptions,
  action: string,
  { name, storeId }: MemberInfo,
  peer: string,
): Promise<void> {
  const refused = (why: string): RefusedError =>
    new RefusedError('failed-precondition', `${action} to ${peer}: ${why}`);
  const hello = await controlOf(options)
    .hello(peer)
    .catch((error: unknown) => {
      const why = errorText(error);
      throw refused(`no master answers there: ${why}; start ${name} there first, with the data that it has`);
    });
  if (hello.storeId === storeId) return;
  throw refused(
    hello.name === name
      ? `the master there is named ${name}, but has another store: its data was lost, and it can not take the place of the one that is recorded`
      : `it is ${hello.name} that answers there`,
  );
}
