/**
 * gRPC methods as plain values: path, kind of call and codecs, typed by the generated messages. Servers
 * and clients are both made from them; no .proto file is read for it at run time.
 */
import type { MethodDefinition } from '@grpc/grpc-js';

/** What the generator makes of a message: a class with static codecs. */
export type MessageType<Properties, Decoded extends Properties> = {
  encode(message: Properties): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Decoded;
};

/** A method: `Request` as the caller writes it, `RequestDecoded` as the server reads it, likewise the response. */
export type Method<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response> = {
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: MessageType<Request, RequestDecoded>;
  readonly response: MessageType<Response, ResponseDecoded>;
  /** The codecs as grpc-js takes them, made once: a call must not make functions. */
  readonly encodeRequest: (message: Request) => Buffer;
  readonly decodeResponse: (bytes: Buffer) => ResponseDecoded;
};

type Shape = { readonly requestStream?: boolean; readonly responseStream?: boolean };

export function method<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  path: string,
  request: MessageType<Request, RequestDecoded>,
  response: MessageType<Response, ResponseDecoded>,
  { requestStream = false, responseStream = false }: Shape = {},
): Method<Request, RequestDecoded, Response, ResponseDecoded> {
  return {
    path,
    requestStream,
    responseStream,
    request,
    response,
    encodeRequest: (message) => toBuffer(request.encode(message).finish()),
    decodeResponse: (bytes) => response.decode(bytes),
  };
}

/** `Register`, of its path. */
export function methodName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The method as grpc-js knows it. */
export function definition<Request, RequestDecoded extends Request, Response, ResponseDecoded extends Response>(
  of: Method<Request, RequestDecoded, Response, ResponseDecoded>,
): MethodDefinition<Request, Response> {
  return {
    path: of.path,
    originalName: methodName(of.path),
    requestStream: of.requestStream,
    responseStream: of.responseStream,
    requestSerialize: of.encodeRequest,
    requestDeserialize: (bytes) => of.request.decode(bytes),
    responseSerialize: (message) => toBuffer(of.response.encode(message).finish()),
    responseDeserialize: of.decodeResponse,
  };
}

/** The same bytes as a Buffer, not copied. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
