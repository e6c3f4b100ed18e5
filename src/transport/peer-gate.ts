/** Who may talk to this member: the check that opens every stream, on the side that is called. */
import { status } from '@grpc/grpc-js';
import type { sublet } from '#proto/sublet.js';
import { memberId } from '#raft/entry.js';
import type { MemberInfo, Membership } from '#replica/membership.js';
import { removedText } from '#replica/membership-change.js';
import { isNewcomer } from '#replica/newcomers.js';
import { protocolVersion } from '#transport/peer-service.js';

export type WireEnvelope = sublet.raft.v1.Envelope.$Properties;

/** Ends a call with a status and a reason. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/** The callee's cluster has committed that the caller is no member, or not with this store: no try will change that. */
export function isExpulsion(code: status): boolean {
  return code === status.PERMISSION_DENIED;
}

/** Statuses that another try will not change soon: somebody has to mend something. */
export function isLasting(code: status): boolean {
  return code === status.FAILED_PRECONDITION || code === status.PERMISSION_DENIED || code === status.INVALID_ARGUMENT;
}

export function envelopeOf(self: MemberInfo, clusterId: string, to: MemberInfo): WireEnvelope {
  return {
    ...{ protocolVersion, clusterId, toId: to.id, toStoreId: to.storeId },
    ...{ fromId: self.id, fromName: self.name, fromPeer: self.peer, fromStoreId: self.storeId },
  };
}

/**
 * The member that calls, or that joined while this one was away: see `Newcomers`. `UNAVAILABLE` while this member takes
 * no part yet.
 * @throws Refusal
 */
export function admit(
  envelope: WireEnvelope | null | undefined,
  self: MemberInfo | undefined,
  membership: Membership | undefined,
): MemberInfo {
  if (envelope == null) throw new Refusal(status.INVALID_ARGUMENT, 'the stream did not begin with an envelope');
  const { protocolVersion: version = 0, clusterId, fromId, fromStoreId, toId } = envelope;
  if (version !== protocolVersion) {
    const versions = `the peers' protocol is version ${protocolVersion} here, the caller speaks version ${version}`;
    throw new Refusal(status.FAILED_PRECONDITION, `${versions}: run compatible releases`);
  }
  if (self === undefined || membership === undefined) {
    throw new Refusal(status.UNAVAILABLE, 'this member does not take part yet');
  }
  if (clusterId !== membership.clusterId) {
    const clusters = `this is a member of cluster ${membership.clusterId}, the caller is of cluster ${clusterId}`;
    const way = `to join this one, empty its data directory, start it with --cluster-id ${membership.clusterId} --join, and add it with \`sublet members add\``;
    throw new Refusal(status.FAILED_PRECONDITION, `${clusters}: ${way}`);
  }
  if (toId !== self.id) {
    throw new Refusal(status.FAILED_PRECONDITION, `this is member ${self.id} (${self.name}), not member ${toId}`);
  }
  const from = membership.members.find(({ id }) => id === fromId);
  if (from === undefined) return newcomer(envelope, self, membership);
  if (from.storeId !== fromStoreId) {
    const stores = `member ${from.name} is known with store ${from.storeId}, but came with store ${fromStoreId}`;
    const wayBack = `to rejoin, remove it with \`sublet members remove ${from.name}\`, start it on an empty data directory with --join, and add it with \`sublet members add\``;
    throw new Refusal(status.PERMISSION_DENIED, `${stores}: it has lost its data; ${wayBack}`);
  }
  return from;
}

/** Who is not known here may have joined meanwhile. It knows this member's store then, which only its cluster does. */
function newcomer(
  { fromId, fromName, fromPeer, fromStoreId, toStoreId }: WireEnvelope,
  { storeId }: MemberInfo,
  membership: Membership,
): MemberInfo {
  const id = memberId(fromId ?? 0);
  if (!isNewcomer(id, membership)) throw new Refusal(status.PERMISSION_DENIED, removedText(String(id)));
  if (!fromName || !fromPeer || !fromStoreId || toStoreId !== storeId) {
    throw new Refusal(status.UNAVAILABLE, `member ${id} is not known here yet`);
  }
  return { id, name: fromName, peer: fromPeer, storeId: fromStoreId };
}
