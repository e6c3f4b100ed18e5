/** What a call was refused with, for specs. */
import { status } from '@grpc/grpc-js';
import { isServiceError } from '#api/master-client.js';

/** Resolves with the code and the message of the refusal. */
export async function refusal(call: Promise<unknown>): Promise<{ code: string; message: string }> {
  try {
    await call;
  } catch (error) {
    if (isServiceError(error)) return { code: status[error.code], message: error.details };
    throw error;
  }
  throw new Error('the call was not refused');
}
