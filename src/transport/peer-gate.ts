/** Identity check of peers: it opens every stream, on the called side. */
import { status } from '@grpc/grpc-js';
import type { sublet } from '#proto/sublet.js';
import { memberId } from '#raft/log/entry.js';
import { incarnationsDiffer, noIncarnation, rejoinRemedy } from '#replica/bootstrap/incarnation.js';
import { removedText } from '#replica/members/membership-change.js';
import { isUnknownPeer } from '#replica/members/unknown-peers.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerClaim, PeerRefusal } from '#replica/ports/peer-network.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';
import { encodeClaim } from '#transport/membership-codec.js';
import { protocolVersion } from '#transport/peer-service.js';

export type WireEnvelope = sublet.raft.v1.Envelope.$Properties;

/** Ends a call with a status and a reason. */
export class CallRefusal extends Error {
  override readonly name: string = 'CallRefusal';
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

/** Rejects the call, but reports the identity that the caller expected: see `PeerEvent`. */
export class ClaimRefusal extends CallRefusal {
  override readonly name = 'ClaimRefusal';
  readonly claim: PeerClaim;

  constructor(code: status, message: string, { clusterId, incarnation, fromName, fromPeer, toStoreId }: WireEnvelope) {
    super(code, message);
    const text = { clusterId: clusterId ?? '', incarnation: incarnation ?? noIncarnation, storeId: toStoreId ?? '' };
    this.claim = { ...text, name: fromName ?? '', peer: fromPeer ?? '' };
  }
}

/** What a status means that another try will not change soon; undefined: the call failed, and is made again. */
export function peerRefusalOf(code: status): PeerRefusal | undefined {
  switch (code) {
    case status.PERMISSION_DENIED:
      return 'expelled';
    case status.DATA_LOSS:
      return 'rewound';
    case status.FAILED_PRECONDITION:
    case status.INVALID_ARGUMENT:
    case status.UNAUTHENTICATED:
      return 'lasting';
    default:
      return undefined;
  }
}

export function envelopeOf(
  self: MemberInfo,
  { clusterId, incarnation }: Pick<Membership, 'clusterId' | 'incarnation'>,
  to: MemberInfo,
  claim?: StoreClaim,
): WireEnvelope {
  return {
    protocolVersion,
    clusterId,
    incarnation,
    toId: to.id,
    toStoreId: to.storeId,
    fromId: self.id,
    fromName: self.name,
    fromPeer: self.peer,
    fromStoreId: self.storeId,
    ...(claim === undefined ? {} : { fromClaim: encodeClaim(claim) }),
  };
}

/**
 * The member that calls, or that joined while this one was away: see `UnknownPeers`. `UNAVAILABLE` while this member takes
 * no part yet.
 * @param shown the name in the caller's certificate; undefined: the connection is without TLS
 * @param revocation why that name is refused to a caller that is not known here; undefined: it is not
 * @throws Refusal
 */
export function admit(
  envelope: WireEnvelope | null | undefined,
  self: MemberInfo | undefined,
  membership: Membership | undefined,
  shown: string | undefined,
  revocation?: string,
): MemberInfo {
  if (envelope == null) throw new CallRefusal(status.INVALID_ARGUMENT, 'the stream did not begin with an envelope');
  const { protocolVersion: version = 0, clusterId, fromId, fromStoreId, toId } = envelope;
  if (version !== protocolVersion) {
    const versions = `the peers' protocol is version ${protocolVersion} here, the caller speaks version ${version}`;
    throw new CallRefusal(status.FAILED_PRECONDITION, `${versions}: run compatible releases`);
  }
  if (self === undefined || membership === undefined) {
    throw new ClaimRefusal(status.UNAVAILABLE, 'this member does not take part yet', envelope);
  }
  if (clusterId !== membership.clusterId) {
    const clusters = `this is a member of cluster ${membership.clusterId}, the caller is of cluster ${clusterId}`;
    const way = `to join this one, empty its data directory, start it with --cluster-id ${membership.clusterId} --join, and add it with \`sublet members add\``;
    throw new CallRefusal(status.FAILED_PRECONDITION, `${clusters}: ${way}`);
  }
  if (incarnationsDiffer(envelope.incarnation ?? noIncarnation, membership.incarnation)) {
    const two = `this is a member of incarnation ${membership.incarnation} of cluster ${clusterId}, the caller of incarnation ${envelope.incarnation}`;
    const way =
      'two clusters have one id, and lease the same addresses: the masters of the one that came later must stop, and join the other with empty data directories';
    throw new ClaimRefusal(status.FAILED_PRECONDITION, `${two}: ${way}`, envelope);
  }
  if (toId !== self.id) {
    throw new CallRefusal(status.FAILED_PRECONDITION, `this is member ${self.id} (${self.name}), not member ${toId}`);
  }
  const from = membership.members.find(({ id }) => id === fromId);
  if (from === undefined) return newcomer(envelope, self, membership, shown, revocation);
  // Before the stores are compared: the text names a store id, which proves a member to its peers.
  checkName(from.name, shown);
  if (from.storeId !== fromStoreId) {
    const stores = `member ${from.name} is known with store ${from.storeId}, but came with store ${fromStoreId}`;
    throw new CallRefusal(
      status.PERMISSION_DENIED,
      `${stores}: it has lost its data; to rejoin, ${rejoinRemedy(from.name)}`,
    );
  }
  return from;
}

/**
 * A caller that is not known here may have joined meanwhile. It knows this member's store then, which only its cluster
 * does.
 */
function newcomer(
  { fromId, fromName, fromPeer, fromStoreId, toStoreId }: WireEnvelope,
  { storeId }: MemberInfo,
  membership: Membership,
  shown: string | undefined,
  revocation: string | undefined,
): MemberInfo {
  const id = memberId(fromId ?? 0);
  if (!isUnknownPeer(id, membership)) throw new CallRefusal(status.PERMISSION_DENIED, removedText(String(id)));
  if (!fromName || !fromPeer || !fromStoreId || toStoreId !== storeId) {
    throw new CallRefusal(status.UNAVAILABLE, `member ${id} is not known here yet`);
  }
  checkName(fromName, shown);
  // Not for good: this member may not know yet that the caller was added again.
  if (revocation !== undefined) throw new CallRefusal(status.UNAVAILABLE, revocation);
  return { id, name: fromName, peer: fromPeer, storeId: fromStoreId };
}

/** A member speaks for itself only. It is no expulsion: the member that is named has done nothing. @throws Refusal */
function checkName(name: string, shown: string | undefined): void {
  if (shown === undefined || shown === name) return;
  throw new CallRefusal(
    status.UNAUTHENTICATED,
    `the caller has the certificate of master/${shown} and calls itself ${name}`,
  );
}

/**
 * What a master may learn of a member that takes part in a cluster. A store id proves a caller to be of the cluster (see
 * `newcomer`), so a master whose certificate names no member learns none.
 * @param shown the name in the caller's certificate; undefined: the connection is without TLS
 */
export function helloFor(shown: string | undefined, hello: MemberHello): MemberHello {
  const { membership } = hello;
  if (shown === undefined || membership === undefined || membership.members.some(({ name }) => name === shown)) {
    return hello;
  }
  const members = membership.members.map((member) => ({ ...member, storeId: '' }));
  const claim = { storeId: '', session: { starts: 0, nonces: [] }, term: 0, lastIndex: 0 };
  return { ...hello, storeId: '', claim, contradiction: undefined, membership: { ...membership, members } };
}
