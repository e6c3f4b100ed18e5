/**
 * Peers that a member hears from before it has heard of them. A member that was away while others joined may depend on
 * them: one of them may lead by now, or need this member's vote. So they are heard, and answered where they say that
 * they listen, until the membership here knows them, or knows that they are gone again.
 */
import type { MemberId } from '#raft/log/entry.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';

/** Members join one at a time, and few: of more than so many the newest count. */
const newcomersMax = 16;

/**
 * Ids rise and are never used twice: a member with an id that was not given yet, as far as is known here, has joined
 * since.
 */
export function isUnknownPeer(member: MemberId, { nextMemberId }: Pick<Membership, 'nextMemberId'>): boolean {
  return member >= nextMemberId;
}

export class UnknownPeers {
  readonly #members = new Map<MemberId, MemberInfo>();

  /** In the order of their ids. */
  get members(): readonly MemberInfo[] {
    return [...this.#members.values()].sort((one, other) => one.id - other.id);
  }

  of(member: MemberId): MemberInfo | undefined {
    return this.#members.get(member);
  }

  /** `member` calls. Whether it is a newcomer that was not noted before. */
  heard(member: MemberInfo, membership: Membership): boolean {
    if (!isUnknownPeer(member.id, membership) || this.#members.has(member.id)) return false;
    this.#members.set(member.id, member);
    const [oldest] = this.members;
    if (this.#members.size > newcomersMax && oldest !== undefined) this.#members.delete(oldest.id);
    return this.#members.has(member.id);
  }

  /** The membership has changed: a member that it contains, or that it shows as removed, is no newcomer any more. */
  settle(membership: Membership): void {
    for (const id of [...this.#members.keys()]) if (!isUnknownPeer(id, membership)) this.#members.delete(id);
  }
}
