/**
 * What a gRPC server keeps of one stream: it collects the pieces of a message until the message is whole. The meter follows
 * the length prefixes (one byte of flags, four of length) and never copies.
 */

const prefixBytes = 5;
/** A piece that is kept costs this much beside its bytes: an object of V8 and a place in a list. */
export const pieceBytes = 128;

export class MessageMeter {
  /** Bytes of the prefix that have come; `prefixBytes`: the body is being read. */
  #prefix = 0;
  #length = 0;
  #missing = 0;
  #kept = 0;
  /** The memory of the last piece that was counted. Pieces of one read share theirs, and each keeps all of it. */
  #memory: ArrayBufferLike | undefined;

  /** Bytes kept for a message that is not whole yet. */
  get kept(): number {
    return this.#kept;
  }

  /** Of the message that is being read; 0: its prefix is not whole. */
  get length(): number {
    return this.#length;
  }

  /** Counts a piece. Returns how many messages are whole with it. */
  add(piece: Uint8Array): number {
    let whole = 0;
    let at = 0;
    while (at < piece.length) {
      if (this.#prefix < prefixBytes) {
        if (this.#prefix > 0) this.#length = this.#length * 256 + (piece[at] ?? 0);
        this.#prefix += 1;
        at += 1;
        if (this.#prefix < prefixBytes) continue;
        this.#missing = this.#length;
      }
      const taken = Math.min(piece.length - at, this.#missing);
      at += taken;
      this.#missing -= taken;
      if (this.#missing > 0) continue;
      whole += 1;
      this.#begin();
    }
    if (this.#prefix > 0) this.#keep(piece);
    return whole;
  }

  #begin(): void {
    this.#prefix = 0;
    this.#length = 0;
    this.#kept = 0;
    this.#memory = undefined;
  }

  #keep(piece: Uint8Array): void {
    this.#kept += pieceBytes;
    if (piece.buffer === this.#memory) return;
    this.#memory = piece.buffer;
    this.#kept += piece.buffer.byteLength;
  }
}
