/**
 * The membership in force at the applied position, as a database value: CRC-32 (4 bytes, big-endian), then
 * JSON. Written only when it changes; the head carries its CRC-32, so that an old one can't pass for the new.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { memberId } from '#raft/log/entry.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import type { Membership } from '#replica/ports/membership.js';

const sumBytes = 4;

const memberIdSchema = z.int().positive().transform(memberId);
const memberIdsSchema = z.array(memberIdSchema).readonly();
const membershipSchema = z.strictObject({
  clusterId: z.string().min(1).max(63),
  /** Absent in what was written before there was one. */
  incarnation: z.string().max(63).default(noIncarnation),
  confState: z.strictObject({
    voters: memberIdsSchema,
    votersOutgoing: memberIdsSchema,
    learners: memberIdsSchema,
    learnersNext: memberIdsSchema,
    autoLeave: z.boolean(),
  }),
  members: z
    .array(z.strictObject({ id: memberIdSchema, name: z.string(), peer: z.string(), storeId: z.string() }))
    .readonly(),
  nextMemberId: memberIdSchema,
});

export function encodeMembershipRecord(membership: Membership): { readonly stored: Uint8Array; readonly sum: number } {
  // Without one it is written as before there was one: a release of then reads it still.
  const { incarnation, ...rest } = membership;
  const json = Buffer.from(JSON.stringify(incarnation === noIncarnation ? rest : membership));
  const sum = crc32(json);
  const stored = new Uint8Array(sumBytes + json.byteLength);
  new DataView(stored.buffer).setUint32(0, sum);
  stored.set(json, sumBytes);
  return { stored, sum };
}

/** @throws Error with what is wrong */
export function decodeMembershipRecord(stored: Uint8Array): { readonly membership: Membership; readonly sum: number } {
  if (stored.byteLength < sumBytes) throw new RangeError(`${stored.byteLength} bytes`);
  const json = stored.subarray(sumBytes);
  const sum = crc32(json);
  if (new DataView(stored.buffer, stored.byteOffset, stored.byteLength).getUint32(0) !== sum) {
    throw new RangeError('wrong sum');
  }
  return { membership: membershipSchema.parse(JSON.parse(Buffer.from(json).toString())), sum };
}
