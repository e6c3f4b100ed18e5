/**
 * The incoming half of all peers: the gRPC server on the peer port. Every stream begins with an envelope that is
 * checked before anything else; a second stream of the same member replaces its first.
 */

import {
  Metadata,
  Server,
  type ServerCredentials,
  type ServerInterceptor,
  type ServerReadableStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from '@grpc/grpc-js';
import { ExpectedError } from '#errors/expected-error.js';
import { errorText } from '#errors/unknown-error.js';
import type { sublet } from '#proto/sublet.js';
import type { MemberId } from '#raft/log/entry.js';
import { removedText } from '#replica/members/membership-change.js';
import { isUnknownPeer } from '#replica/members/unknown-peers.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { PeerHandler } from '#replica/ports/peer-network.js';
import { decodeClaim, decodeMeta, decodeReport, encodeHello } from '#transport/membership-codec.js';
import { decodeMessage, UnknownMessageError, WireError } from '#transport/message-codec.js';
import { connectionOptions } from '#transport/peer-channel.js';
import { admit, CallRefusal, ClaimRefusal, helloFor } from '#transport/peer-gate.js';
import {
  type DeliverRequest,
  type DeliverResponse,
  type HelloRequest,
  type HelloResponse,
  type InstallSnapshotRequest,
  type InstallSnapshotResponse,
  peerService,
} from '#transport/peer-service.js';
import { readChunks } from '#transport/snapshot-stream.js';

/** A listener that hands its connections to the server. */
export type PeerPort = {
  /** Resolves with the port, once it listens. @throws what the system says of the address */
  open(server: Server): Promise<number>;
  /** Takes no more connections. */
  close(): void;
};

/** A connection without a stream is closed after so many ms: peers always have one. */
const idleMs = 60_000;

export type PeerServerOptions = {
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  readonly credentials: ServerCredentials;
  readonly pingMs: number;
  /** Opens the port in place of gRPC. */
  readonly port?: PeerPort | undefined;
  /** Adds what else is served on the peer port, before it is opened. */
  readonly addServices: (server: Server) => void;
  readonly handler: PeerHandler;
  /** The name in the certificate of the caller at HOST:PORT; undefined: without TLS. */
  readonly nameAt: (from: string) => string | undefined;
  /** Why the identity of the master with this name is refused as a newcomer; undefined: it is not. */
  readonly revoked: (name: string) => string | undefined;
  readonly interceptors: readonly ServerInterceptor[];
  /** This member and its peers; undefined while it takes no part. */
  readonly place: () => { readonly self: MemberInfo; readonly membership: Membership } | undefined;
  /** A peer has opened its stream. */
  readonly heard: (member: MemberInfo) => void;
};

type DeliverCall = ServerReadableStream<DeliverRequest, DeliverResponse>;
type SnapshotCall = ServerReadableStream<InstallSnapshotRequest, InstallSnapshotResponse>;
type Incoming = { readonly from: MemberInfo; readonly end: (refusal: CallRefusal) => void };

/** The peer port can not be bound; `cause` says why. */
export class PeerListenError extends ExpectedError {
  override readonly name = 'PeerListenError';
}

export class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #server: Server;
  /** By member id: its stream. */
  readonly #streams = new Map<number, Incoming>();

  constructor(options: PeerServerOptions) {
    this.#options = options;
    const serverOptions = { ...connectionOptions(options.pingMs), 'grpc.max_connection_idle_ms': idleMs };
    const { interceptors } = options;
    // Without any, grpc-js takes the short way.
    this.#server = new Server(
      interceptors.length === 0 ? serverOptions : { ...serverOptions, interceptors: [...interceptors] },
    );
    this.#server.addService(peerService, {
      hello: (call: ServerUnaryCall<HelloRequest, HelloResponse>, answer: sendUnaryData<HelloResponse>) =>
        this.#hello(call, answer),
      deliver: (call: DeliverCall, answer: sendUnaryData<DeliverResponse>) => this.#deliver(call, answer),
      installSnapshot: (call: SnapshotCall, answer: sendUnaryData<InstallSnapshotResponse>) => {
        this.#installSnapshot(call).then(
          () => answer(null, {}),
          (error: unknown) => answer(serviceError(error)),
        );
      },
    });
    options.addServices(this.#server);
  }

  /** Listens; resolves with the port. Rejects when it can't. */
  async start(): Promise<number> {
    const { listen, port } = this.#options;
    try {
      return await (port === undefined ? this.#bind() : port.open(this.#server));
    } catch (error) {
      const why = errorText(error);
      throw new PeerListenError(`can't listen for peers on ${listen}: ${why}`, { cause: error });
    }
  }

  #bind(): Promise<number> {
    const { listen, credentials } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(listen, credentials, (error, port) => (error === null ? resolve(port) : reject(error)));
    });
  }

  /** Ends every stream at once. */
  stop(): void {
    this.#streams.clear();
    this.#options.port?.close();
    this.#server.forceShutdown();
  }

  /** Ends the streams of callers that are no members any more. */
  membershipChanged(membership: Membership): void {
    for (const { from, end } of [...this.#streams.values()]) {
      if (isUnknownPeer(from.id, membership)) continue;
      if (membership.members.some(({ id, storeId }) => id === from.id && storeId === from.storeId)) continue;
      this.#streams.delete(from.id);
      end(new CallRefusal(status.PERMISSION_DENIED, removedText(from.name)));
    }
  }

  #hello(call: ServerUnaryCall<HelloRequest, HelloResponse>, answer: sendUnaryData<HelloResponse>): void {
    const { claim } = call.request;
    const caller = claim == null ? undefined : decodeClaim(claim, claim.storeId ?? '');
    const { handler, nameAt } = this.#options;
    answer(null, encodeHello(helloFor(nameAt(call.getPeer()), handler.hello(caller))));
  }

  #deliver(call: DeliverCall, answer: sendUnaryData<DeliverResponse>): void {
    let incoming: Incoming | undefined;
    let over = false;
    const finish = (refusal: CallRefusal | undefined) => {
      if (over) return;
      over = true;
      if (incoming !== undefined && this.#streams.get(incoming.from.id) === incoming) {
        this.#streams.delete(incoming.from.id);
      }
      if (refusal === undefined) answer(null, {});
      else answer(serviceError(refusal));
    };
    call.on('data', (request: DeliverRequest) => {
      if (over) return;
      try {
        incoming ??= this.#open(call, request, finish);
        this.#receive(incoming.from, request);
      } catch (error) {
        finish(asRefusal(error));
      }
    });
    call.on('end', () => finish(undefined));
    call.on('cancelled', () => finish(new CallRefusal(status.CANCELLED, 'cancelled')));
    call.on('error', (error: Error) => finish(new CallRefusal(status.UNAVAILABLE, error.message)));
  }

  #open(call: DeliverCall, request: DeliverRequest, end: (refusal: CallRefusal) => void): Incoming {
    const incoming = { from: this.#admit(request.envelope, call), end };
    const former = this.#streams.get(incoming.from.id);
    this.#streams.set(incoming.from.id, incoming);
    former?.end(new CallRefusal(status.ABORTED, 'a newer stream of the same member took over'));
    call.sendMetadata(new Metadata());
    this.#options.heard(incoming.from);
    return incoming;
  }

  #receive(from: MemberInfo, { messages, report }: DeliverRequest): void {
    const self = this.#options.place()?.self;
    if (self === undefined) throw new CallRefusal(status.UNAVAILABLE, 'this member does not take part any more');
    if (report != null) this.#options.handler.take({ kind: 'report', from: from.id, report: decodeReport(report) });
    for (const message of messages ?? []) this.#take(message, from.id, self.id);
  }

  /** In a rolling upgrade members of two releases talk: what the older one does not know is lost to it, and nothing else. */
  #take(message: sublet.raft.v1.PeerMessage.$Properties, from: MemberId, to: MemberId): void {
    const { handler } = this.#options;
    try {
      handler.take({ kind: 'message', message: decodeMessage(message, from, to) });
    } catch (error) {
      if (!(error instanceof UnknownMessageError)) throw error;
      handler.take({ kind: 'unknown-message', from, reason: error.message });
    }
  }

  async #installSnapshot(call: SnapshotCall): Promise<void> {
    const parts: AsyncIterator<InstallSnapshotRequest> = call[Symbol.asyncIterator]();
    const first = await parts.next();
    const begin = first.done === true ? undefined : first.value.begin;
    const from = this.#admit(begin?.envelope, call);
    const self = this.#options.place()?.self;
    const message = decodeMessage(begin?.message ?? {}, from.id, self?.id ?? from.id);
    if (message.kind !== 'snapshot') {
      throw new CallRefusal(status.INVALID_ARGUMENT, `a snapshot began as ${message.kind}`);
    }
    await this.#options.handler.receiveSnapshot(message, decodeMeta(begin?.meta ?? {}), readChunks(parts));
  }

  #admit(envelope: DeliverRequest['envelope'], call: { getPeer(): string }): MemberInfo {
    const place = this.#options.place();
    try {
      const { nameAt, revoked } = this.#options;
      const shown = nameAt(call.getPeer());
      const revocation = shown === undefined ? undefined : revoked(shown);
      const from = admit(envelope, place?.self, place?.membership, shown, revocation);
      const { contradiction } = this.#options.handler.hello(decodeClaim(envelope?.fromClaim, from.storeId));
      if (contradiction !== undefined) throw new CallRefusal(status.DATA_LOSS, contradiction);
      return from;
    } catch (error) {
      if (error instanceof ClaimRefusal) this.#options.handler.take({ kind: 'claim', claim: error.claim });
      throw error;
    }
  }
}

function asRefusal(error: unknown): CallRefusal {
  if (error instanceof CallRefusal) return error;
  const message = errorText(error);
  return new CallRefusal(error instanceof WireError ? status.INVALID_ARGUMENT : status.INTERNAL, message);
}

function serviceError(error: unknown): { readonly code: status; readonly details: string } {
  const { code, message } = asRefusal(error);
  return { code, details: message };
}
