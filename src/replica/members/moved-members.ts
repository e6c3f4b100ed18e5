/**
 * Addresses of members that an operator has set by hand, because the recorded ones are not reached any more. They are
 * in force on this member alone, until the cluster has committed other addresses. An address is where a member is
 * called; the member there is checked by member id and store id, so a wrong address costs a connection and never a
 * vote.
 */
import type { Membership, Move } from '#replica/ports/membership.js';

export type MovedMember = {
  readonly storeId: string;
  /** HOST:PORT as recorded when it was set. When another one is recorded, this is out of force. */
  readonly from: string;
  /** HOST:PORT where the member is called instead. */
  readonly to: string;
};

export function movesInForce({ members }: Pick<Membership, 'members'>, moved: readonly MovedMember[]): readonly Move[] {
  return members.flatMap((member) => {
    const move = moved.find(({ storeId, from }) => storeId === member.storeId && from === member.peer);
    return move === undefined || move.to === member.peer ? [] : [{ member, to: move.to }];
  });
}

/** The membership with the addresses where members are called. */
export function withMoves(membership: Membership, moved: readonly MovedMember[]): Membership {
  const moves = movesInForce(membership, moved);
  if (moves.length === 0) return membership;
  const members = membership.members.map((member) => {
    const move = moves.find((one) => one.member.id === member.id);
    return move === undefined ? member : { ...member, peer: move.to };
  });
  return { ...membership, members };
}
