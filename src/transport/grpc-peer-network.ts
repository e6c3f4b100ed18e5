/**
 * The peers of a replica over gRPC: a server for what they send, and per peer a stream for what this member sends.
 * Two connections per pair, one for each direction, so each side notices by itself when its own is cut; snapshots
 * have further ones.
 */

import {
  type ChannelCredentials,
  type Server,
  type ServerCredentials,
  type ServerInterceptor,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { MemberId } from '#raft/log/entry.js';
import type { PeerMessage, SnapshotMessage } from '#raft/message.js';
import { UnknownPeers } from '#replica/members/unknown-peers.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerHandler, PeerNetwork } from '#replica/ports/peer-network.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';
import { formatDuration } from '#text/duration.js';
import { decodeHello, encodeClaim } from '#transport/membership-codec.js';
import { type PeerChannelOptions, peerClient } from '#transport/peer-channel.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { PeerLink } from '#transport/peer-link.js';
import { type PeerPort, PeerServer } from '#transport/peer-server.js';
import { peerService } from '#transport/peer-service.js';
import { sendSnapshot } from '#transport/snapshot-stream.js';

export type GrpcPeerNetworkOptions = {
  /** HOST:PORT to listen on; port 0 takes any free one. */
  readonly listen: string;
  /** Plain text, or mutual TLS with the certificates to trust. Peers are identified above this layer. */
  readonly credentials: { readonly server: ServerCredentials; readonly client: ChannelCredentials };
  /** A silent connection is asked for a sign of life after so many ms, and given up after three times as many without. Default 1000. */
  readonly pingMs?: number;
  /** The name in the certificate of the caller at HOST:PORT; default: there is no TLS. */
  readonly nameAt?: (from: string) => string | undefined;
  /** Why the identity of the master with this name is refused as a newcomer; undefined: it is not. */
  readonly revoked?: (name: string) => string | undefined;
  /** Of the server. */
  readonly interceptors?: readonly ServerInterceptor[];
  /** Called once it listens: `port` is known then. */
  readonly listening?: () => void;
  /** Opens the port for the server, in place of gRPC itself; `credentials.server` is of no use then. */
  readonly port?: PeerPort;
  /** What else is served on the peer port. */
  readonly addServices?: (server: Server) => void;
};

const defaultPingMs = 1000;
const helloTimeoutMs = 2000;

export class GrpcPeerNetwork implements PeerNetwork {
  readonly #options: GrpcPeerNetworkOptions;
  readonly #channel: PeerChannelOptions;
  readonly #links = new Map<MemberId, PeerLink>();
  readonly #newcomers = new UnknownPeers();
  readonly #stop = new AbortController();
  #handler: PeerHandler | undefined;
  #server: PeerServer | undefined;
  #place: { readonly self: MemberInfo; readonly membership: Membership } | undefined;
  #port = 0;
  /** What this member last said of itself. */
  #report: MemberReport | undefined;

  constructor(options: GrpcPeerNetworkOptions) {
    this.#options = options;
    this.#channel = { credentials: options.credentials.client, pingMs: options.pingMs ?? defaultPingMs };
  }

  /** Where it listens; 0 before. */
  get port(): number {
    return this.#port;
  }

  async start(handler: PeerHandler): Promise<void> {
    const { listen, credentials, addServices, port } = this.#options;
    this.#handler = handler;
    this.#server = new PeerServer({
      listen,
      port,
      handler,
      credentials: credentials.server,
      pingMs: this.#channel.pingMs,
      addServices: addServices ?? (() => {}),
      nameAt: this.#options.nameAt ?? (() => undefined),
      revoked: this.#options.revoked ?? (() => undefined),
      interceptors: this.#options.interceptors ?? [],
      place: () => this.#place,
      heard: (member) => this.#heard(member),
    });
    this.#port = await this.#server.start();
    this.#options.listening?.();
  }

  setMembership(id: MemberId, membership: Membership): void {
    const self = membership.members.find((member) => member.id === id);
    // A member that was removed sends no more messages.
    this.#place = self === undefined ? undefined : { self, membership };
    this.#newcomers.settle(membership);
    this.#connect();
    if (this.#place !== undefined && !this.#stop.signal.aborted) this.#server?.membershipChanged(membership);
  }

  /** Keeps one link to each peer of the membership and to no other address. */
  #connect(): void {
    const place = this.#place;
    const members = place === undefined ? [] : [...place.membership.members, ...this.#newcomers.members];
    const peers = members.filter(({ id }) => id !== place?.self.id);
    for (const [member, link] of this.#links) {
      if (peers.some((peer) => peer.id === member && peer.peer === link.member.peer)) continue;
      link.close();
      this.#links.delete(member);
    }
    if (this.#stop.signal.aborted || place === undefined) return;
    for (const peer of peers) {
      if (this.#links.has(peer.id)) continue;
      this.#links.set(peer.id, this.#link(place.self, peer, place.membership));
    }
  }

  #heard(member: MemberInfo): void {
    const membership = this.#place?.membership;
    if (membership !== undefined && this.#newcomers.heard(member, membership)) this.#connect();
    else this.#links.get(member.id)?.nudge();
  }

  send(message: PeerMessage): void {
    this.#links.get(message.to)?.send(message);
  }

  announce(report: MemberReport): void {
    this.#report = report;
    for (const link of this.#links.values()) link.announce(report);
  }

  /** Whether this member's stream to `member` is open. */
  connected(member: MemberId): boolean {
    return this.#links.get(member)?.connected === true;
  }

  async sendSnapshot(message: SnapshotMessage, source: SnapshotSource): Promise<void> {
    const place = this.#place;
    const peer = place?.membership.members.find(({ id }) => id === message.to);
    if (place === undefined || peer === undefined) throw new Error(`member ${message.to} is not in the membership`);
    const envelope = envelopeOf(place.self, place.membership, peer, this.#handler?.claim);
    const { signal } = this.#stop;
    await sendSnapshot({ peer: peer.peer, envelope, message, source, channel: this.#channel, signal });
  }

  hello(peer: string, caller?: StoreClaim): Promise<MemberHello> {
    const client = peerClient(peer, this.#channel);
    const { path, requestSerialize, responseDeserialize } = peerService.hello;
    const request = caller === undefined ? {} : { claim: encodeClaim(caller) };
    return new Promise((resolve, reject) => {
      const deadline = Date.now() + helloTimeoutMs;
      client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, { deadline }, (error, response) => {
        client.close();
        try {
          if (error !== null) throw new Error(callFailure(error));
          if (response === undefined) throw new Error('empty answer');
          resolve(decodeHello(response));
        } catch (reason) {
          reject(reason);
        }
      });
    });
  }

  stop(): Promise<void> {
    this.#stop.abort();
    this.#place = undefined;
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
    this.#server?.stop();
    return Promise.resolve();
  }

  #link(self: MemberInfo, member: MemberInfo, membership: Membership): PeerLink {
    return new PeerLink({
      member,
      envelope: envelopeOf(self, membership, member, this.#handler?.claim),
      channel: this.#channel,
      report: this.#report,
      unreachable: () => this.#handler?.take({ kind: 'unreachable', member: member.id }),
      refused: (reason, refusal) => this.#handler?.take({ kind: 'refused', peer: member.peer, reason, refusal }),
    });
  }
}

/** What grpc-js says of an answer of HTTP/1, or of another protocol. */
const notGrpc = /Protocol error|Received HTTP status code/;

/** Why a call failed, without what only grpc-js understands. */
function callFailure({ code, details }: ServiceError): string {
  if (code === status.UNIMPLEMENTED) {
    return 'it serves no peers there: that is another port of a master; name its peer port (its setting peer_listen)';
  }
  if (notGrpc.test(details)) {
    return 'what listens there does not speak gRPC: name the peer port of a master (its setting peer_listen)';
  }
  if (/ECONNREFUSED/.test(details)) return 'nothing listens there';
  if (/^Deadline exceeded/.test(details)) return `it takes longer than ${formatDuration(helloTimeoutMs)}`;
  return /Last error: (?:Error: )?(.*?)(?:\. Resolution note.*)?$/.exec(details)?.[1] ?? details;
}
