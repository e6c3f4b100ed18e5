/**
 * Changes of voters and of the leader, one step at a time, by the leader. A master that votes is made a learner before
 * it goes, so that it still answers those that stay until they all know; and no step is taken after which those that
 * vote could not go on.
 */

import { RefusedError } from '#api/refusal.js';
import { revokeRemoved } from '#master/access/member-identity.js';
import { memberMessages } from '#master/members/member-account.js';
import { recorded } from '#master/members/membership-history.js';
import {
  change,
  controlOf,
  type MembershipServiceOptions,
  memberNamed,
  messageOf,
  nameOf,
  votes,
} from '#master/members/membership-step.js';
import type { sublet } from '#proto/sublet.js';
import { isVotingMember } from '#replica/members/membership-change.js';
import { spaceText } from '#replica/ports/member-report.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { formatDuration } from '#text/duration.js';
import type { Caller } from '#tls/caller.js';

/** Election timeouts that another member may take to lead. */
const transferTimeouts = 3;
/** Between two looks at the members that answer, in ms. */
const lookAgainMs = 50;
const wayToReplace = 'add and promote another one first';

export async function promoteMember(
  options: MembershipServiceOptions,
  name: string,
  caller: Caller,
): Promise<sublet.v1.Member.$Properties> {
  const action = `promote member ${name}`;
  const member = memberNamed(options, name, 'promote');
  await checkQuorum(options, action, { joins: member });
  await recorded(options, caller, { kind: 'promote', master: member }, () =>
    change(options, action, { kind: 'promote', member: member.id }),
  );
  return messageOf(options, member.id);
}

export async function removeMember(
  options: MembershipServiceOptions,
  name: string,
  caller: Caller,
): Promise<sublet.v1.Member.$Properties[]> {
  const action = `remove member ${name}`;
  const member = memberNamed(options, name, 'remove');
  await handOverIfLeading(options, action, member);
  await recorded(options, caller, { kind: 'remove', master: member }, async () => {
    if (votes(options, member)) {
      await checkQuorum(options, action, { leaves: member });
      await change(options, action, { kind: 'demote', member: member.id });
    }
    await change(options, action, { kind: 'remove', member: member.id });
  });
  await revokeRemoved(options, name, caller);
  return memberMessages(options.log.status(), options);
}

export async function replaceMember(
  options: MembershipServiceOptions,
  { name, by }: { readonly name: string; readonly by: string },
  caller: Caller,
): Promise<sublet.v1.Member.$Properties[]> {
  const action = `replace member ${name} by ${by}`;
  const member = memberNamed(options, name, 'replace');
  const successor = memberNamed(options, by, 'replace');
  if (member.id === successor.id) {
    throw new RefusedError('invalid-argument', `${action}: the name of another master is needed`);
  }
  if (votes(options, member) && votes(options, successor)) {
    const way = `to have one voter fewer, \`sublet members remove ${name}\``;
    throw new RefusedError('failed-precondition', `${action}: ${by} votes already; ${way}`);
  }
  await handOverIfLeading(options, action, member);
  await recorded(options, caller, { kind: 'replace', master: member, by: successor }, async () => {
    // If the outcome of an earlier try was lost half-way, only the removal is left to do.
    if (votes(options, member)) {
      await checkQuorum(options, action, { leaves: member, joins: successor });
      await change(options, action, { kind: 'replace', member: member.id, by: successor.id });
    } else if (!votes(options, successor)) {
      const way = `\`sublet members remove ${name}\` and \`sublet members promote ${by}\``;
      throw new RefusedError('failed-precondition', `${action}: neither of them votes; ${way}`);
    }
    await change(options, action, { kind: 'remove', member: member.id });
  });
  await revokeRemoved(options, name, caller);
  return memberMessages(options.log.status(), options);
}

/** @throws RefusedError `unavailable` when the leader is to go: the caller's master tries again, at the next one */
async function handOverIfLeading(options: MembershipServiceOptions, action: string, member: MemberInfo): Promise<void> {
  const { self, membership } = options.log.status();
  if (member.id !== self.id) return;
  if (membership.confState.voters.length === 1) {
    throw new RefusedError('failed-precondition', `${action}: it is the only one that votes; ${wayToReplace}`);
  }
  const leader = await transfer(options, '');
  throw new RefusedError('unavailable', `${action}: it has handed over to ${leader}; ask again`);
}

