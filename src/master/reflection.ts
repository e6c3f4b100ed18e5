/**
 * Server reflection (v1 and v1alpha), so that any gRPC command line works with no files at
 * hand. The descriptors are those that buf made of the .proto files at build time: what proto-loader makes
 * of them lacks the imports and the marks of optional fields, and strict clients refuse it.
 */
import { readFileSync } from 'node:fs';
import type { Server, ServerDuplexStream, ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import type { PackageDefinition } from '@grpc/proto-loader';
import { ReflectionService } from '@grpc/reflection';
import { Reader } from 'protobufjs/minimal.js';
import type { Admission } from '#master/admission.js';
import { streamError } from '#master/api-server.js';
import { toRefusedError } from '#master/refusal-mapping.js';

/** A `FileDescriptorSet` (google/protobuf/descriptor.proto) of the public API, of health, and of what they import. */
const descriptors = new URL('../../proto/sublet.binpb', import.meta.url);
type Stream = ServerDuplexStream<unknown, unknown>;

/** Adds it to the server, behind admission and at the pace of who reads. */
export function addReflection(server: Server, admission: Admission): void {
  const described: PackageDefinition = {
    // The reflection service takes the files from whatever entry has them; that of an enum has nothing else.
    'sublet.v1': {
      format: 'Protocol Buffer 3 EnumDescriptorProto',
      type: {},
      fileDescriptorProtos: filesOf(readFileSync(descriptors)),
    },
  };
  const add = (definition: ServiceDefinition, implementation: UntypedServiceImplementation): void => {
    const behind = Object.entries(implementation).map(([name, handle]) => [name, admitted(handle, admission)] as const);
    server.addService(definition, Object.fromEntries(behind));
  };
  new ReflectionService(described).addToServer({ addService: add });
}

function admitted(handle: UntypedServiceImplementation[string], admission: Admission) {
  return (stream: Stream): void => {
    const caller = stream.getPeer();
    try {
      admission.enter('stream', caller);
    } catch (error) {
      stream.emit('error', streamError(toRefusedError(error, () => undefined)));
      return;
    }
    let open = true;
    const close = (): void => {
      if (open) admission.leave('stream', caller);
      open = false;
    };
    stream.on('cancelled', close);
    stream.on('close', close);
    Reflect.apply(handle, undefined, [paced(stream)]);
  };
}

/** Reads no further request while answers wait to be taken: else they would pile up, ten times as large as what was asked. */
function paced(stream: Stream): Stream {
  const write = stream.write.bind(stream);
  stream.write = (message: unknown): boolean => {
    const more = write(message);
    if (!more) {
      stream.pause();
      stream.once('drain', () => stream.resume());
    }
    return more;
  };
  return stream;
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
