/** Bytes that a disk or another master may hold out, given to what reads them: it is refused in its own error, or read. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Amount, fuzzSeed, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { Chance } from '#cluster-test/fuzz/chance.js';
import { peerMessage } from '#cluster-test/fuzz/peer-messages.js';
import { sublet } from '#proto/sublet.js';
import { memberId } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import { CoreMember } from '#raft/testing/core-member.js';
import { readSnapshotFile, SnapshotFileError, writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { meta } from '#storage/testing/sample.js';
import { decodeMessage, WireError } from '#transport/message-codec.js';
import { readChunks } from '#transport/snapshot-stream.js';

const layers = 3;
/**
 * A member that lies is not withstood: it may make another one stop. That one names the rule that is broken, and goes no
 * further.
 */
const reasons = /^(Invariant|Raft)Error: /;

describe('what reads bytes from elsewhere', function () {
  this.timeout(fuzzTimeoutMs);
  let chance: Chance;

  before(() => {
    chance = new Chance(fuzzSeed('readers'));
  });

  async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield bytes;
  }

  /** A backup with some records, in its parts. */
  async function backup(): Promise<Buffer> {
    const record = (at: number) => ({ key: Buffer.from(`key-${at}`), value: chance.bytes(100) });
    const chunks = async function* () {
      for (let chunk = 0; chunk < 3; chunk++) yield [record(chunk * 2), record(chunk * 2 + 1)];
    };
    const source = { meta: meta(7), chunks, close: async () => {} };
    const all: Uint8Array[] = [];
    for await (const piece of writeSnapshotFile(source, { savedBy: 'm1', savedAt: 1, version: 'spec' })) {
      all.push(piece);
    }
    return Buffer.concat(all);
  }

  const headBytes = 9;
  const magicBytes = 'SUBLET SNAPSHOT\n'.length;

  /** One part changed, with sums that are right again: by a program, not by a disk. */
  function forged(file: Buffer): Buffer {
    const parts: Buffer[] = [];
    for (let at = magicBytes; at < file.length; ) {
      const end = at + headBytes + file.readUInt32BE(at + 1);
      parts.push(file.subarray(at, end));
      at = end;
    }
    const changed = chance.below(parts.length);
    const forge = (part: Buffer): Buffer => {
      const content = chance.mutated(part.subarray(headBytes));
      const head = Buffer.from(part.subarray(0, headBytes));
      head.writeUInt32BE(content.length, 1);
      head.writeUInt32BE(crc32(content), 5);
      return Buffer.concat([head, content]);
    };
    const all = parts.map((part, at) => (at === changed ? forge(part) : part));
    const body = Buffer.concat([file.subarray(0, magicBytes), ...all.slice(0, -1)]);
    if (changed === parts.length - 1 || chance.below(2) === 0) return Buffer.concat([body, ...all.slice(-1)]);
    const sha256 = createHash('sha256').update(body).digest('hex');
    const content = Buffer.from(JSON.stringify({ records: 6, sha256 }));
    const head = Buffer.from(parts.at(-1)?.subarray(0, headBytes) ?? '');
    head.writeUInt32BE(content.length, 1);
    head.writeUInt32BE(crc32(content), 5);
    return Buffer.concat([body, head, content]);
  }

  it('row 60: takes a backup whole or not at all, whatever was changed in it', async () => {
    const file = await backup();
    const { records } = await readSnapshotFile(pieces(file));
    assert.equal(records.length, 6);
    const amount = new Amount({ inputs: 3_000, layers });
    let refused = 0;
    while (amount.next()) {
      const byDisk = chance.below(2) === 0;
      const changed = byDisk ? chance.mutated(file) : forged(file);
      if (changed.equals(file)) continue;
      await readSnapshotFile(pieces(changed)).then(
        // Sums that were made anew show nothing.
        () => assert.ok(!byDisk, changed.toString('base64')),
        (error: unknown) => {
          refused += 1;
          assert.ok(error instanceof SnapshotFileError, `${error}: ${changed.toString('base64')}`);
        },
      );
    }
    amount.report(`changed backups, ${refused} refused,`);
  });

  it('takes the chunks of a snapshot whole or not at all', async () => {
    const { InstallSnapshotRequest, SnapshotRecords } = sublet.raft.v1;
    const chunk = (number: number) => {
      const records = SnapshotRecords.encode({
        records: [{ key: Buffer.from('k'), value: chance.bytes(50) }],
      }).finish();
      return { chunk: { number, records, sum: crc32(records) } };
    };
    const parts = [chunk(0), chunk(1), { end: { chunks: 2 } }].map((part) =>
      InstallSnapshotRequest.encode(part).finish(),
    );
    const read = async (sent: readonly Uint8Array[]): Promise<number> => {
      const decoded = async function* () {
        for (const part of sent) yield InstallSnapshotRequest.decode(part);
      };
      let count = 0;
      for await (const records of readChunks(decoded())) count += records.length;
      return count;
    };
    assert.equal(await read(parts), 2);
    const amount = new Amount({ inputs: 3_000, layers });
    while (amount.next()) {
      const at = chance.below(parts.length);
      const sent = parts.map((part, place) => (place === at ? chance.mutated(part) : part));
      await read(sent).then(
        (count) => assert.ok(count <= 2, String(count)),
        (error: unknown) => assert.ok(error instanceof Error, String(error)),
      );
    }
    amount.report('changed snapshot streams');
  });

  it('steps a core with messages of a member that sends anything: it goes on, or says which invariant is broken', () => {
    const { PeerMessage } = sublet.raft.v1;
    const amount = new Amount({ inputs: 20_000, layers });
    let stopped = 0;
    let member = new CoreMember(1);
    let taken = 0;
    while (amount.next()) {
      if (taken++ % 200 === 0) member = new CoreMember(1, { checkQuorum: true, preVote: true });
      const { term: now } = member.status;
      const message = peerMessage(chance, { from: 2, term: now, index: 5, voters: [1, 2, 3] });
      const bytes = PeerMessage.encode(message).finish();
      const received = decoded(chance.below(5) === 0 ? chance.mutated(bytes) : bytes);
      if (received === undefined) continue;
      try {
        member.raft.step(received);
        if (chance.below(10) === 0) member.raft.delay();
        member.work();
      } catch (error) {
        assert.ok(error instanceof Error && reasons.test(`${error.name}: ${error.message}`), String(error));
        stopped += 1;
        member = new CoreMember(1, { checkQuorum: true, preVote: true });
      }
    }
    amount.report(`messages; the core stopped ${stopped} times`);
  });

  /** Undefined: refused before the core, in the error that a peer's stream ends with. */
  function decoded(bytes: Uint8Array): PeerMessage | undefined {
    const { PeerMessage: wire } = sublet.raft.v1;
    let message: sublet.raft.v1.PeerMessage;
    try {
      message = wire.decode(bytes);
    } catch {
      return undefined; // gRPC answers that itself.
    }
    try {
      return decodeMessage(message, memberId(2), memberId(1));
    } catch (error) {
      assert.ok(error instanceof WireError, String(error));
      return undefined;
    }
  }
});
