/**
 * The gRPC server of the API: endpoints and streams behind admission, with their refusals as statuses. Requests
 * reach it as bytes, so that what can't be decoded is the caller's mistake and not an internal error.
 */

import {
  type handleUnaryCall,
  Server,
  type ServerCredentials,
  type ServerInterceptor,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type StatusObject,
  type sendUnaryData,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { refusalMetadata } from '#api/error-info.js';
import { toBuffer } from '#api/method.js';
import type { RefusedError } from '#api/refusal.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { type UnaryCallOptions, unaryCall } from '#master/server/unary-call.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Caller } from '#tls/caller.js';

/** A request larger than this is refused with RESOURCE_EXHAUSTED. */
export const requestBytesMax = 1024 * 1024;

/** Without TLS a connection may be that of many agents. */
export const streamsPerPlainConnection = 16_384;

/** A method with a stream: raw bytes in and out, and its own handler. */
export type StreamMethod = {
  readonly path: string;
  readonly requestStream: boolean;
  readonly handle: UntypedHandleCall;
};

/** From HOST:PORT of a connection to its caller. */
export type CallerOf = (from: string) => Caller;

export type ApiServerOptions = UnaryCallOptions & {
  readonly endpoints: Iterable<Endpoint>;
  readonly streams: Iterable<StreamMethod>;
  readonly clock: Pick<Clock, 'now'>;
  /** The scale of gRPC's deadlines: read once, as a call comes in. */
  readonly wallClock: () => number;
  /** The caller whose connection comes from HOST:PORT. */
  readonly callerOf: CallerOf;
  readonly interceptors: readonly ServerInterceptor[];
  /** What HTTP/2 tells clients of one connection. */
  readonly streamsPerConnection: number;
};

const serverOptions = {
  'grpc.max_receive_message_length': requestBytesMax,
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 20_000,
  // A connection without a stream: agents always have one, and others connect again.
  'grpc.max_connection_idle_ms': 300_000,
  'grpc.enable_channelz': 0,
};

/** A server with these methods; more services may be added before it is bound. */
export function apiServer(options: ApiServerOptions): Server {
  const { interceptors, streamsPerConnection } = options;
  const settings = { ...serverOptions, 'grpc.max_concurrent_streams': streamsPerConnection };
  // Without any, grpc-js takes the short way.
  const server = new Server(interceptors.length === 0 ? settings : { ...settings, interceptors: [...interceptors] });
  const services = new Map<
    string,
    { definition: Record<string, ServiceDefinition[string]>; handlers: Record<string, UntypedHandleCall> }
  >();
  const add = (path: string, requestStream: boolean, responseStream: boolean, handle: UntypedHandleCall): void => {
    const [, service = '', name = ''] = path.split('/');
    const known = services.get(service) ?? { definition: {}, handlers: {} };
    const codecs = responseStream && !requestStream ? keepingCodecs : rawCodecs;
    known.definition[name] = { path, originalName: name, requestStream, responseStream, ...codecs };
    known.handlers[name] = handle;
    services.set(service, known);
  };
  for (const endpoint of options.endpoints) add(endpoint.path, false, false, unary(endpoint, options));
  for (const { path, requestStream, handle } of options.streams) add(path, requestStream, true, handle);
  for (const { definition, handlers } of services.values()) server.addService(definition, handlers);
  return server;
}

/** Begins to listen. Resolves with the port. */
export function bind(server: Server, address: string, credentials: ServerCredentials): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) => (error ? reject(error) : resolve(port)));
  });
}

/** The status of a refusal, as grpc-js takes it. */
export function statusOf(refused: RefusedError): Partial<StatusObject> {
  return { code: refused.code, details: refused.message, metadata: refusalMetadata(refused) };
}

/** The refusal as the error that ends a stream of grpc-js with its status. */
export function streamError(refused: RefusedError): ServiceError {
  const { code, message } = refused;
  return Object.assign(new Error(message), { code, details: message, metadata: refusalMetadata(refused) });
}

/** Bytes as they are. */
export const rawCodecs = {
  requestSerialize: toBuffer,
  requestDeserialize: (bytes: Buffer): Buffer => bytes,
  responseSerialize: toBuffer,
  responseDeserialize: (bytes: Buffer): Buffer => bytes,
};

/**
 * gRPC keeps the request of a stream for as long as that is open. It is a piece of one of Node's pools of 64 KiB, which it would
 * keep, too: a copy is as long as the request.
 */
const keepingCodecs = {
  ...rawCodecs,
  requestDeserialize: (bytes: Buffer): Buffer => Buffer.from(new Uint8Array(bytes).buffer),
};

function unary(endpoint: Endpoint, options: ApiServerOptions): handleUnaryCall<Buffer, Uint8Array> {
  const { callerOf, clock, wallClock } = options;
  return (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => {
    const caller = callerOf(call.getPeer());
    const until = call.getDeadline();
    const deadline = clock.now() + ((typeof until === 'number' ? until : until.getTime()) - wallClock());
    unaryCall(endpoint, { request: call.request, caller, deadline }, options, (refused, response) =>
      callback(refused === undefined ? null : statusOf(refused), response),
    );
  };
}
