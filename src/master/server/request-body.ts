/** The body of an HTTP request, refused as a call is. */
import type { IncomingMessage } from 'node:http';
import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';
import { readBody } from '#http/bounded-server.js';
import { formatSize } from '#text/size.js';

/** @throws RefusedError `too-large`, after which the answer has to close the connection; `unavailable` when it has not arrived */
export async function requestBody(request: IncomingMessage, bytesMax: number): Promise<Buffer> {
  try {
    return await readBody(request, bytesMax);
  } catch (error) {
    if (!(error instanceof RangeError)) throw new RefusedError('unavailable', errorText(error));
    throw new RefusedError('too-large', `the body is larger than ${formatSize(bytesMax)}`);
  }
}
