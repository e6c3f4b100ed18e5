/**
 * What the steps of changing the masters share: what they are given, how one is carried out, and which member a name
 * means.
 */
import { RefusedError } from '#api/refusal.js';
import type { Leadership } from '#master/leader/leadership.js';
import { memberMessages } from '#master/members/member-account.js';
import type { MembershipHistoryOptions } from '#master/members/membership-history.js';
import type { PeerCalls } from '#master/server/call-router.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { sublet } from '#proto/sublet.js';
import type { MemberId } from '#raft/log/entry.js';
import { isVotingMember, type MembershipChange, MembershipRefusedError } from '#replica/members/membership-change.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import type { ReplicaStatus, ReplicatedLog } from '#replica/ports/replicated-log.js';

/** What the masters' own log allows beyond `ReplicatedLog`: its members are ours to change. `Replica` implements it. */
export type ClusterControl = {
  /** @throws ProposeError, MembershipRefusedError */
  changeMembership(change: MembershipChange): Promise<Membership>;
  transferLeadership(to?: MemberId): MemberId | undefined;
  /** @throws ProposeError, StoreError */
  openSnapshot(options: { readonly fresh: boolean }): Promise<SnapshotSource>;
  /** Asks the member that listens at HOST:PORT for its identity. */
  hello(peer: string): Promise<MemberHello>;
  /** The kinds of commands that may be in the log: a new member must know them all. */
  readonly commandKinds: readonly string[];
};

export type MembershipServiceOptions = MembershipHistoryOptions & {
  readonly plan: Pick<PlanClient, 'change' | 'ipam'>;
  /** Whether masters are known by certificates: then a removal revokes the identity of its master. */
  readonly checksIdentities: boolean;
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  /** Absent: the log's members are not changed through Sublet. */
  readonly control: ClusterControl | undefined;
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  readonly clusterId: string;
};

/** @throws RefusedError, ProposeError */
export async function change(
  options: MembershipServiceOptions,
  action: string,
  wanted: MembershipChange,
): Promise<void> {
  try {
    await controlOf(options).changeMembership(wanted);
  } catch (error) {
    if (!(error instanceof MembershipRefusedError)) throw error;
    throw new RefusedError('failed-precondition', `${action}: ${error.message}`);
  }
}

/** @throws RefusedError */
export function controlOf({ control }: MembershipServiceOptions): ClusterControl {
  if (control !== undefined) return control;
  throw new RefusedError('unimplemented', 'the members of this log are not changed through Sublet');
}

export function votes({ log }: MembershipServiceOptions, { id }: MemberInfo): boolean {
  return isVotingMember(log.status().membership.confState, id);
}

/** @throws RefusedError */
export function memberNamed({ log }: MembershipServiceOptions, name: string, action: string): MemberInfo {
  const { members } = log.status().membership;
  const found = members.find((member) => member.name === name);
  if (found !== undefined) return found;
  const names = members.map((member) => member.name).join(', ');
  throw new RefusedError('not-found', `${action}: there is no member "${name}"; there are ${names}`);
}

/** @throws RefusedError when it was removed meanwhile */
export function messageOf(options: MembershipServiceOptions, id: MemberId): sublet.v1.Member.$Properties {
  const found = memberMessages(options.log.status(), options).find((member) => member.id === id);
  if (found === undefined) throw new RefusedError('aborted', `member ${id} was removed meanwhile`);
  return found;
}

export function nameOf({ membership }: ReplicaStatus, id: MemberId): string {
  return membership.members.find((member) => member.id === id)?.name ?? String(id);
}
