/** The methods of `sublet.raft.v1.PeerService` as grpc-js wants them, and the version of what they say. */
import type { MethodDefinition } from '@grpc/grpc-js';
import { sublet } from '#proto/sublet.js';

const v1 = sublet.raft.v1;

/** Peers of another version refuse each other. A change that both sides can ignore needs no new one. */
export const protocolVersion = 1;

export type HelloRequest = sublet.raft.v1.HelloRequest.$Properties;
export type HelloResponse = sublet.raft.v1.HelloResponse.$Properties;
export type DeliverRequest = sublet.raft.v1.DeliverRequest.$Properties;
export type DeliverResponse = sublet.raft.v1.DeliverResponse.$Properties;
export type InstallSnapshotRequest = sublet.raft.v1.InstallSnapshotRequest.$Properties;
export type InstallSnapshotResponse = sublet.raft.v1.InstallSnapshotResponse.$Properties;

type MessageType<Properties> = {
  encode(message: Properties): { finish(): Uint8Array };
  decode(bytes: Uint8Array): Properties;
};

function definition<Request, Response>(
  name: string,
  request: MessageType<Request>,
  response: MessageType<Response>,
  requestStream: boolean,
): MethodDefinition<Request, Response> {
  return {
    path: `/sublet.raft.v1.PeerService/${name}`,
    originalName: name,
    requestStream,
    responseStream: false,
    requestSerialize: (message) => asBuffer(request.encode(message).finish()),
    requestDeserialize: (bytes) => request.decode(bytes),
    responseSerialize: (message) => asBuffer(response.encode(message).finish()),
    responseDeserialize: (bytes) => response.decode(bytes),
  };
}

export const peerService = {
  hello: definition('Hello', v1.HelloRequest, v1.HelloResponse, false),
  deliver: definition('Deliver', v1.DeliverRequest, v1.DeliverResponse, true),
  installSnapshot: definition('InstallSnapshot', v1.InstallSnapshotRequest, v1.InstallSnapshotResponse, true),
};

export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
