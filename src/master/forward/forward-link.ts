/**
 * The follower's end: one stream to the leader that carries all calls handed on, whatever has come together in one
 * message. A call is sent only once the other end has proved its identity, so that a call that was never sent is
 * distinguished from one whose outcome is unknown.
 */

import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import {
  callerMessage,
  clusterIdKey,
  forwardBytesMax,
  forwardCountMax,
  forwardDefinition,
  forwardMessageBytesMax,
  forwardPendingMax,
  incarnationKey,
  refusedByPeer,
} from '#master/forward/forward-method.js';
import { TurnBatch } from '#master/forward/turn-batch.js';
import type { OwnIncarnation } from '#master/leader/incarnation-check.js';
import type { sublet } from '#proto/sublet.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import type { Caller } from '#tls/caller.js';
import { serverName } from '#tls/client-credentials.js';

type Stream = ClientDuplexStream<sublet.peer.v1.ForwardRequest.$Properties, sublet.peer.v1.ForwardResponse>;
type Call = sublet.peer.v1.ForwardedCall.$Properties & { readonly id: number; readonly request: Uint8Array };
type Pending = {
  readonly resolve: (response: Uint8Array) => void;
  readonly reject: (error: RefusedError) => void;
  sent: boolean;
};

export type ForwardLinkOptions = {
  /** HOST:PORT of the other master's peer port. */
  readonly peer: string;
  readonly plan: OwnIncarnation;
  readonly credentials: ChannelCredentials;
};

const channelOptions = {
  'grpc.max_receive_message_length': forwardMessageBytesMax,
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // A leader that hangs without closing its connection is noticed within these two.
  'grpc.keepalive_time_ms': 2_000,
  'grpc.keepalive_timeout_ms': 2_000,
  'grpc.enable_channelz': 0,
  'grpc.enable_retries': 0,
  // As the peers' own connections: masters reach each other without a proxy that the environment may name.
  'grpc.enable_http_proxy': 0,
  ...serverName,
  'grpc.service_config_disable_resolution': 1,
  // Links of several masters in one process must not share a connection.
  'grpc.use_local_subchannel_pool': 1,
};

export class ForwardLink {
  readonly #options: ForwardLinkOptions;
  readonly #client: Client;
  readonly #pending = new Map<number, Pending>();
  #stream: Stream | undefined;
  #batch: TurnBatch<Call> | undefined;
  /** Waiting for the other end to show itself. */
  #held: Call[] = [];
  #nextId = 1;
  #closed = false;

  constructor(options: ForwardLinkOptions) {
    this.#options = options;
    this.#client = new Client(options.peer, options.credentials, channelOptions);
  }

  /** @throws RefusedError as the other master answered; `unavailable`: never arrived; `unknown-outcome`: the way broke. */
  call(path: string, request: Uint8Array, timeoutMs: number, caller: Caller): Promise<Uint8Array> {
    if (this.#closed) {
      return Promise.reject(new RefusedError('unavailable', `the link to ${this.#options.peer} is closed`));
    }
    if (this.#pending.size >= forwardPendingMax) {
      return Promise.reject(
        new RefusedError(
          'overloaded',
          `${this.#pending.size} calls are on their way to the leader; ${forwardPendingMax} are allowed`,
        ),
      );
    }
    const id = this.#nextId++;
    const call: Call = {
      id,
      method: path,
      request,
      timeoutMs: Math.min(Math.ceil(timeoutMs), 0xffffffff),
      caller: callerMessage(caller),
    };
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, sent: false });
      if (this.#stream === undefined) this.#open();
      if (this.#batch === undefined) this.#held.push(call);
      else this.#batch.add(call);
    });
  }

  /** Abandons every call in flight, and closes the connection. */
  close(): void {
    this.#closed = true;
    this.#lost('the leader has changed');
    this.#client.close();
  }

  #open(): void {
    const metadata = new Metadata();
    const { clusterId, incarnation } = this.#options.plan;
    metadata.set(clusterIdKey, clusterId);
    if (incarnation !== noIncarnation) metadata.set(incarnationKey, incarnation);
    const { path, requestSerialize, responseDeserialize } = forwardDefinition;
    const stream: Stream = this.#client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    this.#stream = stream;
    const current = (): boolean => this.#stream === stream;
    stream.on('metadata', () => {
      if (current()) this.#ready(stream);
    });
    stream.on('data', (response: sublet.peer.v1.ForwardResponse) => {
      for (const answer of response.answers) this.#answered(answer);
    });
    stream.on('error', (error: ServiceError) => {
      if (current()) this.#lost(error.details || status[error.code] || error.message);
    });
    stream.on('end', () => {
      if (current()) this.#lost('the other end closed the stream');
    });
  }

  #ready(stream: Stream): void {
    if (this.#batch !== undefined) return;
    const batch = new TurnBatch<Call>({
      countMax: forwardCountMax,
      bytesMax: forwardBytesMax,
      bytesOf: ({ request }) => request.length,
      deliver: (calls, done) => {
        for (const { id } of calls) {
          const pending = this.#pending.get(id);
          if (pending !== undefined) pending.sent = true;
        }
        stream.write({ calls: [...calls] }, done);
      },
    });
    this.#batch = batch;
    const held = this.#held;
    this.#held = [];
    for (const call of held) batch.add(call);
  }

  #answered({ id, reason, message, response, details }: sublet.peer.v1.ForwardedAnswer.$Properties): void {
    const pending = this.#pending.get(id ?? 0);
    if (pending === undefined) return;
    this.#pending.delete(id ?? 0);
    if (reason) pending.reject(refusedByPeer(reason, message ?? '', details ?? {}));
    else pending.resolve(response ?? new Uint8Array(0));
  }

  #lost(why: string): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#batch = undefined;
    this.#held = [];
    stream?.cancel();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    const { peer } = this.#options;
    for (const { sent, reject } of pending) {
      reject(
        sent
          ? new RefusedError(
              'unknown-outcome',
              `the way to the leader at ${peer} broke (${why}): the change may or may not have been made; look before asking again`,
            )
          : new RefusedError('unavailable', `the leader at ${peer} can not be reached: ${why}`),
      );
    }
  }
}
