/**
 * What a configuration change means for names, addresses and store ids. The core's `ConfChange` speaks of ids; its
 * context carries, as JSON, the identity of a new member, so that all learn of it with the same entry.
 */

import { InvariantError } from '#errors/invariant.js';
import { type ConfChange, noContext } from '#raft/confchange/conf-change.js';
import { type ConfState, type MemberId, memberId } from '#raft/log/entry.js';
import type { RaftStatus } from '#raft/raft-status.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';

/** One step that an operator asks for. New members come as learners, and vote once they are promoted. */
export type MembershipChange =
  | {
      readonly kind: 'add-learner';
      readonly name: string;
      readonly peer: string;
      readonly storeId: string;
      /** The kinds of commands that it said it knows. For the leader alone, until the member reports by itself. */
      readonly commandKinds?: readonly string[] | undefined;
    }
  | { readonly kind: 'promote'; readonly member: MemberId }
  /** A voter becomes a learner, and still answers members that do not know it yet. */
  | { readonly kind: 'demote'; readonly member: MemberId }
  | { readonly kind: 'remove'; readonly member: MemberId }
  /**
   * `by`, a learner that has caught up, votes in place of `member`, which becomes a learner: one joint step, so that
   * there are never fewer voters.
   */
  | { readonly kind: 'replace'; readonly member: MemberId; readonly by: MemberId }
  /** The member is reached at `peer` from now on. Its id, its store and its vote stay. */
  | { readonly kind: 'move'; readonly member: MemberId; readonly peer: string };

/** Everyone a configuration names, whatever for, ascending. */
export function memberIds(confState: ConfState): readonly MemberId[] {
  const ids = new Set([
    ...confState.voters,
    ...confState.votersOutgoing,
    ...confState.learners,
    ...confState.learnersNext,
  ]);
  return [...ids].sort((one, other) => one - other);
}

export function isVotingMember({ voters, votersOutgoing }: ConfState, member: MemberId): boolean {
  return voters.includes(member) || votersOutgoing.includes(member);
}

/** A learner this many entries behind the commit index, or fewer, counts as caught up. */
export const promoteLagMax = 1000;

/** The message for a member that was removed. */
export function removedText(member: string): string {
  const wayBack = 'to rejoin it needs an empty data directory, a start with --join, and `sublet members add`';
  return `member ${member} was removed from the cluster and takes no part any more; ${wayBack}`;
}

/** The change can't be made as things stand; the message says why and what to do. Nothing happened. */
export class MembershipRefusedError extends Error {
  override readonly name = 'MembershipRefusedError';
}

/** Why a leader will not propose `change`; undefined if it will. */
export function membershipRefusal(
  change: MembershipChange,
  { members, confState }: Membership,
  { id, commit, progress }: RaftStatus,
): string | undefined {
  if (change.kind === 'add-learner') {
    const twin = members.find(
      ({ name, peer, storeId }) => name === change.name || peer === change.peer || storeId === change.storeId,
    );
    if (twin === undefined) return undefined;
    return `member ${twin.id} is ${twin.name} at ${twin.peer} with store ${twin.storeId}: remove it first, or use another name, address and store`;
  }
  if (change.kind === 'move') return moveRefusal(change, members);
  if (change.kind === 'demote' && !isVotingMember(confState, change.member)) {
    return `member ${change.member} does not vote`;
  }
  if (change.kind === 'remove' || change.kind === 'demote') {
    return removalRefusal(change.member, { members, confState }, id);
  }
  if (change.kind === 'promote') return promotionRefusal(change.member, { members, confState }, commit, progress);
  return (
    promotionRefusal(change.by, { members, confState }, commit, progress) ??
    replacementRefusal(change.member, { members, confState }, id)
  );
}

type Known = Pick<Membership, 'members' | 'confState'>;

function moveRefusal(
  { member, peer }: { readonly member: MemberId; readonly peer: string },
  members: readonly MemberInfo[],
): string | undefined {
  if (!members.some(({ id }) => id === member)) return `there is no member ${member}`;
  const there = members.find((other) => other.peer === peer);
  if (there === undefined) return undefined;
  return there.id === member
    ? `member ${there.name} is recorded at ${peer} already`
    : `${peer} is the address of member ${there.name}: each needs its own`;
}

