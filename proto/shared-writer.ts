/**
 * The writer that encodings share; loaded by the generated code. A message is encoded and finished within one call nearly
 * always, so one buffer that has grown to the usual size serves them all, where protobufjs makes a writer and several
 * buffers for each. An encoding that begins while another one is under way gets a writer of its own.
 */
import { BufferWriter, type Writer } from 'protobufjs/minimal.js';

/** A buffer that has grown beyond this is not kept. */
const keptBytesMax = 256 * 1024;
/** What one fixed 32-bit word holds of a varint: four groups of seven bits. */
const fourGroups = 2 ** 28;

class SharedWriter extends BufferWriter {
  underWay = false;

  begin(): this {
    this.underWay = true;
    this.pos = 0;
    return this;
  }

  /** The message in memory of its own. The writer is free for the next one. */
  override finish(): Buffer {
    const bytes = Buffer.allocUnsafe(this.pos);
    bytes.set(this.buf.subarray(0, this.pos));
    this.underWay = false;
    return bytes;
  }

  /** All 64-bit numbers here are safe integers: they need no pair of halves, which protobufjs makes of each. */
  override uint64(value: Parameters<Writer['uint64']>[0]): Writer {
    if (typeof value !== 'number' || value < 0 || value > Number.MAX_SAFE_INTEGER) return super.uint64(value);
    if (value < fourGroups) return this.uint32(value);
    const low = value % fourGroups;
    const groups = (low & 127) | (((low >>> 7) & 127) << 8) | (((low >>> 14) & 127) << 16) | ((low >>> 21) << 24);
    return this.fixed32(groups | 0x80808080).uint32((value - low) / fourGroups);
  }
}

let shared = new SharedWriter();

/** For one message, from its encoding's beginning to `finish`. */
export function messageWriter(): Writer {
  // One that is under way is either in the middle of an outer message, or was given up when a message could not be encoded.
  if (shared.underWay || shared.buf.length > keptBytesMax) shared = new SharedWriter();
  return shared.begin();
}
