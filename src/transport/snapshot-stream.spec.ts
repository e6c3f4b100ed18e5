import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { sublet } from '#proto/sublet.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { CallRefusal } from '#transport/peer-gate.js';
import type { InstallSnapshotRequest } from '#transport/peer-service.js';
import { readChunks } from '#transport/snapshot-stream.js';

const { SnapshotRecords } = sublet.raft.v1;

function chunk(number: number, text: string): InstallSnapshotRequest {
  const records = SnapshotRecords.encode({ records: [{ key: Buffer.from('k'), value: Buffer.from(text) }] }).finish();
  return { chunk: { number, records, sum: crc32(records) } };
}

async function* stream(parts: readonly InstallSnapshotRequest[]): AsyncGenerator<InstallSnapshotRequest> {
  yield* parts;
}

async function read(...parts: readonly InstallSnapshotRequest[]): Promise<readonly StateRecord[]> {
  const records: StateRecord[] = [];
  for await (const batch of readChunks(stream(parts))) records.push(...batch);
  return records;
}

function refuses(code: status, reason: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof CallRefusal && error.code === code && reason.test(error.message);
}

describe('a snapshot on the wire', () => {
  it('is whole with its end, which says how many chunks there are', async () => {
    const records = await read(chunk(0, 'one'), chunk(1, 'two'), { end: { chunks: 2 } });
    assert.deepEqual(
      records.map(({ value }) => Buffer.from(value).toString()),
      ['one', 'two'],
    );
    assert.deepEqual(await read({ end: { chunks: 0 } }), []);
  });

  it('is taken for nothing when it has no end, or its end knows of other chunks', async () => {
    await assert.rejects(read(chunk(0, 'one')), refuses(status.ABORTED, /broke off after 1 chunks/));
    const more = read(chunk(0, 'one'), { end: { chunks: 2 } });
    await assert.rejects(more, refuses(status.DATA_LOSS, /has 2 chunks, 1 arrived/));
    const fewer = read(chunk(0, 'one'), chunk(1, 'two'), { end: { chunks: 1 } });
    await assert.rejects(fewer, refuses(status.DATA_LOSS, /has 1 chunks, 2 arrived/));
  });

  it('is taken for nothing when a chunk is missing, comes twice, or is damaged', async () => {
    const missing = read(chunk(0, 'one'), chunk(2, 'three'), { end: { chunks: 2 } });
    await assert.rejects(missing, refuses(status.DATA_LOSS, /chunk 2 of the snapshot came where 1 was due/));
    const twice = read(chunk(0, 'one'), chunk(0, 'one'), { end: { chunks: 2 } });
    await assert.rejects(twice, refuses(status.DATA_LOSS, /chunk 0 of the snapshot came where 1 was due/));
    const { chunk: sound } = chunk(0, 'one');
    const damaged = read({ chunk: { ...sound, sum: 7 } }, { end: { chunks: 1 } });
    await assert.rejects(damaged, refuses(status.DATA_LOSS, /chunk 0 of the snapshot has a wrong sum/));
  });
});