function removalRefusal(member: MemberId, { members, confState }: Known, self: MemberId): string | undefined {
  const found = members.find(({ id }) => id === member);
  if (found === undefined) return `there is no member ${member}`;
  if (member === self) return `member ${found.name} leads the cluster: transfer leadership first`;
  return isVotingMember(confState, member) && confState.voters.length === 1
    ? `member ${found.name} is the only voter`
    : undefined;
}

function replacementRefusal(member: MemberId, { members, confState }: Known, self: MemberId): string | undefined {
  const found = members.find(({ id }) => id === member);
  if (found === undefined) return `there is no member ${member}`;
  if (member === self) return `member ${found.name} leads the cluster: transfer leadership first`;
  return isVotingMember(confState, member) ? undefined : `member ${found.name} does not vote: remove it instead`;
}

function promotionRefusal(
  member: MemberId,
  { members, confState }: Known,
  commit: number,
  progress: RaftStatus['progress'],
): string | undefined {
  const found = members.find(({ id }) => id === member);
  if (found === undefined) return `there is no member ${member}`;
  if (isVotingMember(confState, member)) return `member ${found.name} votes already`;
  const match = progress.get(member)?.match ?? 0;
  if (commit - match > promoteLagMax) {
    return `member ${found.name} is at index ${match}, ${commit - match} entries behind; ${promoteLagMax} at most may be missing to vote`;
  }
  return match === 0 ? `member ${found.name} has nothing of the log yet: wait until it has caught up` : undefined;
}

/** The core's form of a change. A new member gets the next id. */
export function toConfChange(change: MembershipChange, membership: Membership): ConfChange {
  const transition = 'auto';
  switch (change.kind) {
    case 'add-learner': {
      const { name, peer, storeId } = change;
      const member: MemberInfo = { id: membership.nextMemberId, name, peer, storeId };
      return {
        transition,
        operations: [{ kind: 'add-learner', member: member.id }],
        context: new TextEncoder().encode(JSON.stringify(member)),
      };
    }
    case 'promote':
      return { transition, operations: [{ kind: 'add-voter', member: change.member }], context: noContext };
    case 'demote':
      return { transition, operations: [{ kind: 'add-learner', member: change.member }], context: noContext };
    case 'remove':
      return { transition, operations: [{ kind: 'remove', member: change.member }], context: noContext };
    case 'move': {
      const member = membership.members.find(({ id }) => id === change.member);
      return {
        transition,
        operations: [{ kind: 'update', member: change.member }],
        context: new TextEncoder().encode(JSON.stringify({ ...member, peer: change.peer })),
      };
    }
    case 'replace':
      return {
        transition,
        operations: [
          { kind: 'add-voter', member: change.by },
          { kind: 'add-learner', member: change.member },
        ],
        context: noContext,
      };
  }
}

/**
 * The membership once `change` has led the core to `confState`. A context names a member that is new, or has moved.
 * @throws InvariantError if a new member is not described by the context
 */
export function changeMembers(membership: Membership, change: ConfChange, confState: ConfState): Membership {
  const named = change.context.byteLength === 0 ? undefined : decodeMember(change.context);
  const known = new Map(membership.members.map((member) => [member.id, member]));
  if (named !== undefined) known.set(named.id, named);
  const members = memberIds(confState).map((id) => {
    const member = known.get(id);
    if (member === undefined) throw new InvariantError('broken', `member ${id} was added without name and address`);
    return member;
  });
  const nextMemberId = memberId(Math.max(membership.nextMemberId, ...members.map(({ id }) => id + 1)));
  return { ...membership, confState, members, nextMemberId };
}

function decodeMember(context: Uint8Array): MemberInfo {
  const parsed: unknown = JSON.parse(new TextDecoder().decode(context));
  if (typeof parsed !== 'object' || parsed === null) throw malformed(parsed);
  const { id, name, peer, storeId } = parsed as Partial<Record<keyof MemberInfo, unknown>>; // Checked field by field below.
  if (typeof id !== 'number' || typeof name !== 'string' || typeof peer !== 'string' || typeof storeId !== 'string') {
    throw malformed(parsed);
  }
  return { id: memberId(id), name, peer, storeId };
}

function malformed(value: unknown): InvariantError {
  return new InvariantError('broken', `a configuration change names a member as ${JSON.stringify(value)}`);
}
