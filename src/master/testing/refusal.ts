/** What a call was refused with, for specs. */
import { status } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { isServiceError, NoMasterError } from '#api/master-client.js';
import type { RefusalReason } from '#api/refusal.js';

export type SeenRefusal = {
  readonly code: string;
  readonly message: string;
  readonly reason: RefusalReason | undefined;
};

/** Resolves with what the refusal says. */
export async function refusal(call: Promise<unknown>): Promise<SeenRefusal> {
  try {
    await call;
  } catch (error) {
    if (isServiceError(error)) return { code: status[error.code], message: error.details, reason: reasonOf(error) };
    // Each master that the client knows has refused so.
    if (error instanceof NoMasterError) return { code: 'UNAVAILABLE', message: error.message, reason: 'unavailable' };
    throw error;
  }
  throw new Error('the call was not refused');
}
