/** Calls and small frames without end, by callers with agents' certificates: rows 42, 46 and 48 of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { status } from '@grpc/grpc-js';
import { MasterClient } from '#api/master-client.js';
import { agentService, clusterService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { cpuMsOf, memoryOf } from '#cluster-test/bench/process-usage.js';
import { callHead, field, flags, frame, preface, types } from '#cluster-test/fuzz/frames.js';
import { CallFlood, callsAtOnce, type FlooderReport } from '#cluster-test/intrusions/call-flood.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { agentRates } from '#master/access/rates.js';
import { readTlsFiles, type TlsMaterial } from '#tls/certificate/tls-files.js';
import { http2Options } from '#tls/testing/http2-session.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const boundMs = 30_000;
/** A hundred handshakes, and the same again for each connection that is ended. */
const floodBoundMs = 90_000;
/** On a slow machine each identity is refused less often than it may be, and none of its connections ends. */
const slowMs = 20_000;
/** Frames, or pairs of frames, of each flood. */
const frames = 20_000;
const growthMbMax = 100;
/** Written at a time. */
const batch = 500;
const path = '/sublet.v1.AgentService/KeepAlive';
const begin = Buffer.concat([
  preface,
  frame(types.settings, 0, 0),
  frame(types.headers, flags.endHeaders, 1, callHead(path)),
]);
const increment = (by: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(by);
  return bytes;
};

/** Of number 0, 1, 2 …; the stream with id 1 is open. */
const floods: Readonly<Record<string, (number: number) => Buffer>> = {
  'streams that are reset at once': (number) =>
    Buffer.concat([
      frame(types.headers, flags.endHeaders, 2 * number + 3, callHead(path)),
      frame(types.resetStream, 0, 2 * number + 3, increment(8)),
    ]),
  'streams that the master has to reset': (number) =>
    Buffer.concat([
      frame(types.headers, flags.endHeaders, 2 * number + 3, callHead(path)),
      frame(types.windowUpdate, 0, 2 * number + 3, increment(0)),
    ]),
  pings: () => frame(types.ping, 0, 0, Buffer.alloc(8)),
  settings: () => frame(types.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100])),
  priorities: (number) => frame(types.priority, 0, 2 * number + 3, Buffer.from([0, 0, 0, 1, 9])),
  'empty data': () => frame(types.data, 0, 1),
  'headers that go on without end': (number) =>
    number === 0
      ? frame(types.headers, 0, 3, callHead(path))
      : frame(types.continuation, 0, 3, field('x-more', 'y'.repeat(100))),
  'a window that overflows': () => frame(types.windowUpdate, 0, 0, increment(2 ** 31 - 1)),
};

/** Agents that call without pause. */
const flooders = 100;
/** Calls of another caller that are measured, one after the other. */
const measured = 60;

