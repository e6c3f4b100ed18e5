/**
 * A snapshot on the wire: begin, numbered chunks each with a sum, end. The sender waits for the receiver's pace, and
 * a stream that stands still is given up; the receiver takes nothing for whole that has no end.
 */
import { once } from 'node:events';
import { crc32 } from 'node:zlib';
import { type ClientWritableStream, status } from '@grpc/grpc-js';
import { sublet } from '#proto/sublet.js';
import type { SnapshotMessage } from '#raft/message.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { encodeMeta } from '#transport/membership-codec.js';
import { encodeMessage } from '#transport/message-codec.js';
import { type PeerChannelOptions, peerClient } from '#transport/peer-channel.js';
import { CallRefusal, type WireEnvelope } from '#transport/peer-gate.js';
import { type InstallSnapshotRequest, peerService } from '#transport/peer-service.js';

const { SnapshotRecords } = sublet.raft.v1;

/** Keys and values in one chunk. */
export const chunkBytesMax = 1024 * 1024;
/** No progress for so long ends a transfer: of a chunk, and of the answer, before which the receiver syncs all it has. */
const chunkTimeoutMs = 10_000;
const answerTimeoutMs = 60_000;

export type SnapshotSend = {
  readonly peer: string;
  readonly envelope: WireEnvelope;
  readonly message: SnapshotMessage;
  readonly source: SnapshotSource;
  readonly channel: PeerChannelOptions;
  /** Ends the transfer early. */
  readonly signal: AbortSignal;
};

/** Streams `source`; rejects when the receiver did not take all of it. */
export async function sendSnapshot({ peer, envelope, message, source, channel, signal }: SnapshotSend): Promise<void> {
  const client = peerClient(peer, channel);
  const { path, requestSerialize, responseDeserialize } = peerService.installSnapshot;
  try {
    await new Promise<void>((resolve, reject) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) => {
        signal.removeEventListener('abort', cancel);
        if (error === null) resolve();
        else reject(error);
      });
      const cancel = () => call.cancel();
      signal.addEventListener('abort', cancel);
      if (signal.aborted) cancel();
      const begin = { envelope, message: encodeMessage(message), meta: encodeMeta(source.meta) };
      pour(call, begin, source).catch((error: unknown) => {
        call.cancel();
        reject(error);
      });
    });
  } finally {
    client.close();
  }
}

async function pour(
  call: ClientWritableStream<InstallSnapshotRequest>,
  begin: sublet.raft.v1.SnapshotBegin.$Properties,
  source: SnapshotSource,
): Promise<void> {
  // The call may end at any time, with the receiver's reason or because the connection broke.
  let isOver = false;
  const over = once(call, 'status').then(() => {
    isOver = true;
  });
  const write = async (part: InstallSnapshotRequest) => {
    if (isOver || call.write(part)) return;
    const timer = setTimeout(() => call.cancel(), chunkTimeoutMs);
    await Promise.race([once(call, 'drain'), over]);
    clearTimeout(timer);
  };
  await write({ begin });
  let number = 0;
  for await (const chunk of source.chunks(chunkBytesMax)) {
    if (isOver) return;
    const records = SnapshotRecords.encode({ records: chunk.map(({ key, value }) => ({ key, value })) }).finish();
    await write({ chunk: { number, records, sum: crc32(records) } });
    number += 1;
  }
  await write({ end: { chunks: number } });
  call.end();
  const timer = setTimeout(() => call.cancel(), answerTimeoutMs);
  await over;
  clearTimeout(timer);
}

/** The records of a stream whose begin is already read. @throws Refusal when it is damaged or cut off */
export async function* readChunks(parts: AsyncIterator<InstallSnapshotRequest>): AsyncIterable<readonly StateRecord[]> {
  let expected = 0;
  for (;;) {
    const next = await parts.next();
    if (next.done === true) throw new CallRefusal(status.ABORTED, `the snapshot broke off after ${expected} chunks`);
    const { chunk, end } = next.value;
    if (end != null) {
      if (end.chunks === expected) return;
      throw new CallRefusal(status.DATA_LOSS, `the snapshot has ${end.chunks ?? 0} chunks, ${expected} arrived`);
    }
    yield readChunk(chunk ?? {}, expected);
    expected += 1;
  }
}

function readChunk(
  { number, records, sum }: sublet.raft.v1.SnapshotChunk.$Properties,
  expected: number,
): StateRecord[] {
  const bytes = records ?? new Uint8Array();
  if ((number ?? 0) !== expected) {
    throw new CallRefusal(status.DATA_LOSS, `chunk ${number ?? 0} of the snapshot came where ${expected} was due`);
  }
  if (crc32(bytes) !== sum) {
    throw new CallRefusal(status.DATA_LOSS, `chunk ${expected} of the snapshot has a wrong sum`);
  }
  return SnapshotRecords.decode(bytes).records.map(({ key, value }) => ({
    key: key ?? new Uint8Array(),
    value: value ?? new Uint8Array(),
  }));
}
