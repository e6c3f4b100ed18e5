import assert from 'node:assert/strict';
import { logIndex, memberId, term } from '#raft/log/entry.js';
import type { SnapshotMessage } from '#raft/message.js';
import { SnapshotReceiver, SnapshotSender, snapshotOf } from '#replica/driver/snapshot-transfers.js';
import type { LogStore } from '#replica/ports/log-store.js';
import type { AppliedMeta } from '#replica/ports/membership.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

function meta(index: number): AppliedMeta {
  const confState = { voters: [memberId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const membership = { clusterId: 'test', incarnation: 'f1', confState, members: [], nextMemberId: memberId(2) };
  return { index: logIndex(index), term: term(1), time: 0, membership };
}

function message(index: number, to = 2): SnapshotMessage {
  return { kind: 'snapshot', from: memberId(1), to: memberId(to), term: term(3), snapshot: snapshotOf(meta(index)) };
}

/** Waits for promises that can settle at once. */
const settle = () => new Promise(setImmediate);

describe('sending snapshots', () => {
  function bench(storedIndex: number) {
    const sent: { readonly message: SnapshotMessage; readonly end: (error?: Error) => void }[] = [];
    const ended: string[] = [];
    const time = new VirtualTime();
    let open = 0;
    const store: Pick<LogStore, 'openSnapshot'> = {
      openSnapshot: async () => {
        open += 1;
        return {
          meta: meta(storedIndex),
          chunks: () => assert.fail('the network reads the chunks'),
          close: async () => {
            open -= 1;
          },
        };
      },
    };
    const network = {
      sendSnapshot: (of: SnapshotMessage) =>
        new Promise<void>((resolve, reject) => {
          sent.push({ message: of, end: (error) => (error === undefined ? resolve() : reject(error)) });
        }),
    };
    const sender = new SnapshotSender(store, network, time, 2);
    const send = async (of: SnapshotMessage): Promise<void> => {
      const result = await sender.send(of);
      if (result === undefined) return;
      const { to, index, kind } = result;
      const how = kind === 'waits' && result.again ? 'still waits' : kind;
      ended.push(`${to} ${index} ${kind === 'failed' ? result.error.message : how}`);
    };
    return { sender, send, sent, ended, time, open: () => open };
  }

  it('is of the state as stored now, which may be newer than the message', async () => {
    const { sender, send, sent, ended, open } = bench(50);
    send(message(40));
    assert.equal(sender.pinned, 40);
    await settle();
    assert.equal(sent[0]?.message.snapshot.index, 50);
    assert.equal(open(), 1);
    sent[0]?.end();
    await settle();
    assert.deepEqual([ended, open(), sender.pinned], [['2 50 sent'], 0, undefined]);
  });

  it('is one at a time to a member, and a few in all; the wait of others is reported', async () => {
    const { sender, send, sent, ended, open } = bench(50);
    for (const [index, to] of [
      [40, 2],
      [41, 2],
      [42, 3],
      [43, 4],
    ])
      send(message(index ?? 0, to));
    await settle();
    assert.equal(sent.length, 2);
    assert.deepEqual(ended, ['4 43 waits']);
    sent[0]?.end(new Error('cut'));
    await settle();
    assert.deepEqual(ended.slice(1), ['2 40 cut']);
    assert.deepEqual([sender.pinned, open()], [42, 1]);
  });

  it('waits after one that failed, longer each time, and not after one that arrived', async () => {
    const { send, sent, ended, time } = bench(50);
    /** Asks until one begins, as the core does, and ends it; returns how long that took, in s. */
    const next = async (error?: Error): Promise<number> => {
      const count = sent.length;
      const begin = time.now();
      for (let asked = 0; sent.length === count && asked < 400; asked++) {
        send(message(40));
        await settle();
        if (sent.length === count) await time.runFor(100);
      }
      sent.at(-1)?.end(error);
      await settle();
      return Math.round((time.now() - begin) / 100) / 10;
    };
    const cut = new Error('cut');
    const waits: number[] = [];
    for (let failures = 0; failures < 8; failures++) waits.push(await next(cut));
    assert.deepEqual(waits, [0, 1, 2, 4, 4, 4, 4, 4]);
    assert.equal(ended.filter((each) => each === '2 40 cut').length, 8);
    assert.equal(ended.filter((each) => each === '2 40 waits').length, 0);
    // To others they go meanwhile.
    send(message(40, 3));
    await settle();
    assert.equal(sent.at(-1)?.message.to, 3);
    assert.equal(await next(), 4);
    assert.deepEqual([await next(), await next(cut), await next(cut)], [0, 0, 1]);
    await time.runFor(62_000);
    assert.deepEqual([await next(cut), await next(cut)], [0, 1]);
  });

  it('reports a wait once, until it is over', async () => {
    const { send, sent, ended } = bench(50);
    for (const to of [2, 3, 4, 4, 5, 4]) send(message(40, to));
    await settle();
    assert.deepEqual(ended, ['4 40 waits', '4 40 still waits', '5 40 waits', '4 40 still waits']);
    sent[0]?.end();
    await settle();
    for (const to of [4, 5, 2]) send(message(40, to));
    await settle();
    assert.deepEqual(ended.slice(4), ['2 50 sent', '5 40 still waits', '2 40 waits']);
    for (const { end } of sent) end();
    await settle();
    // Two begin, and the third waits anew.
    for (const to of [2, 4, 5]) send(message(40, to));
    await settle();
    assert.equal(ended.at(-1), '5 40 waits');
  });
});

describe('receiving a snapshot', () => {
  function bench(wanted: boolean) {
    const log: string[] = [];
    const store: Pick<LogStore, 'stageSnapshot'> = {
      stageSnapshot: async (of) => ({
        append: async (records) => {
          log.push(`append ${records.length}`);
        },
        finish: async () => {
          log.push('finish');
          return { meta: of };
        },
        abort: async () => {
          log.push('abort');
        },
      }),
    };
    const receiver = new SnapshotReceiver(store);
    const receive = (of: SnapshotMessage, at: AppliedMeta, records: AsyncIterable<readonly StateRecord[]>) =>
      receiver.receive(of, at, records, () => {
        log.push('offer');
        if (wanted) log.push(`claim ${receiver.claim(of.snapshot).meta.index}`);
      });
    return { receive, log };
  }

  async function* chunks(...sizes: readonly number[]): AsyncIterable<readonly StateRecord[]> {
    for (const size of sizes) {
      if (size < 0) throw new Error('cut');
      yield Array.from({ length: size }, () => ({ key: new Uint8Array(1), value: new Uint8Array(1) }));
    }
  }

  it('stages all of it before the core hears of it', async () => {
    const { receive, log } = bench(true);
    await receive(message(40), meta(40), chunks(3, 2));
    assert.deepEqual(log, ['append 3', 'append 2', 'finish', 'offer', 'claim 40']);
  });

  it('deletes one that the core does not want', async () => {
    const { receive, log } = bench(false);
    await receive(message(40), meta(40), chunks(1));
    assert.deepEqual(log, ['append 1', 'finish', 'offer', 'abort']);
  });

  it('deletes one that broke off, and takes the next', async () => {
    const { receive, log } = bench(true);
    await assert.rejects(receive(message(40), meta(40), chunks(1, -1)), /cut/);
    assert.deepEqual(log, ['append 1', 'abort']);
    await receive(message(41), meta(41), chunks(1));
    assert.equal(log.at(-1), 'claim 41');
  });

  it('refuses a second one meanwhile, and one that contradicts its message', async () => {
    const { receive } = bench(true);
    const first = receive(message(40), meta(40), chunks(1));
    await assert.rejects(receive(message(41), meta(41), chunks(1)), /another snapshot is being received/);
    await first;
    await assert.rejects(receive(message(41), meta(40), chunks(1)), /a snapshot at 40 of term 1 came as one at 41/);
    await assert.rejects(
      receive(message(41), { ...meta(41), term: term(2) }, chunks(1)),
      /a snapshot at 41 of term 2 came as one at 41 of term 1/,
    );
  });
});
