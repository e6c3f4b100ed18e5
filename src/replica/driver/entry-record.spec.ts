import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { type Entry, logIndex, term } from '#raft/log/entry.js';
import { decodeEntryRecord, EntryRecordError, entryHeaderBytes, entryRecord } from '#replica/driver/entry-record.js';

const anyEntry: fc.Arbitrary<Entry> = fc.record({
  term: fc.maxSafeNat().map(term),
  index: fc.maxSafeNat().map(logIndex),
  type: fc.constantFrom('normal', 'conf-change', 'conf-change-v2'),
  data: fc.uint8Array({ maxLength: 300 }),
});

const sample: Entry = { term: term(7), index: logIndex(2 ** 40 + 5), type: 'normal', data: new Uint8Array([1, 2, 3]) };

/** A record with a right sum, whatever its content. */
function resummed(record: Uint8Array): Uint8Array {
  const sum = crc32(record.subarray(entryHeaderBytes), crc32(record.subarray(0, entryHeaderBytes - 4)));
  new DataView(record.buffer, record.byteOffset).setUint32(entryHeaderBytes - 4, sum);
  return record;
}

describe('entry record', () => {
  it('gives back the entry it was made of', () => {
    fc.assert(
      fc.property(anyEntry, (entry) => {
        const decoded = decodeEntryRecord(Uint8Array.from(entryRecord({ ...entry })));
        const { term, index, type, data } = decoded;
        assert.deepEqual({ term, index, type, data: [...data] }, { ...entry, data: [...entry.data] });
      }),
    );
  });

  it('has the layout that the file and the peers rely on', () => {
    assert.equal(
      Buffer.from(entryRecord(sample)).toString('hex'),
      '010000000000000000070000010000000005' +
        crc32(Buffer.from('010203', 'hex'), crc32(Buffer.from('010000000000000000070000010000000005', 'hex')))
          .toString(16)
          .padStart(8, '0') +
        '010203',
    );
  });

  it('is encoded once: the same bytes for the same entry', () => {
    assert.equal(entryRecord(sample), entryRecord(sample));
  });

  it('keeps the received bytes as the record, and the data as a view into them', () => {
    const received = Uint8Array.from(entryRecord(sample));
    const entry = decodeEntryRecord(received);
    assert.equal(entryRecord(entry), received);
    assert.equal(entry.data.buffer, received.buffer);
  });

  it('refuses a record with any one bit flipped', () => {
    fc.assert(
      fc.property(anyEntry, fc.nat(), (entry, bit) => {
        const record = Uint8Array.from(entryRecord(entry));
        const at = Math.floor(bit / 8) % record.length;
        record[at] = (record[at] ?? 0) ^ (1 << (bit % 8));
        assert.throws(() => decodeEntryRecord(record), EntryRecordError);
      }),
    );
  });

  it('refuses a record that is cut off anywhere', () => {
    const record = entryRecord(sample);
    for (let length = 0; length < record.length; length++) {
      assert.throws(() => decodeEntryRecord(record.subarray(0, length)), EntryRecordError, `${length} bytes`);
    }
  });

  it('names the format, the type and the range it does not know', () => {
    const newer = Uint8Array.from(entryRecord(sample));
    newer[0] = 2;
    assert.throws(() => decodeEntryRecord(resummed(newer)), /format 2; this version reads format 1/);
    const odd = Uint8Array.from(entryRecord(sample));
    odd[1] = 9;
    assert.throws(() => decodeEntryRecord(resummed(odd)), /unknown type 9/);
    const huge = Uint8Array.from(entryRecord(sample));
    huge[2] = 0xff;
    assert.throws(() => decodeEntryRecord(resummed(huge)), /out of range/);
  });
});
