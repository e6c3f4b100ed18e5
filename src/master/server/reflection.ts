/**
 * Server reflection (v1 and v1alpha), so that any gRPC command line works with no files at hand. The descriptors are
 * those that buf made of the .proto files at build time, with their imports, as strict clients want them.
 */

import { readFileSync } from 'node:fs';
import type { Server, ServerDuplexStream } from '@grpc/grpc-js';
import { ReflectionAnswers } from '#api/reflection-answers.js';
import type { Admission } from '#master/access/admission.js';
import { type CallerOf, rawCodecs, streamError } from '#master/server/api-server.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import { byAddress, type Caller } from '#tls/caller.js';

/** A `FileDescriptorSet` (google/protobuf/descriptor.proto) of the public API, of health, and of what they import. */
const descriptors = new URL('../../../proto/sublet.binpb', import.meta.url);
type Stream = ServerDuplexStream<Buffer, Uint8Array>;

/** Adds it to the server, behind admission and at the pace of the reader. */
export function addReflection(
  server: Pick<Server, 'register'>,
  admission: Admission,
  callerOf: CallerOf = byAddress,
): void {
  const answers = new ReflectionAnswers(readFileSync(descriptors));
  const { requestDeserialize, responseSerialize } = rawCodecs;
  const handle = (stream: Stream): void => reflect(stream, answers, admission, callerOf(stream.getPeer()));
  for (const version of ['v1', 'v1alpha']) {
    const path = `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
    server.register(path, handle, responseSerialize, requestDeserialize, 'bidi');
  }
}

function reflect(given: Stream, answers: ReflectionAnswers, admission: Admission, caller: Caller): void {
  const refuse = (error: unknown): void => {
    given.emit('error', streamError(toRefusedError(error, () => undefined)));
  };
  try {
    admission.enter('stream', caller);
  } catch (error) {
    refuse(error);
    return;
  }
  let open = true;
  const close = (): void => {
    if (open) admission.leave('stream', caller);
    open = false;
  };
  given.on('cancelled', close);
  given.on('close', close);
  const stream = paced(given);
  stream.on('end', () => stream.end());
  const answer = (request: Buffer): void => {
    try {
      stream.write(answers.answer(request));
    } catch (error) {
      stream.off('data', answer);
      refuse(error);
    }
  };
  stream.on('data', answer);
}

/** Reads no further request while answers wait to be taken: else they would pile up, ten times as large as what was asked. */
function paced(stream: Stream): Stream {
  const write = stream.write.bind(stream);
  stream.write = (message: Uint8Array): boolean => {
    const more = write(message);
    if (!more) {
      stream.pause();
      stream.once('drain', () => stream.resume());
    }
    return more;
  };
  return stream;
}
