import assert from 'node:assert/strict';
import { ChannelCredentials, Client, ServerCredentials } from '@grpc/grpc-js';
import { holds, until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { logIndex, type MemberId, memberId, term } from '#raft/log/entry.js';
import type { PeerMessage, SnapshotMessage } from '#raft/message.js';
import { peerNetworkContract } from '#replica/contracts/peer-network-contract.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerClaim, PeerEvent, PeerHandler } from '#replica/ports/peer-network.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import { type StoreClaim, uncountedClaim } from '#replica/ports/store-claim.js';
import { GrpcPeerNetwork } from '#transport/grpc-peer-network.js';
import { encodeMessage } from '#transport/message-codec.js';
import { envelopeOf } from '#transport/peer-gate.js';
import { peerService } from '#transport/peer-service.js';

const credentials = { server: ServerCredentials.createInsecure(), client: ChannelCredentials.createInsecure() };
/** Of each wait: real sockets have no clock that a test could own. */
const boundMs = 15_000;

class Node {
  readonly network: GrpcPeerNetwork;
  readonly received: PeerMessage[] = [];
  readonly unreachable: number[] = [];
  readonly refused: string[] = [];
  readonly unknown: string[] = [];
  readonly claims: PeerClaim[] = [];
  readonly snapshots: { readonly index: number; readonly records: StateRecord[] }[] = [];
  readonly reports: { readonly from: MemberId; readonly report: MemberReport }[] = [];
  /** Of its store. */
  claim = uncountedClaim('store');
  /** Claims of peers that it met. */
  readonly met: StoreClaim[] = [];
  /** How the store of every peer contradicts what it knows. */
  contradiction: string | undefined;
  /** Stands before each chunk that is taken in. */
  onChunk: () => Promise<void> = () => Promise.resolve();

  constructor(port = 0) {
    this.network = new GrpcPeerNetwork({ listen: `127.0.0.1:${port}`, credentials, pingMs: 500 });
  }

  meet(claim: StoreClaim): string | undefined {
    this.met.push(claim);
    return this.contradiction;
  }

  start(): Promise<void> {
    const handler: PeerHandler = {
      claim: this.claim,
      hello: (caller) => ({ ...hello, contradiction: caller === undefined ? undefined : this.meet(caller) }),
      take: (event) => this.take(event),
      receiveSnapshot: async (message, _meta, chunks) => {
        const records: StateRecord[] = [];
        for await (const chunk of chunks) {
          await this.onChunk();
          records.push(...chunk);
        }
        this.snapshots.push({ index: message.snapshot.index, records });
      },
    };
    return this.network.start(handler);
  }

  take(event: PeerEvent): void {
    if (event.kind === 'message') this.received.push(event.message);
    if (event.kind === 'unknown-message') this.unknown.push(`${event.from}: ${event.reason}`);
    if (event.kind === 'report') this.reports.push({ from: event.from, report: event.report });
    if (event.kind === 'claim') this.claims.push(event.claim);
    if (event.kind === 'unreachable') this.unreachable.push(event.member);
    if (event.kind === 'refused') {
      this.refused.push(event.refusal === 'rewound' ? `rewound: ${event.reason}` : event.reason);
    }
  }
}

const hello: MemberHello = {
  clusterId: 'test',
  name: 'a',
  storeId: 'a1',
  bootstrapped: false,
  membership: undefined,
  commandKinds: ['register', 'leave'],
  founders: [{ name: 'a', peer: '127.0.0.1:1' }],
  seen: [{ name: 'a', storeId: 'a1' }],
  claim: { storeId: 'a1', session: { starts: 2, nonces: ['0123abcd', '00000001'] }, term: 3, lastIndex: 4 },
  contradiction: undefined,
};

function info(id: number, port: number, storeId = `store-${id}`): MemberInfo {
  return { id: memberId(id), name: `m${id}`, peer: `127.0.0.1:${port}`, storeId };
}

function membership(members: readonly MemberInfo[], clusterId = 'test'): Membership {
  const voters = members.map(({ id }) => id);
  const confState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return { clusterId, incarnation: 'f1', confState, members, nextMemberId: memberId(9) };
}

function heartbeat(commit: number): PeerMessage {
  const envelope = { from: memberId(1), to: memberId(2), term: term(3) };
  return { kind: 'heartbeat', ...envelope, commit: logIndex(commit), context: 0 };
}

function snapshotMessage({ index, term: at, membership: of }: AppliedMeta): SnapshotMessage {
  const envelope = { from: memberId(1), to: memberId(2), term: term(3) };
  return { kind: 'snapshot', ...envelope, snapshot: { index, term: at, confState: of.confState } };
}

function source(meta: AppliedMeta, chunks: readonly (readonly StateRecord[])[]): SnapshotSource {
  return {
    meta,
    async *chunks() {
      yield* chunks;
    },
    close: () => Promise.resolve(),
  };
}

function records(count: number, bytes: number): StateRecord[] {
  return Array.from({ length: count }, (_, at) => ({ key: Buffer.from(`key-${at}`), value: Buffer.alloc(bytes, at) }));
}

describe('peers over gRPC', () => {
  for (const { name, run } of peerNetworkContract(async () => {
    const [nowhere, ...ports] = await freePorts(4);
    const networks = ports.map((port) => {
      const peer = `127.0.0.1:${port}`;
      return { peer, network: new GrpcPeerNetwork({ listen: peer, credentials, pingMs: 500 }) };
    });
    const wait = async (what: string, met: () => boolean): Promise<void> => {
      await until(what, boundMs, () => holds(met()));
    };
    return { value: { networks, nowhere: `127.0.0.1:${nowhere}`, until: wait } };
  })) {
    it(name, run);
  }

  let nodes: Node[] = [];

  /** On a port that nothing else takes while it is stopped, and started there again. */
  async function start(port?: number): Promise<Node> {
    const [free = assert.fail()] = await freePorts(1);
    const node = new Node(port ?? free);
    nodes.push(node);
    await node.start();
    return node;
  }

  /** Two members that know each other. */
  async function pair(): Promise<{ readonly one: Node; readonly two: Node; readonly known: Membership }> {
    const one = await start();
    const two = await start();
    const known = membership([info(1, one.network.port), info(2, two.network.port)]);
    one.network.setMembership(memberId(1), known);
    two.network.setMembership(memberId(2), known);
    await until('the connection', boundMs, () => holds(one.network.connected(memberId(2))));
    return { one, two, known };
  }

  afterEach(async () => {
    for (const node of nodes) await node.network.stop();
    nodes = [];
  });

  it('send their identity to any caller', async () => {
    const one = await start();
    const two = await start();
    assert.deepEqual(await two.network.hello(`127.0.0.1:${one.network.port}`), hello);
    await assert.rejects(two.network.hello('127.0.0.1:1'), /^Error: nothing listens there$/);
  });

  it('deliver messages in order, what one turn sends in one frame', async () => {
    const { one, two } = await pair();
    for (let commit = 1; commit <= 500; commit += 1) one.network.send(heartbeat(commit));
    await until('all messages', boundMs, () => holds(two.received.length === 500));
    assert.deepEqual(
      two.received.map((message) => (message.kind === 'heartbeat' ? message.commit : undefined)),
      Array.from({ length: 500 }, (_, at) => at + 1),
    );
    assert.deepEqual(one.unreachable, []);
  });

  it('send their reports to each other: on each connection, and when they change', async () => {
    const { one, two, known } = await pair();
    const space = { freeBytes: 2 ** 40, neededBytes: 1, low: false };
    one.network.announce({ serves: '127.0.0.1:7070', space, commandKinds: ['line', 'mark'] });
    await until('the first report', boundMs, () => holds(two.reports.length === 1));
    const silent = { serves: '', space: { freeBytes: undefined, neededBytes: 7, low: true }, commandKinds: [] };
    one.network.announce(silent);
    await until('the second report', boundMs, () => holds(two.reports.length === 2));
    assert.deepEqual(two.reports, [
      { from: 1, report: { serves: '127.0.0.1:7070', space, commandKinds: ['line', 'mark'] } },
      { from: 1, report: silent },
    ]);
    const { port } = two.network;
    await two.network.stop();
    const again = await start(port);
    again.network.setMembership(memberId(2), known);
    await until('the report on the new connection', boundMs, () => holds(again.reports.length === 1));
    assert.deepEqual(again.reports, [{ from: 1, report: silent }]);
    // A listener that is added later is called at once, not with the next change.
    again.reports.length = 0;
    one.network.setMembership(memberId(1), { ...known, members: known.members.filter(({ id }) => id === 1) });
    one.network.setMembership(memberId(1), known);
    await until('the report to a newcomer', boundMs, () => holds(again.reports.length === 1));
    assert.deepEqual(again.reports, [{ from: 1, report: silent }]);
  });

  it('receive from and answer members that joined while they were away', async () => {
    const away = await start();
    const newcomer = await start();
    const before = { ...membership([info(1, away.network.port)]), nextMemberId: memberId(2) };
    const after = membership([info(1, away.network.port), info(2, newcomer.network.port)]);
    away.network.setMembership(memberId(1), before);
    newcomer.network.setMembership(memberId(2), after);
    await until('the connection back', boundMs, () => holds(away.network.connected(memberId(2))));
    newcomer.network.send({ ...heartbeat(7), from: memberId(2), to: memberId(1) });
    await until('a message of the newcomer', boundMs, () => holds(away.received.length === 1));
    away.network.send(heartbeat(8));
    await until('the answer', boundMs, () => holds(newcomer.received.length === 1));
    // A change that says nothing of it leaves things as they are.
    away.network.setMembership(memberId(1), { ...before });
    newcomer.network.send({ ...heartbeat(9), from: memberId(2), to: memberId(1) });
    await until('another message of the newcomer', boundMs, () => holds(away.received.length === 2));
    away.network.setMembership(memberId(1), after);
    assert.ok(away.network.connected(memberId(2)));
    away.network.setMembership(memberId(1), { ...before, nextMemberId: memberId(3) });
    assert.ok(!away.network.connected(memberId(2)));
    await until('word that it was removed', boundMs, () => holds(newcomer.refused.length === 1));
    assert.match(newcomer.refused[0] ?? '', /was removed from the cluster/);
  });

  it('report what can surely not be delivered, and connect again when the peer is back', async () => {
    const { one, two, known } = await pair();
    const { port } = two.network;
    await two.network.stop();
    await until('the end of the stream', boundMs, () => holds(!one.network.connected(memberId(2))));
    one.unreachable.length = 0;
    one.network.send(heartbeat(1));
    await until('the report', boundMs, () => holds(one.unreachable.length > 0));
    const again = await start(port);
    again.network.setMembership(memberId(2), known);
    await until('the connection', boundMs, () => holds(one.network.connected(memberId(2))));
    one.network.send(heartbeat(2));
    await until('the message', boundMs, () => holds(again.received.length === 1));
  });

  it('take no part before they know their place', async () => {
    const one = await start();
    const two = await start();
    const known = membership([info(1, one.network.port), info(2, two.network.port)]);
    one.network.setMembership(memberId(1), known);
    await until('no connection', boundMs, () =>
      holds(one.unreachable.length === 0 && !one.network.connected(memberId(2))),
    );
    two.network.setMembership(memberId(2), known);
    await until('the connection', boundMs, () => holds(one.network.connected(memberId(2))));
    assert.deepEqual(one.refused, []);
  });

  const strangers: readonly (readonly [string, (one: MemberInfo, two: MemberInfo) => Membership, RegExp])[] = [
    [
      'of another cluster',
      (one, two) => membership([one, two], 'other'),
      /cluster test, the caller is of cluster other/,
    ],
    [
      'with another store',
      (one, two) => membership([{ ...one, storeId: 'new' }, two]),
      /known with store store-1, but came with store new: it has lost its data; .*members add/,
    ],
    [
      'that was removed',
      (one, two) => membership([{ ...one, id: memberId(5) }, two]),
      /member 5 was removed from the cluster.*to rejoin it needs an empty data directory/,
    ],
    [
      'that takes it for another member',
      (one, two) => membership([one, { ...two, id: memberId(3) }]),
      /this is member 2 \(m2\), not member 3/,
    ],
  ];
  for (const [who, believed, reason] of strangers) {
    it(`refuse a peer ${who}, with the reason`, async () => {
      const one = await start();
      const two = await start();
      const known = [info(1, one.network.port), info(2, two.network.port)] as const;
      two.network.setMembership(memberId(2), membership(known));
      const own = believed(...known);
      one.network.setMembership(own.members[0]?.id ?? memberId(1), own);
      await until('the refusal', boundMs, () => holds(one.refused.length > 0));
      assert.match(one.refused[0] ?? '', reason);
      one.network.send(heartbeat(1));
      assert.deepEqual(two.received, []);
    });
  }

  it('report to a member that takes no part, or is of another incarnation, which caller takes it for a peer', async () => {
    const one = await start();
    const two = await start();
    const known = membership([info(1, one.network.port), info(2, two.network.port)]);
    one.network.setMembership(memberId(1), known);
    await until('the claim', boundMs, () => holds(two.claims.length > 0));
    const [self] = known.members;
    const claim = { clusterId: 'test', incarnation: 'f1', name: 'm1', peer: self?.peer, storeId: 'store-2' };
    assert.deepEqual(two.claims[0], claim);
    assert.deepEqual(one.refused, []);
    two.network.setMembership(memberId(2), { ...known, incarnation: 'f2' });
    await until('the refusal', boundMs, () => holds(one.refused.length > 0));
    assert.match(
      one.refused[0] ?? '',
      /a member of incarnation f2 of cluster test, the caller of incarnation f1: two clusters/,
    );
    assert.deepEqual(two.claims.at(-1), claim);
  });

  it('end the streams of a member that is removed', async () => {
    const { one, two, known } = await pair();
    two.network.setMembership(memberId(2), membership(known.members.slice(1)));
    await until('the refusal', boundMs, () => holds(one.refused.length > 0));
    assert.match(one.refused[0] ?? '', /member m1 was removed/);
  });

  it('go without what only a later release knows, and hear all else: so a cluster is upgraded', async () => {
    const { one, two, known } = await pair();
    await one.network.stop();
    const [from, to] = known.members;
    if (from === undefined || to === undefined) throw new Error('two members');
    const client = new Client(to.peer, credentials.client);
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, () => {});
    const later = { kind: 99, from: 1, term: 3 };
    const messages = [heartbeat(1), heartbeat(2)].map((message) => encodeMessage(message));
    call.write({ envelope: envelopeOf(from, known, to), messages: [later, ...messages.slice(0, 1), later] });
    call.write({ messages: messages.slice(1) });
    await until('the rest', boundMs, () => holds(two.received.length === 2));
    assert.deepEqual(two.unknown, Array(2).fill('1: member 1 sent a message of unknown kind 99'));
    call.cancel();
    client.close();
  });

  it('hear no more of a stream on which comes what no correct member sends', async () => {
    const { one, two, known } = await pair();
    await one.network.stop();
    const [from, to] = known.members;
    if (from === undefined || to === undefined) throw new Error('two members');
    const client = new Client(to.peer, credentials.client);
    const { path, requestSerialize, responseDeserialize } = peerService.deliver;
    const ended = new Promise<string | undefined>((resolve) => {
      const call = client.makeClientStreamRequest(path, requestSerialize, responseDeserialize, (error) =>
        resolve(error?.details),
      );
      const forged = { ...encodeMessage(heartbeat(2)), from: 3 };
      const messages = [encodeMessage(heartbeat(1)), forged, encodeMessage(heartbeat(3))];
      call.write({ envelope: envelopeOf(from, known, to), messages });
    });
    assert.equal(await ended, 'member 1 sent a message in the name of member 3');
    assert.equal(two.received.length, 1);
    assert.deepEqual(two.unknown, []);
    client.close();
  });

  it('receive a read that is passed on in the name of another member, and go on receiving from the one that passes it on', async () => {
    const { one, two } = await pair();
    const asked = { kind: 'read-index', from: memberId(3), to: memberId(2), term: term(0), request: 77 } as const;
    one.network.send(asked);
    one.network.send(heartbeat(1));
    await until('both messages', boundMs, () => holds(two.received.length === 2 || one.refused.length > 0));
    assert.deepEqual(one.refused, []);
    assert.deepEqual(two.received[0], asked);
  });

  it('hear one stream of a member, the newest: the one before may be of a process that is gone', async () => {
    const { one, known } = await pair();
    const again = await start();
    again.network.setMembership(memberId(1), known);
    await until('the end of the stream before', boundMs, () => holds(one.unreachable.includes(2)));
    assert.deepEqual(one.refused, []);
  });

  it('stream a snapshot of several chunks, while messages go on', async () => {
    const { one, two, known } = await pair();
    const meta = { index: logIndex(40), term: term(2), time: 77, membership: known };
    const chunks = [records(400, 2500), records(3, 10), records(1, 900_000)];
    two.onChunk = async () => {
      const before = two.received.length;
      one.network.send(heartbeat(before + 1));
      await until('a heartbeat during the snapshot', boundMs, () => holds(two.received.length > before));
    };
    await one.network.sendSnapshot(snapshotMessage(meta), source(meta, chunks));
    const [snapshot] = two.snapshots;
    assert.equal(snapshot?.index, 40);
    assert.deepEqual(
      snapshot.records.map(({ key, value }) => [Buffer.from(key).toString(), value.length, value[0]]),
      chunks.flat().map(({ key, value }) => [Buffer.from(key).toString(), value.length, value[0]]),
    );
    assert.equal(two.received.length, 3);
  });

  it('take nothing for a snapshot whose sender breaks off', async () => {
    const { one, two, known } = await pair();
    const meta = { index: logIndex(40), term: term(2), time: 77, membership: known };
    const broken: SnapshotSource = {
      ...source(meta, []),
      async *chunks() {
        yield records(10, 10);
        throw new Error('the disk fails');
      },
    };
    await assert.rejects(one.network.sendSnapshot(snapshotMessage(meta), broken), /the disk fails/);
    await one.network.sendSnapshot(snapshotMessage(meta), source(meta, [records(2, 10)]));
    assert.deepEqual(
      two.snapshots.map(({ records: taken }) => taken.length),
      [2],
    );
  });

  it('report to the sender when the receiver will not, or can not, take a snapshot', async () => {
    const { one, two, known } = await pair();
    const meta = { index: logIndex(40), term: term(2), time: 77, membership: known };
    two.onChunk = () => Promise.reject(new Error('no room'));
    const many = Array.from({ length: 50 }, () => records(100, 10_000));
    await assert.rejects(one.network.sendSnapshot(snapshotMessage(meta), source(meta, many)), /no room/);
    await two.network.stop();
    await assert.rejects(one.network.sendSnapshot(snapshotMessage(meta), source(meta, many)), /UNAVAILABLE/);
  });

  it('serve other services on the peer port', async () => {
    let added = 0;
    const network = new GrpcPeerNetwork({
      listen: '127.0.0.1:0',
      credentials,
      addServices: () => {
        added += 1;
      },
    });
    await network.start({
      claim: hello.claim,
      hello: () => hello,
      take: () => {},
      receiveSnapshot: () => Promise.resolve(),
    });
    assert.equal(added, 1);
    await network.stop();
  });

  it('state their store in the greeting and when they begin to talk, by the store id that they are known with', async () => {
    const two = await start();
    const one = new Node();
    nodes.push(one);
    one.claim = { storeId: 'another id', session: { starts: 7, nonces: ['89abcdef'] }, term: 5, lastIndex: 6 };
    await one.start();
    const known = membership([info(1, one.network.port), info(2, two.network.port)]);
    one.network.setMembership(memberId(1), known);
    two.network.setMembership(memberId(2), known);
    await until('the connection', boundMs, () => holds(one.network.connected(memberId(2))));
    assert.deepEqual(two.met, [{ ...one.claim, storeId: 'store-1' }]);
    const { port } = two.network;
    assert.deepEqual((await one.network.hello(`127.0.0.1:${port}`, one.claim)).claim, hello.claim);
    assert.deepEqual(two.met[1], one.claim);
  });

  it('refuse a peer whose store was put back, and say how it contradicts them', async () => {
    const two = await start();
    two.contradiction = 'it counts 3 starts, and start 4 was another one';
    const one = await start();
    const known = membership([info(1, one.network.port), info(2, two.network.port)]);
    two.network.setMembership(memberId(2), known);
    one.network.setMembership(memberId(1), known);
    await until('the refusal', boundMs, () => holds(one.refused.length > 0));
    // It asks again meanwhile.
    assert.deepEqual([...new Set(one.refused)], [`rewound: ${two.contradiction}`]);
    assert.equal(one.network.connected(memberId(2)), false);
    const { contradiction } = await one.network.hello(`127.0.0.1:${two.network.port}`, one.claim);
    assert.equal(contradiction, two.contradiction);
  });

  it('say which address they can not listen on', async () => {
    const one = await start();
    const twin = new Node(one.network.port);
    await assert.rejects(twin.start(), /can't listen for peers on 127\.0\.0\.1:\d+/);
  });
});