/**
 * A change must not leave voters most of which do not answer: it could neither be completed nor taken back. A new
 * leader listens for an election timeout first.
 * @throws RefusedError
 */
async function checkQuorum(
  options: MembershipServiceOptions,
  action: string,
  { joins, leaves }: { readonly joins?: MemberInfo; readonly leaves?: MemberInfo },
): Promise<void> {
  const { clock, electionTimeoutMs, leadership, log } = options;
  const until = clock.now() + electionTimeoutMs;
  for (;;) {
    const { voters } = log.status().membership.confState;
    const wanted = [...voters.filter((id) => id !== leaves?.id), ...(joins === undefined ? [] : [joins.id])];
    const all = memberMessages(log.status(), options).filter(({ id }) => wanted.some((voter) => voter === id));
    const dead = all.filter(({ alive }) => alive !== true).map(({ name }) => name ?? '');
    const needed = Math.floor(all.length / 2) + 1;
    const newcomer = all.find(({ id }) => id === joins?.id);
    const newcomerDead = newcomer !== undefined && newcomer.alive !== true;
    // A leader that has just come does not know yet what a learner has.
    const isKnown = newcomer === undefined || (newcomer.matchIndex ?? 0) > 0;
    if (isKnown && !newcomerDead && all.length - dead.length >= needed) return;
    if (clock.now() >= until) {
      if (newcomerDead) {
        throw new RefusedError('failed-precondition', `${action}: ${joins?.name} is not heard of: start it first`);
      }
      // The replica says what the newcomer lacks.
      if (all.length - dead.length >= needed) return;
      const state = `${all.length} would vote, of whom ${needed} are needed, and ${dead.join(', ')} ${dead.length === 1 ? 'is' : 'are'} not heard of`;
      throw new RefusedError(
        'failed-precondition',
        `${action}: ${state}: start, replace or remove ${dead.join(', ')} first`,
      );
    }
    await leadership.changed(Math.min(lookAgainMs, until - clock.now()));
    if (leadership.seat.kind !== 'here') throw new RefusedError('unavailable', `${action}: this master does not lead`);
  }
}

/** @throws RefusedError when no member took over in time. Returns the leader. */
export async function transfer(options: MembershipServiceOptions, to: string): Promise<string> {
  const { leadership, electionTimeoutMs, clock } = options;
  const status = options.log.status();
  const target = to === '' ? undefined : memberNamed(options, to, 'transfer to');
  if (target?.id === status.self.id) return status.self.name;
  if (target !== undefined && !isVotingMember(status.membership.confState, target.id)) {
    throw new RefusedError('failed-precondition', `transfer to ${to}: it does not vote; promote it first`);
  }
  if (target !== undefined && messageOf(options, target.id).alive === false) {
    throw new RefusedError('failed-precondition', `transfer to ${to}: it is not heard of; start it first`);
  }
  const report = status.peers.find(({ member }) => member.id === target?.id)?.report;
  if (target !== undefined && report?.space.low === true && status.space.problem === undefined) {
    const why = `its disk is nearly full (${spaceText(report.space)}), and it would hand over again`;
    throw new RefusedError('failed-precondition', `transfer to ${to}: ${why}; free space on it first`);
  }
  const asked = controlOf(options).transferLeadership(target?.id);
  if (asked === undefined) {
    throw new RefusedError('failed-precondition', `transfer: ${status.self.name} leads, and no other member votes`);
  }
  const until = clock.now() + transferTimeouts * electionTimeoutMs;
  while (leadership.seat.kind !== 'member' && clock.now() < until) await leadership.changed(until - clock.now());
  const { seat } = leadership;
  if (seat.kind === 'member') return seat.member.name;
  const name = nameOf(status, asked);
  throw new RefusedError(
    'failed-precondition',
    `transfer: ${name} did not take over within ${formatDuration(transferTimeouts * electionTimeoutMs)}; \`sublet members\` tells who is up and caught up`,
  );
}
