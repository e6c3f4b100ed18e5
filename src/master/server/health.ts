/**
 * `grpc.health.v1`: whether this master serves. All services are served, or none is. Only names that there are can be
 * watched, so that nothing is kept for a name that a client made up.
 */

import type { Server, ServerUnaryCall, ServerWritableStream, sendUnaryData } from '@grpc/grpc-js';
import { Reader, Writer } from 'protobufjs/minimal.js';
import { RefusedError } from '#api/refusal.js';
import type { Admission } from '#master/access/admission.js';
import { clientOf } from '#master/access/admission.js';
import { type CallerOf, rawCodecs, statusOf, streamError } from '#master/server/api-server.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import { byAddress } from '#tls/caller.js';

/** The services that health reports, besides the server as a whole (''). */
const services = ['', 'sublet.v1.AgentService', 'sublet.v1.OperatorService', 'sublet.v1.ClusterService'];
const status = { serving: 1, notServing: 2 } as const;
/** Field 1 of a HealthCheckRequest, HealthCheckResponse and HealthListResponse. */
const firstField = 1;
const watchesPerClientMax = 16;

type Call = ServerUnaryCall<Buffer, Uint8Array>;
type Stream = ServerWritableStream<Buffer, Uint8Array>;

export class Health {
  readonly #admission: Admission;
  readonly #callerOf: CallerOf;
  readonly #watchers = new Set<() => void>();
  readonly #perClient = new Map<string, number>();
  #serves = false;

  constructor(admission: Admission, callerOf: CallerOf = byAddress) {
    this.#admission = admission;
    this.#callerOf = callerOf;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  serving(serves: boolean): void {
    if (serves === this.#serves) return;
    this.#serves = serves;
    for (const tell of this.#watchers) tell();
  }

  addTo(server: Pick<Server, 'register'>): void {
    const { requestDeserialize, responseSerialize } = rawCodecs;
    const unary = (name: string, answer: (request: Buffer) => Uint8Array): void => {
      const handle = (call: Call, callback: sendUnaryData<Uint8Array>): void => this.#answer(call, callback, answer);
      server.register(`/grpc.health.v1.Health/${name}`, handle, responseSerialize, requestDeserialize, 'unary');
    };
    unary('Check', (request) => {
      serviceOf(request);
      return this.#response();
    });
    unary('List', () => this.#list());
    const watch = (stream: Stream): void => this.#watch(stream);
    server.register('/grpc.health.v1.Health/Watch', watch, responseSerialize, requestDeserialize, 'serverStream');
  }

  #answer(call: Call, callback: sendUnaryData<Uint8Array>, answer: (request: Buffer) => Uint8Array): void {
    const caller = this.#callerOf(call.getPeer());
    let entered = false;
    try {
      this.#admission.enter('call', caller);
      entered = true;
      callback(null, answer(call.request));
    } catch (error) {
      callback(statusOf(refusedOf(error)));
    } finally {
      if (entered) this.#admission.leave('call', caller);
    }
  }

  #watch(stream: Stream): void {
    const caller = this.#callerOf(stream.getPeer());
    const { name: client } = clientOf(caller);
    const has = this.#perClient.get(client) ?? 0;
    try {
      serviceOf(stream.request);
      if (has >= watchesPerClientMax) {
        throw new RefusedError(
          'overloaded',
          `watches of health of ${client}: ${has}, and ${watchesPerClientMax} are allowed`,
        );
      }
      this.#admission.enter('stream', caller);
    } catch (error) {
      stream.emit('error', streamError(refusedOf(error)));
      return;
    }
    this.#perClient.set(client, has + 1);
    const tell = pacedTeller(stream, () => this.#response());
    this.#watchers.add(tell);
    const close = (): void => {
      if (!this.#watchers.delete(tell)) return;
      this.#admission.leave('stream', caller);
      const left = (this.#perClient.get(client) ?? 1) - 1;
      if (left === 0) this.#perClient.delete(client);
      else this.#perClient.set(client, left);
    };
    stream.on('cancelled', close);
    stream.on('close', close);
    tell();
  }

  #response(): Uint8Array {
    return Writer.create()
      .uint32((firstField << 3) | 0)
      .int32(this.#serves ? status.serving : status.notServing)
      .finish();
  }

  /** A map: entries with the name in field 1 and the HealthCheckResponse in field 2. */
  #list(): Uint8Array {
    const writer = Writer.create();
    for (const name of services) {
      writer.uint32((firstField << 3) | 2).fork();
      writer.uint32((1 << 3) | 2).string(name);
      writer.uint32((2 << 3) | 2).bytes(this.#response());
      writer.ldelim();
    }
    return writer.finish();
  }
}

/** Sends the newest status; one that changes while the reader is slow is sent when it has taken the last. */
function pacedTeller(stream: Stream, response: () => Uint8Array): () => void {
  let full = false;
  let due = false;
  return function tell(): void {
    if (full) {
      due = true;
      return;
    }
    full = !stream.write(response());
    if (!full) return;
    stream.once('drain', () => {
      full = false;
      if (!due) return;
      due = false;
      tell();
    });
  };
}

/** @throws RefusedError for a name that there is not, or bytes that are no request */
function serviceOf(request: Buffer): string {
  let name = '';
  try {
    const reader = Reader.create(request);
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === ((firstField << 3) | 2)) name = reader.string();
      else reader.skipType(tag & 7);
    }
  } catch (error) {
    throw new RefusedError(
      'malformed',
      `the request is not a HealthCheckRequest: ${error instanceof Error ? error.message : ''}`,
    );
  }
  if (services.includes(name)) return name;
  throw new RefusedError(
    'not-found',
    `service: there is none of this name; there are: ${services.slice(1).join(', ')}`,
  );
}

function refusedOf(error: unknown): RefusedError {
  return toRefusedError(error, () => undefined);
}
