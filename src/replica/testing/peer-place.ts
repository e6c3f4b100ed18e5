/**
 * The place of a member among its peers, for networks in memory: which ones it knows, what it sends of itself, and
 * which messages it takes. It does what `transport/` does with envelopes.
 */
import type { MemberId } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';
import { UnknownPeers } from '#replica/members/unknown-peers.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { PeerClaim, PeerHandler } from '#replica/ports/peer-network.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';

/** The sender of a message, and the identity that it expects of the receiver. */
export type MemoryCaller = {
  readonly sender: MemberInfo;
  readonly claim: PeerClaim;
  /** What the sender states of its store. */
  readonly store: StoreClaim | undefined;
};

export class PeerPlace {
  handler: PeerHandler | undefined;
  #self: MemberId | undefined;
  #membership: Membership | undefined;
  readonly #newcomers = new UnknownPeers();

  setMembership(self: MemberId, membership: Membership): void {
    this.#self = self;
    this.#membership = membership;
    this.#newcomers.settle(membership);
  }

  get self(): MemberId | undefined {
    return this.#self;
  }

  get membership(): Membership | undefined {
    return this.#membership;
  }

  /** HOST:PORT of a member, or of one that joined since; undefined: it is not known. */
  addressOf(member: MemberId): string | undefined {
    return (this.#membership?.members.find(({ id }) => id === member) ?? this.#newcomers.of(member))?.peer;
  }

  /** What a message is sent with. Undefined: this member knows no place of its own any more. */
  callerOf(message: PeerMessage): MemoryCaller | undefined {
    return callerOf(message, this.#membership, this.#self, this.handler?.claim);
  }

  /**
   * A message arrives. One that is not for this member of this cluster is refused, as a connection would be. `heard` is
   * called before one is handed over.
   */
  take(
    message: PeerMessage,
    { claim, sender, store }: MemoryCaller,
    refused: (reason: string) => void,
    heard: () => void = () => undefined,
  ): void {
    const membership = this.#membership;
    if (membership === undefined || incarnationsDiffer(claim.incarnation, membership.incarnation)) {
      this.handler?.take({ kind: 'claim', claim });
      return;
    }
    if (message.to !== this.#self || claim.clusterId !== membership.clusterId) return;
    const rewound = store === undefined ? undefined : this.handler?.hello(store).contradiction;
    if (rewound !== undefined) {
      refused(rewound);
      return;
    }
    this.#newcomers.heard(sender, membership);
    heard();
    this.handler?.take({ kind: 'message', message });
  }

  /** The last message to this member was surely not delivered. */
  unreachable(member: MemberId): void {
    this.handler?.take({ kind: 'unreachable', member });
  }

  /** The member at HOST:PORT refuses the store of this one. */
  refused(peer: string, reason: string): void {
    this.handler?.take({ kind: 'refused', peer, reason, refusal: 'rewound' });
  }

  /** A peer has announced its state. */
  reported(from: MemberId, report: MemberReport): void {
    this.handler?.take({ kind: 'report', from, report });
  }
}

/** Undefined: the membership does not have the sender. */
export function callerOf(
  { to }: PeerMessage,
  membership: Membership | undefined,
  self: MemberId | undefined,
  store: StoreClaim | undefined,
): MemoryCaller | undefined {
  const sender = membership?.members.find(({ id }) => id === self);
  if (membership === undefined || sender === undefined) return undefined;
  const { clusterId, incarnation, members } = membership;
  const storeId = members.find(({ id }) => id === to)?.storeId ?? '';
  return { sender, store, claim: { clusterId, incarnation, name: sender.name, peer: sender.peer, storeId } };
}
