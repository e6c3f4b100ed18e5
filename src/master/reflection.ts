/**
 * Server reflection (v1 and v1alpha) and `grpc.health.v1`, so that any gRPC command line works with no files at
 * hand. The descriptors are those that buf made of the .proto files at build time: what proto-loader makes
 * of them lacks the imports and the marks of optional fields, and strict clients refuse it.
 */
import { readFileSync } from 'node:fs';
import type { Server } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { Reader } from 'protobufjs/minimal.js';

/** A `FileDescriptorSet` (google/protobuf/descriptor.proto) of the public API, of health, and of what they import. */
const descriptors = new URL('../../proto/sublet.binpb', import.meta.url);
/** What health is told of, besides the server as a whole (''). */
const healthServices = ['', 'sublet.v1.AgentService', 'sublet.v1.OperatorService', 'sublet.v1.ClusterService'];

/** Adds both to the server. */
export function addReflection(server: Server): Health {
  const described: PackageDefinition = {
    // The reflection service takes the files from whatever entry has them; that of an enum has nothing else.
    'sublet.v1': {
      format: 'Protocol Buffer 3 EnumDescriptorProto',
      type: {},
      fileDescriptorProtos: filesOf(readFileSync(descriptors)),
    },
  };
  new ReflectionService(described).addToServer(server);
  const implementation = new HealthImplementation();
  implementation.addToServer(server);
  return new Health(implementation);
}

/** Each encoded `FileDescriptorProto` of an encoded `FileDescriptorSet`: its field 1. */
function filesOf(set: Uint8Array): Buffer[] {
  const reader = Reader.create(set);
  const files: Buffer[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) files.push(Buffer.from(reader.bytes()));
    else reader.skipType(tag & 7);
  }
  return files;
}

/** What `grpc.health.v1` answers: all services are served, or none is. */
export class Health {
  readonly #implementation: HealthImplementation;

  constructor(implementation: HealthImplementation) {
    this.#implementation = implementation;
    this.serving(false);
  }

  serving(serves: boolean): void {
    for (const name of healthServices) this.#implementation.setStatus(name, serves ? 'SERVING' : 'NOT_SERVING');
  }
}
