/**
 * A backup as a file: what a member's store held at one position, apart from any store. It is written in one go and
 * believed only whole: it has an end, and every part has its sum.
 *
 * Layout: `magic`, then parts: kind (1 byte) · length (4) · CRC-32 of the content (4) · content. First the header as JSON,
 * then records (an encoded `SnapshotRecords` each), then the end as JSON, with the SHA-256 of all bytes before it. A file of
 * format 2 has one part more, the signature as JSON: it is of the SHA-256 of all bytes before that part.
 */

import { createHash, type Hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { errorText } from '#errors/unknown-error.js';
import { sublet } from '#proto/sublet.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { StateRecord } from '#replica/ports/state-machine.js';

const { SnapshotRecords } = sublet.raft.v1;

const headerSchema = z.strictObject({
  /** 2: the file is signed. */
  format: z.union([z.literal(1), z.literal(2)]),
  clusterId: z.string().min(1).max(63),
  index: z.int().nonnegative(),
  term: z.int().nonnegative(),
  /** Cluster time, in ms. */
  time: z.number().nonnegative(),
  members: z.array(z.strictObject({ name: z.string(), peer: z.string(), votes: z.boolean() })),
  savedBy: z.string(),
  /** Ms since 1970. */
  savedAt: z.int(),
  /** Of the program that wrote it. */
  version: z.string(),
});
const signatureSchema = z.strictObject({ certificates: z.string(), signature: z.string() });
const endSchema = z.strictObject({ records: z.int().nonnegative(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

export type SnapshotFileHeader = z.output<typeof headerSchema>;
export type SnapshotSignature = z.output<typeof signatureSchema>;
/** Signs a statement about the file. */
export type SignSnapshot = (statement: string) => SnapshotSignature;

/** The file is not whole, or not a snapshot. The message says what and where. */
export class SnapshotFileError extends Error {
  override readonly name = 'SnapshotFileError';
}

const magic = Buffer.from('SUBLET SNAPSHOT\n');
const partHeadBytes = 9;
/** Keys and values in one part; a larger record is a part of its own. */
const partRecordsBytes = 1024 * 1024;
/** A part as it may be read: one record of the largest size, with room for its envelope. */
const partBytesMax = 4 * 1024 * 1024;
const kinds = { header: 1, records: 2, end: 3, signature: 4 } as const;

/** The bytes of the file, in pieces of up to a part. The caller closes `source`. Without `sign` it is not signed. */
export async function* writeSnapshotFile(
  source: SnapshotSource,
  saved: Pick<SnapshotFileHeader, 'savedBy' | 'savedAt' | 'version'>,
  sign?: SignSnapshot,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { index, term, time, membership } = source.meta;
  const { clusterId, confState } = membership;
  const members = membership.members.map(({ id, name, peer }) => ({
    name,
    peer,
    votes: confState.voters.includes(id),
  }));
  const header: SnapshotFileHeader = {
    format: sign === undefined ? 1 : 2,
    clusterId,
    index,
    term,
    time,
    members,
    ...saved,
  };
  const hash = createHash('sha256');
  const hashed = (bytes: Uint8Array): Uint8Array => {
    hash.update(bytes);
    return bytes;
  };
  yield hashed(magic);
  yield hashed(part(kinds.header, Buffer.from(JSON.stringify(header))));
  let records = 0;
  for await (const chunk of source.chunks(partRecordsBytes)) {
    records += chunk.length;
    yield hashed(part(kinds.records, SnapshotRecords.encode({ records: [...chunk] }).finish()));
  }
  const sha256 = hash.copy().digest('hex');
  yield hashed(part(kinds.end, Buffer.from(JSON.stringify({ records, sha256 }))));
  if (sign === undefined) return;
  yield part(kinds.signature, Buffer.from(JSON.stringify(sign(statementOf(hash.digest('hex'))))));
}

/** What is signed: good for no other kind of document. */
function statementOf(sha256: string): string {
  return `sublet snapshot, format 2, sha256 ${sha256}`;
}

export type SnapshotFileContent = {
  readonly header: SnapshotFileHeader;
  readonly records: readonly StateRecord[];
  /** Not verified here, and what it has to be of; undefined: the file is not signed. */
  readonly signature: { readonly signed: SnapshotSignature; readonly statement: string } | undefined;
};

/** Reads a whole file and checks it. @throws SnapshotFileError */
export async function readSnapshotFile(bytes: AsyncIterable<Uint8Array>): Promise<SnapshotFileContent> {
  const reader = new ByteReader(bytes);
  const begin = await reader.take(magic.byteLength);
  if (begin === undefined || !magic.equals(begin)) throw new SnapshotFileError('this is not a snapshot of Sublet');
  const header = parsed('header', headerSchema, await nextPart(reader, kinds.header));
  const records: StateRecord[] = [];
  for (;;) {
    const sumBefore = reader.digest();
    const next = await nextPart(reader);
    if (next.kind === kinds.end) {
      const end = parsed('end', endSchema, next);
      if (end.sha256 !== sumBefore) throw new SnapshotFileError('its SHA-256 is wrong: it was changed');
      if (end.records !== records.length) {
        throw new SnapshotFileError(`it says ${end.records} records and has ${records.length}`);
      }
      const statement = statementOf(reader.digest());
      const signed =
        header.format === 2 ? parsed('signature', signatureSchema, await nextPart(reader, kinds.signature)) : undefined;
      if ((await reader.take(1)) !== undefined) throw new SnapshotFileError('something follows its end');
      return { header, records, signature: signed && { signed, statement } };
    }
    if (next.kind !== kinds.records) throw new SnapshotFileError(`it has a part of kind ${next.kind}`);
    for (const record of recordsIn(next.content)) records.push(record);
  }
}

/** A part whose sum is right may still hold something else: a program may have written it. @throws SnapshotFileError */
function recordsIn(content: Uint8Array): readonly StateRecord[] {
  try {
    const { records } = SnapshotRecords.decode(content);
    return records.map(({ key, value }) => ({ key: key ?? new Uint8Array(), value: value ?? new Uint8Array() }));
  } catch (error) {
    throw new SnapshotFileError(`it has a part without records that can be read: ${errorText(error)}`);
  }
}

type Part = { readonly kind: number; readonly content: Uint8Array };

function part(kind: number, content: Uint8Array): Uint8Array {
  const bytes = Buffer.alloc(partHeadBytes + content.byteLength);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt32BE(content.byteLength, 1);
  bytes.writeUInt32BE(crc32(content), 5);
  bytes.set(content, partHeadBytes);
  return bytes;
}

async function nextPart(reader: ByteReader, wanted?: number): Promise<Part> {
  const at = reader.position;
  const head = await reader.take(partHeadBytes);
  if (head === undefined) throw new SnapshotFileError(`it breaks off at byte ${at}: it was not written to its end`);
  const kind = head.readUInt8(0);
  const length = head.readUInt32BE(1);
  if (length > partBytesMax) throw new SnapshotFileError(`the part at byte ${at} says it has ${length} bytes`);
  const content = await reader.take(length);
  if (content === undefined) throw new SnapshotFileError(`it breaks off at byte ${at}: it was not written to its end`);
  if (crc32(content) !== head.readUInt32BE(5)) throw new SnapshotFileError(`the part at byte ${at} has a wrong sum`);
  if (wanted !== undefined && kind !== wanted) throw new SnapshotFileError(`the part at byte ${at} is of kind ${kind}`);
  return { kind, content };
}

function parsed<T>(what: string, schema: z.ZodType<T>, { content }: Part): T {
  const read = schema.safeParse(jsonIn(what, content));
  if (read.success) return read.data;
  throw new SnapshotFileError(`this version can't read its ${what}: ${z.prettifyError(read.error)}`);
}

/** @throws SnapshotFileError */
function jsonIn(what: string, content: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(content).toString());
  } catch (error) {
    throw new SnapshotFileError(`its ${what} is not JSON: ${errorText(error)}`);
  }
}

/** Takes exact counts of bytes out of pieces of any size, and sums up what it gave. */
class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #hash: Hash = createHash('sha256');
  #rest = Buffer.alloc(0);
  #position = 0;

  constructor(bytes: AsyncIterable<Uint8Array>) {
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  get position(): number {
    return this.#position;
  }

  /** SHA-256 of everything taken so far. */
  digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** undefined: fewer are left. */
  async take(count: number): Promise<Buffer | undefined> {
    const pieces: Buffer[] = [this.#rest];
    let have = this.#rest.byteLength;
    while (have < count) {
      const next = await this.#pieces.next();
      if (next.done === true) return undefined;
      pieces.push(Buffer.from(next.value));
      have += next.value.byteLength;
    }
    const all = pieces.length === 1 ? this.#rest : Buffer.concat(pieces);
    const taken = all.subarray(0, count);
    this.#rest = all.subarray(count);
    this.#position += count;
    this.#hash.update(taken);
    return taken;
  }
}
