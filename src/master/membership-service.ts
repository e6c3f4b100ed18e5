/**
 * The part of ClusterService that looks at the masters and changes who they are: one step at a time, each carried out by
 * the leader. A new master comes as a learner; a master that votes is made a learner before it goes, so that it still
 * answers those that stay until they all know.
 */
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import type { PeerCalls } from '#master/call-router.js';
import { type CallContext, type Endpoint, endpoint } from '#master/endpoint.js';
import type { Leadership } from '#master/leadership.js';
import { type MemberAccountOptions, memberMessages } from '#master/member-account.js';
import type { sublet } from '#proto/sublet.js';
import type { MemberId } from '#raft/entry.js';
import type { SnapshotSource } from '#replica/log-store.js';
import { spaceText } from '#replica/member-report.js';
import type { MemberInfo, Membership } from '#replica/membership.js';
import { isVoter, type MembershipChange, MembershipRefusedError } from '#replica/membership-change.js';
import type { MemberHello } from '#replica/peer-network.js';
import type { ReplicaStatus, ReplicatedLog } from '#replica/replicated-log.js';

/** What the masters' own log allows beyond `ReplicatedLog`: its members are ours to change. `Replica` implements it. */
export interface ClusterControl {
  /** @throws ProposeError, MembershipRefusedError */
  changeMembership(change: MembershipChange): Promise<Membership>;
  transferLeadership(to?: MemberId): MemberId | undefined;
  /** @throws ProposeError, StoreError */
  openSnapshot(options: { readonly fresh: boolean }): Promise<SnapshotSource>;
  /** Asks whoever listens at HOST:PORT who it is. */
  hello(peer: string): Promise<MemberHello>;
  /** The kinds of commands that may be in the log: a new member must know them all. */
  readonly commandKinds: readonly string[];
}

export type MembershipServiceOptions = MemberAccountOptions & {
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  /** Absent: the log's members are not changed through Sublet. */
  readonly control: ClusterControl | undefined;
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  readonly clusterId: string;
};

const namePattern = /^[a-z0-9.-]{1,63}$/;
const peerPattern = /^(\[[0-9a-fA-F:.]{2,}\]|[^\s:[\]]{1,253}):([0-9]{1,5})$/;
/** How long the leader may take for its account before the answer is given without, in ms. */
const leaderAccountMs = 1_000;
/** Election timeouts that another member may take to lead. */
const transferTimeouts = 3;

const write = { place: 'leader', idempotent: false } as const;

export function membershipEndpoints(options: MembershipServiceOptions): readonly Endpoint[] {
  return [
    endpoint(clusterService.listMembers, { place: 'here', idempotent: true, needsPlan: false }, (_, context) =>
      listMembers(options, context),
    ),
    endpoint(clusterService.addMember, write, async (request) => ({ member: await addMember(options, request) })),
    endpoint(clusterService.promoteMember, write, async ({ name }) => {
      const member = memberNamed(options, name, 'promote');
      if (messageOf(options, member.id).alive === false) {
        throw new RefusedError('failed-precondition', `promote member: ${name} is not heard of: start it first`);
      }
      await change(options, { kind: 'promote', member: member.id });
      return { member: messageOf(options, member.id) };
    }),
    endpoint(clusterService.removeMember, write, async ({ name }) => ({ members: await removeMember(options, name) })),
    endpoint(clusterService.transferLeadership, write, async ({ to }) => ({ leader: await transfer(options, to) })),
  ];
}

async function listMembers(
  options: MembershipServiceOptions,
  { forwarded }: CallContext,
): Promise<sublet.v1.ListMembersResponse.$Properties> {
  const { seat } = options.leadership;
  if (seat.kind === 'member' && !forwarded) {
    const { path, request, response } = clusterService.listMembers;
    try {
      const bytes = await options.peers.call(seat.member, path, request.encode({}).finish(), leaderAccountMs, '');
      return response.decode(bytes);
    } catch (error) {
      // It is asked for most when something is broken: then it goes out as it is known here.
      if (!(error instanceof RefusedError)) throw error;
    }
  }
  const status = options.log.status();
  return {
    clusterId: options.clusterId,
    leader: status.leader?.name ?? '',
    term: status.term,
    lastIndex: status.lastIndex,
    members: memberMessages(status, options),
    accountOf: status.self.name,
  };
}

async function addMember(
  options: MembershipServiceOptions,
  { name, peer }: { readonly name: string; readonly peer: string },
): Promise<sublet.v1.Member.$Properties> {
  if (!namePattern.test(name)) {
    throw new RefusedError('invalid-argument', `name: "${name}": 1 to 63 characters of [a-z0-9.-] are allowed`);
  }
  const port = Number(peerPattern.exec(peer)?.[2] ?? 0);
  if (port < 1 || port > 65_535) {
    throw new RefusedError('invalid-argument', `peer: "${peer}": HOST:PORT is needed, with a port from 1 to 65535`);
  }
  const storeId = await askNewcomer(options, name, peer);
  const known = options.log.status().membership.members.find((member) => member.name === name);
  // A retry of what has been done is done.
  if (known?.storeId !== storeId || known.peer !== peer) {
    await change(options, { kind: 'add-learner', name, peer, storeId });
  }
  return messageOf(options, memberNamed(options, name, 'add').id);
}