describe('floods behind TLS', function () {
  this.timeout(240_000);
  let masters: Masters;
  let master: MasterProcess;
  let material: TlsMaterial;
  let others: MasterClient;
  let authority: TestAuthority;

  before(async () => {
    authority = await TestAuthority.make();
    masters = await Masters.start({ count: 1, config: benchConfig(), authority });
    master = masters.masters[0] ?? assert.fail();
    const files = await authority.files(`${masters.folder}/flooder`, 'sublet://agent/flooder');
    material = readTlsFiles(files, ['agent']);
    others = new MasterClient({ masters: masters.addresses, ...(await masters.credentials('viewer', 'vera')) });
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });
  after(async () => {
    others?.close();
    await masters?.[Symbol.asyncDispose]();
  });

  function flooder(): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(http2Options(master.api, material), () => socket.write(begin));
      socket.once('error', reject);
      socket.on('error', () => undefined);
      // Its SETTINGS: the connection is taken.
      socket.once('data', () => resolve(socket));
    });
  }

  /** Resolves when all is written, or the connection has ended. */
  async function pour(socket: Socket, next: (number: number) => Buffer): Promise<void> {
    for (let number = 0; number < frames && !socket.destroyed; number += batch) {
      const bytes = Buffer.concat(Array.from({ length: batch }, (_, at) => next(number + at)));
      await new Promise<void>((resolve) => {
        socket.once('close', resolve);
        socket.write(bytes, () => {
          socket.off('close', resolve);
          resolve();
        });
      });
    }
  }

  const answered = (): Promise<unknown> =>
    others.call(clusterService.getStatus, {}, { idempotent: true, timeoutMs: boundMs });

  it('row 42: serve others while a hundred agents register, list, and call methods that there are not, without pause', async () => {
    const oscar = new MasterClient({ masters: masters.addresses, ...(await masters.credentials('operator', 'oscar')) });
    const agent = new MasterClient({ masters: masters.addresses, ...(await masters.credentials('agent', 'agent-1')) });
    const calm = await latencies(others, measured);
    const identities = await Promise.all(
      Array.from({ length: flooders }, async (_, at) => {
        const number = 1_000 + at;
        const { cert, key } = await authority.issue(`sublet://agent/agent-${number}`);
        return { number, cert, key };
      }),
    );
    let flooded: readonly number[];
    let reports: readonly FlooderReport[];
    let shown: string;
    /** Processor time of the master for one call of the flood, handshakes included. */
    let costMs: number;
    {
      await using flood = new CallFlood({ api: master.api, ca: authority.pem, identities });
      const total = (): number => [...flood.outcomes.values()].reduce((sum, count) => sum + count, 0);
      const ended = (): boolean =>
        (flood.outcomes.get('ended') ?? 0) > 0 || flood.reports.some(({ tookMs }) => tookMs > slowMs);
      await until('the flood is under way, and connections with nothing but refusals are ended', floodBoundMs, () =>
        holds(total() > 10 * flooders && ended()),
      );
      const begun = { calls: total(), cpuMs: cpuMsOf(master.child.pid) };
      flooded = await latencies(oscar, measured);
      assert.ok((flood.outcomes.get(String(status.OK)) ?? 0) > 0, 'some of its registrations are served');
      const { agent: registered } = await agent.call(agentService.register, registration(1), { idempotent: true });
      assert.ok(registered != null);
      await until('the flood has gone on all the while', boundMs, () => holds(total() > begun.calls));
      reports = flood.reports;
      shown = [...flood.outcomes].map(([status, count]) => `${status}: ${count}`).join(', ');
      costMs = (cpuMsOf(master.child.pid) - begun.cpuMs) / (total() - begun.calls);
    }
    for (const each of [oscar, agent]) each.close();
    assert.ok(master.child.running);
    assert.doesNotMatch(master.child.output, /not expected/);
    for (const report of reports) assertShare(report);
    // Printed and not held: processor time that other programs take is in it.
    const text = (all: readonly number[]): string =>
      `p50 ${all[all.length >> 1]?.toFixed(1)} ms, p90 ${all[Math.floor(all.length * 0.9)]?.toFixed(1)} ms, p99 ${all[Math.floor(all.length * 0.99)]?.toFixed(1)} ms`;
    console.log(
      `      others: ${text(calm)} before, ${text(flooded)} beside calls with status ${shown}; ${costMs.toFixed(2)} ms of processor time each`,
    );
  });

  /**
   * What one identity gets, however much it asks for: so many calls of others are ahead of the next caller at most. Its
   * time is taken on the side of the flood, which is longer than what the master counts.
   */
  function assertShare({ number, outcomes, connections, tookMs }: FlooderReport): void {
    const inTime = ({ perSecond, burst }: { readonly perSecond: number; readonly burst: number }): number =>
      burst + (perSecond * tookMs) / 1_000;
    const count = (...statuses: readonly (number | 'ended')[]): number =>
      statuses.reduce<number>((sum, each) => sum + (outcomes.get(String(each)) ?? 0), 0);
    const refused = count(status.RESOURCE_EXHAUSTED, status.PERMISSION_DENIED, status.UNIMPLEMENTED);
    const served = [...outcomes.values()].reduce((sum, each) => sum + each, 0) - refused - count('ended');
    const { registrations, refusals } = agentRates;
    const what = `agent-${number}: ${served} served, ${refused} refused on ${connections} connections in ${Math.round(tookMs)} ms`;
    assert.ok(served <= inTime(registrations), what);
    // One refusal too many ends its connection, with the calls that are under way there.
    assert.ok(refused <= inTime(refusals) + callsAtOnce * connections, what);
  }

  /** Ms, in ascending order, of calls that all succeed. */
  async function latencies(client: MasterClient, count: number): Promise<readonly number[]> {
    const all: number[] = [];
    for (let call = 0; call < count; call++) {
      const begin = performance.now();
      await client.call(clusterService.getStatus, {}, { idempotent: false, timeoutMs: boundMs });
      all.push(performance.now() - begin);
    }
    return all.sort((a, b) => a - b);
  }

  for (const [what, next] of Object.entries(floods)) {
    it(`row 48: serve others beside ${what}`, async () => {
      await answered();
      const before = memoryOf(master.child.pid).residentMb;
      const socket = await flooder();
      const poured = pour(socket, next);
      await answered();
      await poured;
      await answered();
      socket.destroy();
      assert.ok(master.child.running);
      const grown = memoryOf(master.child.pid).residentMb - before;
      assert.ok(grown <= growthMbMax, `it has grown by ${Math.round(grown)} MB`);
      assert.doesNotMatch(master.child.output, /not expected/);
    });
  }

  it('row 46: close connections that send nothing of a handshake, or a byte at a time, and serve others meanwhile', async () => {
    const [host = '', port = ''] = master.api.split(':');
    // The begin of a record with a ClientHello of 512 bytes.
    const hello = Buffer.concat([Buffer.from([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), Buffer.alloc(400)]);
    const held = Array.from({ length: 100 }, (_, at) => {
      const socket = connectPlain(Number(port), host);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      socket.on('error', () => undefined);
      let sent = 0;
      const dribble = setInterval(() => socket.write(hello.subarray(sent, ++sent)), 50);
      if (at % 2 === 0) clearInterval(dribble);
      return closed.then(() => clearInterval(dribble));
    });
    await until('another caller is served', boundMs, async () => holds((await answered()) !== undefined));
    await Promise.all(held);
    assert.ok(master.child.running);
    await flooder().then((socket) => socket.destroy());
  });
});
