/**
 * The head: one record, written in every batch that changes log, hard state or applied state, that says what
 * the rest of the database must hold. Since it carries the sums over all entries and all state records, a batch
 * that vanished from the middle is seen at the next start, whichever it was.
 *
 * Layout: format (1 byte) · store id (16) · time (8, float) · the numbers of `numbersOf`, 8 bytes each · CRC-32 (4).
 */
import { crc32 } from 'node:zlib';
import { type HardState, type LogIndex, logIndex, type MemberId, memberId, type Term, term } from '#raft/log/entry.js';
import { readUint64, uint64Bytes, writeUint64 } from '#replica/uint64.js';
import type { RecordTotal } from '#storage/records/record-sums.js';

export type HeadPosition = { readonly index: LogIndex; readonly term: Term };

export type Head = {
  /** 32 hex digits. */
  readonly storeId: string;
  /** Counts the batches that wrote a head; never goes back. What the identity file's durable sequence is held against. */
  readonly sequence: number;
  /** undefined: not bootstrapped. */
  readonly memberId: MemberId | undefined;
  readonly hardState: HardState | undefined;
  /** The log begins after it. */
  readonly compacted: HeadPosition;
  readonly lastIndex: LogIndex;
  /** Over the CRC-32 of every entry from `compacted.index + 1` to `lastIndex`; see `sum.ts`. */
  readonly logSum: number;
  /** The generation of state records in force; 0: not bootstrapped. */
  readonly generation: number;
  /** The highest generation ever given out; none is used twice. */
  readonly lastGeneration: number;
  readonly applied: HeadPosition & { readonly time: number };
  readonly records: RecordTotal;
  /** CRC-32 of the membership record. */
  readonly membershipSum: number;
};

const formatVersion = 1;
const storeIdOffset = 1;
const storeIdBytes = 16;
const timeOffset = storeIdOffset + storeIdBytes;
const numbersOffset = timeOffset + 8;
const numberCount = 17;
const sumOffset = numbersOffset + numberCount * uint64Bytes;
const headBytes = sumOffset + 4;

/** The head of a store that was just made: empty log, no state. */
export function freshHead(storeId: string): Head {
  const nowhere = { index: logIndex(0), term: term(0) };
  return {
    storeId,
    sequence: 1,
    memberId: undefined,
    hardState: undefined,
    compacted: nowhere,
    lastIndex: nowhere.index,
    logSum: 0,
    generation: 0,
    lastGeneration: 0,
    applied: { ...nowhere, time: 0 },
    records: { count: 0, sum: 0 },
    membershipSum: 0,
  };
}

export function encodeHead(head: Head): Uint8Array {
  const bytes = new Uint8Array(headBytes);
  const view = new DataView(bytes.buffer);
  bytes[0] = formatVersion;
  bytes.set(Buffer.from(head.storeId, 'hex'), storeIdOffset);
  view.setFloat64(timeOffset, head.applied.time);
  numbersOf(head).forEach((value, at) => {
    writeUint64(bytes, numbersOffset + at * uint64Bytes, value);
  });
  view.setUint32(sumOffset, crc32(bytes.subarray(0, sumOffset)));
  return bytes;
}

/** @throws RangeError with what is wrong */
export function decodeHead(bytes: Uint8Array): Head {
  if (bytes[0] !== formatVersion) {
    throw new RangeError(`format ${bytes[0]}; this version reads format ${formatVersion}`);
  }
  if (bytes.byteLength !== headBytes) throw new RangeError(`${bytes.byteLength} bytes instead of ${headBytes}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(sumOffset) !== crc32(bytes.subarray(0, sumOffset))) throw new RangeError('wrong sum');
  const next = numberReader(bytes);
  const storeId = Buffer.from(bytes.subarray(storeIdOffset, timeOffset)).toString('hex');
  const sequence = next();
  const member = next();
  const hasHardState = next() === 1;
  const hardState = { term: term(next()), vote: memberId(next()), commit: logIndex(next()) };
  return {
    storeId,
    sequence,
    memberId: member === 0 ? undefined : memberId(member),
    hardState: hasHardState ? hardState : undefined,
    compacted: { index: logIndex(next()), term: term(next()) },
    lastIndex: logIndex(next()),
    logSum: next(),
    generation: next(),
    lastGeneration: next(),
    applied: { index: logIndex(next()), term: term(next()), time: view.getFloat64(timeOffset) },
    records: { count: next(), sum: next() },
    membershipSum: next(),
  };
}

function numberReader(bytes: Uint8Array): () => number {
  let offset = numbersOffset;
  return () => {
    const value = readUint64(bytes, offset);
    offset += uint64Bytes;
    return value;
  };
}

/** In the order of the layout; `decodeHead` reads them in the same order. */
function numbersOf(head: Head): readonly number[] {
  return [
    head.sequence,
    head.memberId ?? 0,
    head.hardState === undefined ? 0 : 1,
    head.hardState?.term ?? 0,
    head.hardState?.vote ?? 0,
    head.hardState?.commit ?? 0,
    head.compacted.index,
    head.compacted.term,
    head.lastIndex,
    head.logSum,
    head.generation,
    head.lastGeneration,
    head.applied.index,
    head.applied.term,
    head.records.count,
    head.records.sum,
    head.membershipSum,
  ];
}
