/** Turns commands into what the log holds, and back. */
import type { Command } from '#ipam/command.js';

/** A command of a kind that this version does not know: a newer member proposed it. */
export class UnknownCommandError extends Error {
  override readonly name = 'UnknownCommandError';
}

export declare function encodeCommand(command: Command): Uint8Array;
/** @throws UnknownCommandError, RecordError */
export declare function decodeCommand(bytes: Uint8Array): Command;