/** The store id of the master that waits there. @throws RefusedError unless it is one that can be added */
async function askNewcomer(options: MembershipServiceOptions, name: string, peer: string): Promise<string> {
  const { clusterId } = options;
  const control = controlOf(options);
  const unfit = (what: string): RefusedError =>
    new RefusedError('failed-precondition', `add member ${name}: the master at ${peer} ${what}`);
  const hello = await control.hello(peer).catch((error: unknown) => {
    const why = error instanceof Error ? error.message : String(error);
    throw unfit(
      `does not answer (${why}); start it with --name ${name} --join, and a peer address that all masters reach`,
    );
  });
  if (hello.name !== name)
    throw unfit(`is named ${hello.name}: add it under that name, or start it with --name ${name}`);
  if (hello.clusterId !== clusterId) {
    throw unfit(`is configured for cluster ${hello.clusterId}: start it with --cluster-id ${clusterId}`);
  }
  const ours = options.log.status().membership.members.some(({ storeId }) => storeId === hello.storeId);
  if (hello.bootstrapped && !ours) {
    throw unfit('has a cluster in its store already: start it with --join on an empty data directory');
  }
  const missing = control.commandKinds.filter((kind) => !hello.commandKinds.includes(kind));
  if (missing.length > 0) throw unfit(`does not know the commands ${missing.join(', ')}: upgrade it first`);
  return hello.storeId;
}

async function removeMember(options: MembershipServiceOptions, name: string): Promise<sublet.v1.Member.$Properties[]> {
  const member = memberNamed(options, name, 'remove');
  const { self, membership } = options.log.status();
  if (member.id === self.id) {
    if (membership.confState.voters.length === 1) {
      throw new RefusedError('failed-precondition', `remove member ${name}: it is the only one that votes`);
    }
    const leader = await transfer(options, '');
    // The caller's master tries again, there.
    throw new RefusedError('unavailable', `member ${name} has handed over to ${leader}, which can remove it now`);
  }
  if (isVoter(membership.confState, member.id)) await change(options, { kind: 'demote', member: member.id });
  await change(options, { kind: 'remove', member: member.id });
  return memberMessages(options.log.status(), options);
}

/** @throws RefusedError when nobody took over in time. Returns who leads. */
async function transfer(options: MembershipServiceOptions, to: string): Promise<string> {
  const { leadership, electionTimeoutMs, clock } = options;
  const status = options.log.status();
  const target = to === '' ? undefined : memberNamed(options, to, 'transfer to');
  if (target?.id === status.self.id) return status.self.name;
  if (target !== undefined && !isVoter(status.membership.confState, target.id)) {
    throw new RefusedError('failed-precondition', `transfer to ${to}: it does not vote; promote it first`);
  }
  const report = status.peers.find(({ member }) => member.id === target?.id)?.report;
  if (target !== undefined && report?.space.low === true && status.space.problem === undefined) {
    const why = `its disk is nearly full (${spaceText(report.space)}), and it would hand over again`;
    throw new RefusedError('failed-precondition', `transfer to ${to}: ${why}; free space on it first`);
  }
  const asked = controlOf(options).transferLeadership(target?.id);
  if (asked === undefined) {
    throw new RefusedError('failed-precondition', `transfer: ${status.self.name} leads, and nobody else votes`);
  }
  const until = clock.now() + transferTimeouts * electionTimeoutMs;
  while (leadership.seat.kind !== 'member' && clock.now() < until) await leadership.changed(until - clock.now());
  const { seat } = leadership;
  if (seat.kind === 'member') return seat.member.name;
  const name = nameOf(status, asked);
  throw new RefusedError(
    'failed-precondition',
    `transfer: ${name} did not take over within ${transferTimeouts * electionTimeoutMs} ms; \`sublet members\` tells who is up and caught up`,
  );
}

async function change(options: MembershipServiceOptions, wanted: MembershipChange): Promise<void> {
  try {
    await controlOf(options).changeMembership(wanted);
  } catch (error) {
    if (!(error instanceof MembershipRefusedError)) throw error;
    throw new RefusedError('failed-precondition', `${wanted.kind} member: ${error.message}`);
  }
}

function controlOf({ control }: MembershipServiceOptions): ClusterControl {
  if (control !== undefined) return control;
  throw new RefusedError('unimplemented', 'the members of this log are not changed through Sublet');
}

function memberNamed({ log }: MembershipServiceOptions, name: string, action: string): MemberInfo {
  const { members } = log.status().membership;
  const found = members.find((member) => member.name === name);
  if (found !== undefined) return found;
  const names = members.map((member) => member.name).join(', ');
  throw new RefusedError('not-found', `${action}: there is no member "${name}"; there are ${names}`);
}

function messageOf(options: MembershipServiceOptions, id: MemberId): sublet.v1.Member.$Properties {
  const found = memberMessages(options.log.status(), options).find((member) => member.id === id);
  if (found === undefined) throw new RefusedError('aborted', `member ${id} was removed meanwhile`);
  return found;
}

function nameOf({ membership }: ReplicaStatus, id: MemberId): string {
  return membership.members.find((member) => member.id === id)?.name ?? String(id);
}
