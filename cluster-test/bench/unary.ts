/** A unary call whose request and answer are bytes. */
import type { Client } from '@grpc/grpc-js';

/** How long a call may take, in ms: it ends a bench whose servers hang. */
const timeoutMs = 120_000;

export const same = (bytes: Buffer): Buffer => bytes;

/** @throws ServiceError */
export function unary(client: Client, path: string, request: Uint8Array): Promise<Buffer> {
  const options = { deadline: Date.now() + timeoutMs };
  const encode = (bytes: Uint8Array): Buffer => Buffer.from(bytes);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, encode, same, request, options, (error, answer) =>
      answer === undefined ? reject(error) : resolve(answer),
    );
  });
}
