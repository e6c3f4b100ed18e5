/**
 * This member's identity and the least that it promised, apart from the database: ids, term and vote, how far the
 * database had durably come when the slot was written, how often the store was opened, and facts about the stores of
 * its peers. Each write goes to the slot that holds the older content, so the newer one survives a torn write.
 *
 * A slot is text, for operators: 8 hex digits of CRC-32 over the rest, a blank, JSON, blanks up to `slotBytes`.
 */
import { crc32 } from 'node:zlib';
import { z } from 'zod';
import { logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import { storeFactsMax } from '#replica/members/store-facts.js';
import { sessionNoncesMax } from '#replica/ports/store-claim.js';
import { corrupt } from '#storage/checks/store-failure.js';
import { type IdentityFile, type SlotNumber, slotBytes } from '#storage/files/identity-file.js';
import { hex32 } from '#storage/records/sum.js';
import { SerialQueue } from '#storage/serial-queue.js';

const formatVersion = 1;

const count = z.int().nonnegative();
const storeIdSchema = z.string().regex(/^[0-9a-f]{32}$/);
const nonceSchema = z.string().regex(/^[0-9a-f]{8}$/);
const factSchema = z.strictObject({ starts: count, nonce: nonceSchema, term: count, index: count });
const slotSchema = z.strictObject({
  format: z.literal(formatVersion),
  /** Counts the writes of slots: the higher of two is the newer. */
  write: count,
  storeId: storeIdSchema,
  clusterId: z.string().min(1).max(63).optional(),
  memberId: count.transform(memberId).optional(),
  term: count.transform(term),
  vote: count.transform(memberId),
  /** `Head.sequence` that was durable; may lag. */
  sequence: count,
  /** Last log index that was durable at `sequence`, for messages. */
  lastIndex: count.transform(logIndex),
  /** Openings of the store, the present one included; a file of an earlier release has none. */
  starts: count.default(0),
  /** Of the newest openings, the present one first. */
  nonces: z.array(nonceSchema).max(sessionNoncesMax).default([]),
  /** Facts about the stores of peers, by store id. */
  peers: z
    .record(storeIdSchema, factSchema)
    .refine((peers) => Object.keys(peers).length <= storeFactsMax, `at most ${storeFactsMax} are kept`)
    .default({}),
});

type Slot = z.output<typeof slotSchema>;
export type Identity = Readonly<Omit<Slot, 'format' | 'write'>>;

/** Writes that may wait for each other: one for a vote, one for the lag, one at close, with room to spare. */
const waitingMax = 8;

export class IdentitySlots {
  readonly #file: IdentityFile;
  readonly #queue = new SerialQueue(waitingMax);
  #newest: Slot;
  #next: SlotNumber;
  /** Of a write that failed: what its slot holds is unknown, and what waited behind it must not contradict it. */
  #failure: { readonly error: unknown } | undefined;

  private constructor(file: IdentityFile, newest: Slot, next: SlotNumber) {
    this.#file = file;
    this.#newest = newest;
    this.#next = next;
  }

  /**
   * undefined: there is no file.
   * @throws StoreError `corrupt` when neither slot is sound
   */
  static async load(file: IdentityFile, place: string): Promise<IdentitySlots | undefined> {
    const bytes = await file.read();
    if (bytes === undefined) return undefined;
    const [a, b] = bytes.map((slot) => decodeSlot(slot, place));
    if (a !== undefined && (b === undefined || a.write > b.write)) return new IdentitySlots(file, a, 1);
    if (b !== undefined) return new IdentitySlots(file, b, 0);
    throw corrupt(place, 'neither slot of its identity file is sound, so what it voted for is unknown');
  }

  static async create(file: IdentityFile, storeId: string, sequence: number): Promise<IdentitySlots> {
    const first: Slot = {
      format: formatVersion,
      write: 1,
      storeId,
      term: term(0),
      vote: noMember,
      sequence,
      lastIndex: logIndex(0),
      starts: 0,
      nonces: [],
      peers: {},
    };
    const second: Slot = { ...first, write: 2 };
    await file.create([encodeSlot(first), encodeSlot(second)]);
    return new IdentitySlots(file, second, 0);
  }

  /** As durably written. */
  get identity(): Identity {
    return this.#newest;
  }

  /** Durable when it resolves; what `change` does not name stays as it is. After one that failed all others fail likewise. */
  update(change: Partial<Identity>): Promise<void> {
    return this.#queue.run(async () => {
      if (this.#failure !== undefined) throw this.#failure.error;
      const slot: Slot = { ...this.#newest, ...change, write: this.#newest.write + 1 };
      try {
        await this.#file.write(this.#next, encodeSlot(slot));
      } catch (error) {
        this.#failure = { error };
        throw error;
      }
      this.#newest = slot;
      this.#next = this.#next === 0 ? 1 : 0;
    });
  }
}

function encodeSlot(slot: Slot): Uint8Array {
  const json = JSON.stringify(slot);
  const content = Buffer.from(` ${json}`);
  const room = slotBytes - 8;
  if (content.byteLength > room) throw new RangeError(`identity of ${content.byteLength} bytes; a slot holds ${room}`);
  const rest = Buffer.concat([content, Buffer.alloc(room - content.byteLength, ' ')]);
  return Buffer.concat([Buffer.from(hex32(crc32(rest))), rest]);
}

/** undefined: torn or damaged. @throws StoreError `corrupt` at a whole slot in a form that is not ours */
function decodeSlot(bytes: Uint8Array, place: string): Slot | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const rest = text.subarray(8);
  if (text.subarray(0, 8).toString('latin1') !== hex32(crc32(rest))) return undefined;
  const slot = slotSchema.safeParse(JSON.parse(rest.toString()));
  if (slot.success) return slot.data;
  throw corrupt(place, `its identity file has a form that this version can't read: ${z.prettifyError(slot.error)}`);
}
