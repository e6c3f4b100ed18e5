/** The answer of an HTTP server, read to its end. */
import type { ClientRequest, IncomingMessage } from 'node:http';

export type WholeAnswer = { readonly status: number; readonly text: string };

/**
 * @param bytesMax of its body
 * @throws Error when the connection fails, or the body is larger; that with which `asked` was destroyed, if it was
 */
export async function wholeAnswer(asked: ClientRequest, bytesMax: number): Promise<WholeAnswer> {
  let failure: Error | undefined;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    asked.on('response', resolve).on('error', (error) => {
      failure = error;
      reject(error);
    });
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      bytes += chunk.length;
      if (bytes > bytesMax) throw new Error(`its answer is larger than ${bytesMax} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    // After the answer has begun the answer itself says no more than that it was aborted.
    throw failure ?? error;
  }
  return { status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString() };
}
