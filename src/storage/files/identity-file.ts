/**
 * The small file beside the database that outlives it: two slots, each far enough from the other that one torn
 * write never harms both. Here are its bytes; what they mean is in `identity-slots.ts`.
 */
import { constants } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectory } from '#storage/files/directory.js';

export type SlotNumber = 0 | 1;

/** Bytes of a slot. A write that is torn spoils its sum, and the other slot stays. */
export const slotBytes = 4096;

/** What the store asks of the file system for its identity. */
export type IdentityFile = {
  /** Both slots as they are; undefined when there is no file. */
  read(): Promise<readonly [Uint8Array, Uint8Array] | undefined>;
  /** Makes the file, whole or not at all, with both slots; durable, with its name, when it resolves. */
  create(slots: readonly [Uint8Array, Uint8Array]): Promise<void>;
  /** Overwrites one slot; durable when it resolves. */
  write(slot: SlotNumber, bytes: Uint8Array): Promise<void>;
  /** Gives up what is kept open between writes. */
  close(): Promise<void>;
};

/** Slots lie in blocks of their own. */
const slotSpacing = 4096;
const fileBytes = 2 * slotSpacing;

/** `IdentityFile` on a real file system. */
export class FileIdentity implements IdentityFile {
  readonly #path: string;
  /** Kept from the first write on: a process that can open no more files must still be able to note its vote. */
  #handle: FileHandle | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  async read(): Promise<readonly [Uint8Array, Uint8Array] | undefined> {
    const handle = await open(this.#path, 'r').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (handle === undefined) return undefined;
    try {
      // A file that was cut off reads as zeros, which no slot's sum allows.
      const bytes = new Uint8Array(fileBytes);
      await handle.read(bytes, 0, fileBytes, 0);
      return [bytes.subarray(0, slotBytes), bytes.subarray(slotSpacing, slotSpacing + slotBytes)];
    } finally {
      await handle.close();
    }
  }

  async create(slots: readonly [Uint8Array, Uint8Array]): Promise<void> {
    const bytes = new Uint8Array(fileBytes);
    bytes.set(slots[0], 0);
    bytes.set(slots[1], slotSpacing);
    const temporary = `${this.#path}.new`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.write(bytes, 0, fileBytes, 0);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.#path);
    await syncDirectory(dirname(this.#path));
  }

  async write(slot: SlotNumber, bytes: Uint8Array): Promise<void> {
    this.#handle ??= await open(this.#path, constants.O_WRONLY);
    const { bytesWritten } = await this.#handle.write(bytes, 0, bytes.byteLength, slot * slotSpacing);
    if (bytesWritten !== bytes.byteLength) throw new Error(`only ${bytesWritten} bytes written to ${this.#path}`);
    await this.#handle.datasync();
  }

  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close();
  }
}
