/**
 * The part of ClusterService that shows and changes the membership: one step at a time, each carried out by the leader.
 * A new master comes as a learner; `voter-change.ts` has the steps that concern votes.
 */

import { AddressError } from '#address/brand.js';
import { isLoopback, unreachableUse } from '#address/host-address.js';
import { bareHostOf } from '#address/host-and-port.js';
import { parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { clusterService } from '#api/services.js';
import { errorText } from '#errors/unknown-error.js';
import { checkMayJoin, takeBack } from '#master/access/member-identity.js';
import { memberMessages } from '#master/members/member-account.js';
import { moveMember } from '#master/members/member-move.js';
import { recorded } from '#master/members/membership-history.js';
import {
  change,
  controlOf,
  type MembershipServiceOptions,
  memberNamed,
  messageOf,
} from '#master/members/membership-step.js';
import { promoteMember, removeMember, replaceMember, transfer } from '#master/members/voter-change.js';
import { type CallContext, type Endpoint, endpoint } from '#master/server/endpoint.js';
import { withRevocations } from '#master/services/revocation-message.js';
import type { sublet } from '#proto/sublet.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import { memberNameForm } from '#text/name-form.js';
import { type Caller, noCaller } from '#tls/caller.js';

const peerPattern = /^(\[[0-9a-fA-F:.]{2,}\]|[^\s:[\]]{1,253}):([0-9]{1,5})$/;
/** How long the leader may take for its account before the answer is given without, in ms. */
const leaderAccountMs = 1_000;
const write = { place: 'leader', idempotent: false } as const;

export function membershipEndpoints(options: MembershipServiceOptions): readonly Endpoint[] {
  return [
    endpoint(clusterService.listMembers, { place: 'here', idempotent: true, needsPlan: false }, (_, context) =>
      listMembers(options, context),
    ),
    endpoint(clusterService.addMember, write, async (request, { caller }) => ({
      member: await addMember(options, request, caller),
    })),
    endpoint(clusterService.promoteMember, write, async ({ name }, { caller }) => ({
      member: await promoteMember(options, name, caller),
    })),
    endpoint(clusterService.removeMember, write, async ({ name }, { caller }) => ({
      members: await removeMember(options, name, caller),
    })),
    endpoint(clusterService.replaceMember, write, async (request, { caller }) => ({
      members: await replaceMember(options, request, caller),
    })),
    endpoint(clusterService.moveMember, write, async ({ name, peer }, { caller }) => {
      checkPeer(peer);
      return { member: await moveMember(options, { name, peer }, caller) };
    }),
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
      const bytes = await options.peers.call(seat.member, path, request.encode({}).finish(), leaderAccountMs, noCaller);
      return response.decode(bytes);
    } catch (error) {
      // Served stale when there is no leader, because it is needed most during outages.
      if (!(error instanceof RefusedError)) throw error;
    }
  }
  const status = options.log.status();
  return {
    clusterId: options.clusterId,
    leader: status.leader?.name ?? '',
    term: status.term,
    lastIndex: status.lastIndex,
    members: withRevocations(memberMessages(status, options), options.plan.ipam),
    accountOf: status.self.name,
  };
}

async function addMember(
  options: MembershipServiceOptions,
  { name, peer }: { readonly name: string; readonly peer: string },
  caller: Caller,
): Promise<sublet.v1.Member.$Properties> {
  if (!memberNameForm.pattern.test(name)) {
    throw new RefusedError('invalid-argument', `name: "${name}": ${memberNameForm.allowed} are allowed`);
  }
  checkPeer(peer);
  checkMayJoin(options, name);
  const { storeId, commandKinds } = await askNewcomer(options, name, peer);
  const known = options.log.status().membership.members.find((member) => member.name === name);
  // A retry of what has been done is done.
  if (known?.storeId !== storeId || known.peer !== peer) {
    await recorded(options, caller, { kind: 'add', master: { name, peer } }, () =>
      change(options, `add member ${name}`, { kind: 'add-learner', name, peer, storeId, commandKinds }),
    );
  }
  await takeBack(options, name, caller);
  return messageOf(options, memberNamed(options, name, 'add').id);
}

/** @throws RefusedError */
function checkPeer(peer: string): void {
  const port = Number(peerPattern.exec(peer)?.[2] ?? 0);
  if (port < 1 || port > 65_535) {
    throw new RefusedError('invalid-argument', `peer: "${peer}": HOST:PORT is needed, with a port from 1 to 65535`);
  }
  const use = useOf(bareHostOf(peer));
  if (use === undefined) return;
  throw new RefusedError('invalid-argument', `peer: "${peer}": ${use}; give an address that all masters reach`);
}

/** What is against an address as that of a master; undefined: nothing, or it is a name. Masters of one machine have loopback. */
function useOf(host: string): string | undefined {
  try {
    return isLoopback(host) ? undefined : unreachableUse(parseIp(host));
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** The identity of the master that waits there. @throws RefusedError unless it is one that can be added */
async function askNewcomer(options: MembershipServiceOptions, name: string, peer: string): Promise<MemberHello> {
  const { clusterId, logger } = options;
  const control = controlOf(options);
  const unfit = (what: string): RefusedError =>
    new RefusedError('failed-precondition', `add member ${name}: the master at ${peer} ${what}`);
  const hello = await control.hello(peer).catch((error: unknown) => {
    // One text for all that is no master: what else answers there is for the log of this master, not for its callers.
    logger.warn({ peer, err: error }, `add member ${name}: no master answers at ${peer}: ${errorText(error)}`);
    const way = `start it with --name ${name} --join, and a peer address that all masters reach`;
    throw new RefusedError(
      'failed-precondition',
      `add member ${name}: no master answers at ${peer} (the log of the leader has the cause): ${way}`,
    );
  });
  if (hello.name !== name) {
    throw unfit(`is named ${hello.name}: add it under that name, or start it with --name ${name}`);
  }
  if (hello.clusterId !== clusterId) {
    throw unfit(`is configured for cluster ${hello.clusterId}: start it with --cluster-id ${clusterId}`);
  }
  const ours = options.log.status().membership.members.some(({ storeId }) => storeId === hello.storeId);
  if (hello.bootstrapped && !ours) {
    throw unfit('has a cluster in its store already: start it with --join on an empty data directory');
  }
  const missing = control.commandKinds.filter((kind) => !hello.commandKinds.includes(kind));
  if (missing.length > 0) throw unfit(`does not know the commands ${missing.join(', ')}: upgrade it first`);
  return hello;
}
