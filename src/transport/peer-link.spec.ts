import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  ChannelCredentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type Entry, logIndex, memberId, term } from '#raft/log/entry.js';
import type { AppendMessage, PeerMessage } from '#raft/message.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { connectionOptions } from '#transport/peer-channel.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { PeerLink } from '#transport/peer-link.js';
import { type DeliverRequest, type DeliverResponse, peerService } from '#transport/peer-service.js';

const mebibyte = 1024 * 1024;
/** Of each wait: real sockets have no clock that a test could own. */
const boundMs = 15_000;
/** Longer than a machine that does much else stands still: a ping that is missed ends the connection. */
const pingMs = 30_000;

/** A peer that reads nothing until the spec has it read. */
class SlowPeer {
  readonly received: number[] = [];
  readonly #server = new Server(connectionOptions(pingMs));
  #call: ServerReadableStream<DeliverRequest, DeliverResponse> | undefined;
  #answer: sendUnaryData<DeliverResponse> | undefined;
  streams = 0;

  async start(): Promise<number> {
    this.#server.addService(peerService, {
      hello: () => assert.fail('nobody asks'),
      installSnapshot: () => assert.fail('nobody sends one'),
      deliver: (
        call: ServerReadableStream<DeliverRequest, DeliverResponse>,
        answer: sendUnaryData<DeliverResponse>,
      ) => {
        this.#call = call;
        this.#answer = answer;
        this.streams += 1;
        call.on('error', () => undefined);
        call.sendMetadata(new Metadata());
      },
    });
    return new Promise((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      this.#server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port)));
    });
  }

  read(): void {
    this.#call?.on('data', ({ messages }: DeliverRequest) => {
      for (const { index } of messages ?? []) this.received.push(index ?? 0);
    });
  }

  /** Ends the stream, whatever is on its way. */
  end(): void {
    this.#answer?.(null, {});
  }

  stop(): void {
    this.#server.forceShutdown();
  }
}

function info(id: number, port: number): MemberInfo {
  return { id: memberId(id), name: `m${id}`, peer: `127.0.0.1:${port}`, storeId: `store-${id}` };
}

/** Follows on `index`, and holds one entry of a mebibyte. */
function append(index: number): AppendMessage {
  const entry: Entry = { term: term(1), index: logIndex(index + 1), type: 'normal', data: Buffer.alloc(mebibyte) };
  const envelope = { from: memberId(1), to: memberId(2), term: term(1) };
  return {
    kind: 'append',
    ...envelope,
    index: logIndex(index),
    logTerm: term(1),
    commit: logIndex(0),
    entries: [entry],
  };
}

const heartbeat: PeerMessage = {
  kind: 'heartbeat',
  from: memberId(1),
  to: memberId(2),
  term: term(1),
  commit: logIndex(0),
  context: 0,
};

describe('a link to a peer that is slow', () => {
  let peer: SlowPeer;
  let link: PeerLink;
  let dropped = 0;

  beforeEach(async () => {
    peer = new SlowPeer();
    const member = info(2, await peer.start());
    dropped = 0;
    link = new PeerLink({
      member,
      envelope: envelopeOf(info(1, 1), { clusterId: 'test', incarnation: 'f1' }, member),
      channel: { credentials: ChannelCredentials.createInsecure(), pingMs },
      report: undefined,
      unreachable: () => {
        dropped += 1;
      },
      refused: (reason) => assert.fail(reason),
    });
    await until('the connection', boundMs, () => holds(link.connected));
  });

  afterEach(() => {
    link.close();
    peer.stop();
  });

  it('keeps so much and no more, says what it drops, and delivers the rest in order once it can', async () => {
    const sends = 200;
    for (let index = 1; index <= sends; index += 1) {
      link.send(append(index));
      // Each in a turn of its own, as a core sends them.
      await sleep(0);
    }
    // 64 MiB in the queue, and the 16 frames or so that the stream takes before it says that it is blocked.
    const kept = sends - dropped;
    assert.ok(kept >= 64 && kept <= 64 + 20, `${kept} of ${sends} were kept`);
    peer.read();
    await until('all that was kept', boundMs, () => holds(peer.received.length === kept));
    const first = Array.from({ length: kept }, (_, at) => at + 1);
    assert.deepEqual(peer.received, first);
    link.send(append(sends + 1));
    await until('what is sent when it is blocked no more', boundMs, () => holds(peer.received.at(-1) === sends + 1));
    assert.equal(peer.streams, 1);
  });

  it('drops what waits when the stream ends, says so, and begins anew with what is sent then', async () => {
    for (let index = 1; index <= 50; index += 1) {
      link.send(append(index));
      await sleep(0);
    }
    assert.equal(dropped, 0);
    peer.end();
    await until('the next stream', boundMs, () => holds(peer.streams === 2 && link.connected));
    assert.equal(dropped, 1);
    peer.read();
    link.send(append(99));
    await until('what is sent then', boundMs, () => holds(peer.received.includes(99)));
    assert.deepEqual(peer.received, [99]);
  });

  it('keeps so many messages and no more, however small they are', async () => {
    // Enough for the stream to be blocked.
    for (let index = 1; index <= 24; index += 1) {
      link.send(append(index));
      await sleep(0);
    }
    assert.equal(dropped, 0);
    const sends = 6000;
    for (let nth = 0; nth < sends; nth += 1) link.send(heartbeat);
    await until('a drop', boundMs, () => holds(dropped > 0));
    const kept = sends - dropped;
    assert.ok(kept > 4000 && kept <= 4096, `${kept} of ${sends} were kept`);
    peer.read();
    await until('all that was kept', boundMs, () => holds(peer.received.length === 24 + kept));
  });
});
