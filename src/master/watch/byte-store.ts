/**
 * Keeps small pieces of bytes for about as long as each other. What an encoder returns is a piece of a pool of Node that others have
 * their bytes in, too: kept by itself, a piece of 50 bytes can hold on to 8 KiB.
 */
const slabBytes = 64 * 1024;

export class ByteStore {
  #slab = new Uint8Array(0);
  #used = 0;

  /** A copy, in memory that is shared with nothing but other copies. */
  keep(bytes: Uint8Array): Uint8Array {
    if (bytes.length > slabBytes) return new Uint8Array(bytes);
    if (this.#used + bytes.length > this.#slab.length) {
      this.#slab = new Uint8Array(slabBytes);
      this.#used = 0;
    }
    const kept = this.#slab.subarray(this.#used, this.#used + bytes.length);
    kept.set(bytes);
    this.#used += bytes.length;
    return kept;
  }
}
