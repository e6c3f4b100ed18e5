/** What changes of the masters do, in words, by the account of the leader. The masters look again when a change is made. */
import { clusterService } from '#api/services.js';
import { exitCodes, Failure } from '#cli/failure.js';
import type { Consequences } from '#cli/operator/consent.js';
import type { Operator } from '#cli/operator/operator.js';
import { count } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';
import { promoteLagMax } from '#replica/members/membership-change.js';

type Client = Operator['client'];
type Member = sublet.v1.Member.$Properties;

export type Newcomer = { readonly name: string; readonly peer: string };

const LEARNER = sublet.v1.MemberRole.MEMBER_ROLE_LEARNER;
const again = { idempotent: true } as const;

/** Whether this learner may be given a vote now: the leader hears it, and it lacks little of the log. */
export function isCaughtUp({ alive, matchIndex, lag }: Member): boolean {
  return alive === true && (matchIndex ?? 0) > 0 && (lag ?? Number.POSITIVE_INFINITY) <= promoteLagMax;
}

async function membersOf(client: Client): Promise<sublet.v1.ListMembersResponse> {
  return client.call(clusterService.listMembers, {}, again);
}

/** @throws Failure naming those that there are */
function memberNamed(members: readonly Member[], name: string): Member {
  const found = members.find((member) => member.name === name);
  if (found !== undefined) return found;
  const names = members.map((member) => member.name ?? '').join(', ');
  throw new Failure(exitCodes.refused, `there is no master "${name}": there is ${names || 'none'}`);
}

export async function additions(client: Client, { name, peer }: Newcomer): Promise<Consequences> {
  const { members } = await membersOf(client);
  const known = members.find((member) => member.name === name);
  if (known !== undefined && known.peer !== peer) {
    throw new Failure(exitCodes.refused, `there is a master "${name}" at ${known.peer ?? ''} already`, [
      'Give the new one another name, or: sublet members move',
    ]);
  }
  if (known !== undefined) return [`${name} at ${peer} is a member already: nothing changes.`];
  return [
    `${name} at ${peer} becomes a learner: it follows the log and has no vote. The ${count(votersIn(members))} votes stay as they are.`,
    `The masters first ask ${name} whether it waits there (sublet master --join). That is not tried now.`,
  ];
}

export async function promotion(client: Client, name: string): Promise<Consequences> {
  const { members } = await membersOf(client);
  const member = memberNamed(members, name);
  if (member.role !== LEARNER) return [`${name} votes already: nothing changes.`];
  const votes = votersIn(members);
  if (!isCaughtUp(member)) {
    throw new Failure(exitCodes.refused, `${name} has not caught up: the masters refuse until it has`, [
      'sublet members',
    ]);
  }
  return [`${name} has caught up, and gets a vote.`, votesBecome(votes, votes + 1)];
}

/** `successor` without an address is a learner. */
export async function succession(client: Client, name: string, successor: Newcomer | string): Promise<Consequences> {
  const { members } = await membersOf(client);
  const old = memberNamed(members, name);
  const by = typeof successor === 'string' ? memberNamed(members, successor).name : successor.name;
  const added =
    typeof successor === 'string'
      ? `${by} gets the vote once it has caught up.`
      : `${by} at ${successor.peer} is added as a learner, and gets the vote once it has caught up.`;
  return [
    added,
    `Master ${name} at ${old.peer ?? ''} is removed for good in the same step. Its process stops, and its data is of no more use.`,
    'It can’t be undone.',
  ];
}

export async function moves(client: Client, moved: readonly Newcomer[]): Promise<Consequences> {
  const { members } = await membersOf(client);
  const lines = moved.map(({ name, peer }) => {
    const from = memberNamed(members, name).peer ?? '';
    return from === peer
      ? `${name} is recorded at ${peer} already: nothing changes.`
      : `${name} is recorded at ${peer} in the place of ${from}, if it answers there with its own data.`;
  });
  return [lines[0] ?? '', ...lines.slice(1)];
}

/** `to` empty: the one with the longest log. */
export async function transferOf(client: Client, to: string): Promise<Consequences> {
  const { members, leader } = await membersOf(client);
  if (leader === '') throw new Failure(exitCodes.refused, 'there is no leader that could hand over', ['sublet status']);
  if (to === leader) return [`${to} leads already: nothing changes.`];
  if (to === '') return [`${leader} hands over to the master with the longest log, without a pause for callers.`];
  const target = memberNamed(members, to);
  if (target.role === LEARNER) throw new Failure(exitCodes.refused, `${to} is a learner, and has no vote`);
  if (target.alive === false) throw new Failure(exitCodes.refused, `${to} is dead`, ['sublet members']);
  return [`${leader} hands over to ${to}, without a pause for callers.`];
}

function votersIn(members: readonly Member[]): number {
  return members.filter(({ role }) => role !== LEARNER).length;
}

export function votesBecome(before: number, after: number): string {
  const quorum = Math.floor(after / 2) + 1;
  return `${count(before)} voters become ${count(after)}: ${count(quorum)} of them must be up, ${count(after - quorum)} may be down.`;
}
