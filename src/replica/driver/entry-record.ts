/**
 * One log entry as bytes: a fixed header with a CRC-32 over header and data, then the data. The same bytes
 * go to this member's disk and to every peer, so an entry is encoded once, where it is created, and kept with
 * the entry for as long as that lives; a record that was received or read is kept the same way.
 *
 * Layout, numbers big-endian: format version (1 byte) · type (1) · term (8) · index (8) · CRC-32 (4) · data.
 */
import { crc32 } from 'node:zlib';
import { type Entry, type EntryType, logIndex, term } from '#raft/log/entry.js';
import { readUint32, readUint64, writeUint64 } from '#replica/uint64.js';

/** Bytes that a record has beyond its data. */
export const entryHeaderBytes = 22;

/** Written first in every record; a record of another version is refused. */
export const entryFormatVersion = 1;

const typeOffset = 1;
const termOffset = 2;
const indexOffset = 10;
const sumOffset = 18;

/** The code of a type is its position here; only ever append. */
const entryTypes: readonly EntryType[] = ['normal', 'conf-change', 'conf-change-v2'];

/** Bytes that are no sound entry record: damaged, cut off, or of a format this version does not know. */
export class EntryRecordError extends Error {
  override readonly name = 'EntryRecordError';
}

/** The bytes of `entry`, shared by all callers: read-only. */
export function entryRecord(entry: Entry): Uint8Array {
  entry.encoded ??= encode(entry);
  return entry.encoded;
}

/**
 * The entry in `record`, checked. Keeps `record` as its bytes, and `data` is a view into it: the caller must not
 * change it afterwards.
 * @throws EntryRecordError
 */
export function decodeEntryRecord(record: Uint8Array): Entry {
  if (record.byteLength < entryHeaderBytes) {
    throw new EntryRecordError(`entry record of ${record.byteLength} bytes; the header alone has ${entryHeaderBytes}`);
  }
  if (record[0] !== entryFormatVersion) {
    throw new EntryRecordError(`entry record of format ${record[0]}; this version reads format ${entryFormatVersion}`);
  }
  const found = entrySum(record);
  const computed = sum(record);
  if (found !== computed) {
    throw new EntryRecordError(`entry record has sum ${hex(found)}; its bytes have ${hex(computed)}`);
  }
  const code = record[typeOffset] ?? entryTypes.length;
  const type = entryTypes[code];
  if (type === undefined) throw new EntryRecordError(`entry record of unknown type ${code}`);
  const { term, index } = position(record);
  const entry: Entry = { term, index, type, data: record.subarray(entryHeaderBytes) };
  // Not with the others above: entries that a leader makes come to theirs later, and all should be of one shape.
  entry.encoded = record;
  return entry;
}

/** The CRC-32 that `record`, a sound one, carries. */
export function entrySum(record: Uint8Array): number {
  return readUint32(record, sumOffset);
}

function encode(entry: Entry): Uint8Array {
  const record = Buffer.allocUnsafe(entryHeaderBytes + entry.data.byteLength);
  record[0] = entryFormatVersion;
  record[typeOffset] = entryTypes.indexOf(entry.type);
  writeUint64(record, termOffset, entry.term);
  writeUint64(record, indexOffset, entry.index);
  record.set(entry.data, entryHeaderBytes);
  record.writeUInt32BE(sum(record), sumOffset);
  return record;
}

function position(record: Uint8Array): Pick<Entry, 'term' | 'index'> {
  try {
    return { term: term(readUint64(record, termOffset)), index: logIndex(readUint64(record, indexOffset)) };
  } catch (error) {
    throw new EntryRecordError('entry record with a term or index out of range', { cause: error });
  }
}

/** CRC-32 of everything but the sum itself. */
function sum(record: Uint8Array): number {
  return crc32(record.subarray(entryHeaderBytes), crc32(record.subarray(0, sumOffset)));
}

function hex(value: number): string {
  return `0x${value.toString(16).padStart(8, '0')}`;
}
