import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js';
import { parseCidr4 } from '#address/cidr4.js';
import { MasterClient } from '#api/master-client.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { until as untilSeen } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { type Master, type MasterOptions, startMaster } from '#master/master.js';
import { silentLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { TestWatcher } from '#master/testing/test-watcher.js';
import { until } from '#master/testing/until.js';
import { sublet } from '#proto/sublet.js';

const boundMs = 30_000;
/** Quick elections, and longer than a write of a busy disk takes: after that a leader hands over. */
const quick = { heartbeatMs: 50, electionMs: 700 };

/** Three masters in this process, on loopback, with their data in a temporary folder. */
class Trio implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'sublet-master-spec-'));
  readonly #running = new Map<string, Master>();
  readonly #options = new Map<string, MasterOptions>();
  readonly #clients: MasterClient[] = [];
  readonly fatal: { readonly name: string; readonly error: Error }[] = [];

  static async start(count = 3, timing = quick): Promise<Trio> {
    const trio = new Trio();
    const ports = await freePorts(count * 3);
    const address = (at: number): string => `127.0.0.1:${ports[at]}`;
    const founders = Array.from({ length: count }, (_, at) => ({ name: `m${at + 1}`, peer: address(at) }));
    for (const [at, { name, peer }] of founders.entries()) {
      trio.#options.set(name, {
        name,
        clusterId: 'spec',
        founders,
        peerListen: peer,
        timing,
        retainEntries: 1_000,
        dataDir: join(trio.#folder, name),
        listen: address(count + at),
        httpListen: address(2 * count + at),
        network: {
          initial: { settings: testSettings, overlays: [testOverlay] },
          file: { settings: {}, overlays: undefined },
        },
        insecure: false,
        version: 'spec',
        logger: silentLog,
        onFatal: (error) => trio.fatal.push({ name, error }),
      });
    }
    await Promise.all(trio.names.map((name) => trio.run(name)));
    await Promise.all([...trio.#running.values()].map((master) => master.ready()));
    return trio;
  }

  get names(): readonly string[] {
    return [...this.#options.keys()];
  }

  options(name: string): MasterOptions {
    return this.#options.get(name) ?? assert.fail(`there is no ${name}`);
  }

  master(name: string): Master {
    return this.#running.get(name) ?? assert.fail(`${name} does not run`);
  }

  async run(name: string): Promise<Master> {
    const master = await startMaster(this.options(name));
    this.#running.set(name, master);
    return master;
  }

  async stop(name: string): Promise<void> {
    await this.master(name).stop();
    this.#running.delete(name);
  }

  /** The one that leads by its own account. */
  async leader(): Promise<string> {
    let found: string | undefined;
    await until('there is a leader', () => {
      found = [...this.#running].find(([, { services }]) => services.leadership.seat.kind === 'here')?.[0];
      return found !== undefined;
    });
    return found ?? assert.fail('there is no leader');
  }

  others(than: string): readonly string[] {
    return this.names.filter((name) => name !== than);
  }

  client(...names: readonly string[]): MasterClient {
    const client = new MasterClient({ masters: names.map((name) => this.options(name).listen), timeoutMs: 10_000 });
    this.#clients.push(client);
    return client;
  }

  register(through: string, number: number): Promise<sublet.v1.RegisterResponse> {
    const request = { agentId: `agent-${number}`, instanceId: 'i', sequence: 1, nodeIp: `10.0.0.${number}` };
    return this.client(through).call(agentService.register, request, { idempotent: true });
  }

  /** All have applied the same and hold the same. */
  async same(): Promise<void> {
    const plans = [...this.#running.values()].map(({ services }) => services.plan);
    await until('all hold the same', () => new Set(plans.map(({ ipam }) => ipam.hash())).size === 1);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await Promise.all([...this.#running.values()].map((master) => master.stop()));
    rmSync(this.#folder, { recursive: true });
  }
}

describe('three masters', () => {
  it('grant through any of them, and hold the same', async () => {
    await using trio = await Trio.start();
    const subnets = [];
    for (const [at, name] of trio.names.entries()) {
      const { agent } = await trio.register(name, at + 1);
      subnets.push(agent?.overlays?.[0]?.subnet);
    }
    assert.deepEqual(subnets, ['9.0.0.0/24', '9.0.1.0/24', '9.0.2.0/24']);
    await trio.same();
    const leader = await trio.leader();
    for (const name of trio.names) {
      const status = await trio.client(name).call(clusterService.getStatus, {}, { idempotent: true });
      assert.equal(status.leader, leader);
      assert.equal(status.name, name);
      assert.deepEqual({ ...status.agents }, { total: 3, live: 3 });
      const { agents } = await trio.client(name).call(operatorService.listAgents, {}, { idempotent: true });
      assert.equal(agents.length, 3);
      assert.ok(agents.every(({ presence }) => presence?.state === sublet.v1.PresenceState.PRESENCE_STATE_LIVE));
    }
  });

  it('go on when the leader stops: watches resume, registrations flow, and the one that comes back catches up', async () => {
    await using trio = await Trio.start();
    const old = await trio.leader();
    const [first = '', second = ''] = trio.others(old);
    await trio.register(first, 1);
    const watcher = new TestWatcher();
    const stream = trio.client(old).serverStream(agentService.watch, {});
    let ended = false;
    stream.on('data', (response: sublet.v1.WatchResponse) =>
      watcher.take(sublet.v1.WatchResponse.encode(response).finish()),
    );
    stream.on('error', () => {
      ended = true;
    });
    await until('the watch has begun', () => watcher.agents.size === 1);
    const calls = Array.from({ length: 20 }, (_, at) => trio.register(at % 2 === 0 ? first : second, 10 + at));
    await trio.stop(old);
    assert.equal((await Promise.all(calls)).length, 20);
    await until('the watch has ended', () => ended);
    await trio.register(second, 2);

    const resumed = TestWatcher.resume(watcher);
    const { clusterId, revision: fromRevision, branch } = watcher;
    const again = trio.client(second).serverStream(agentService.watch, { clusterId, fromRevision, branch });
    again.on('data', (response: sublet.v1.WatchResponse) =>
      resumed.take(sublet.v1.WatchResponse.encode(response).finish()),
    );
    again.on('error', () => undefined); // It ends with the masters.
    await until('the watch has caught up', () => resumed.agents.size === 22);
    assert.equal(resumed.snapshots, 0);

    const back = await trio.run(old);
    await back.ready();
    await trio.same();
    assert.equal(back.services.plan.ipam.agentCount, 22);
  });

  it('hand over when the leader stops, and wait for no election', async () => {
    await using trio = await Trio.start(3, { heartbeatMs: 100, electionMs: 3_000 });
    const old = await trio.leader();
    // It stays until another one leads: an election would begin when it has gone, and take longer than the question.
    await trio.stop(old);
    const roles = trio.others(old).map(async (name) => {
      const { role } = await trio.client(name).call(clusterService.getStatus, {}, { idempotent: true });
      return role;
    });
    assert.ok((await Promise.all(roles)).includes(sublet.v1.MemberRole.MEMBER_ROLE_LEADER));
  });

  it('know where each of them serves, once they have talked', async () => {
    await using trio = await Trio.start();
    const expected = trio.names.map((name) => [name, trio.master(name).addresses.api]);
    for (const name of trio.names) {
      const client = trio.client(name);
      await untilSeen(`${name} knows all`, boundMs, async () => {
        const { members } = await client.call(clusterService.getStatus, {}, { idempotent: true });
        const known = members.map((member) => [member.name, member.api]);
        assert.deepEqual(known, expected);
        return true;
      });
    }
  });

  it('are ready again once they have all that was committed when they came back, not before', async () => {
    await using trio = await Trio.start();
    await trio.stop('m3');
    for (let number = 1; number <= 40; number++) await trio.register('m1', number);
    await trio.run('m3');
    const back = trio.master('m3');
    await back.ready();
    assert.equal(back.services.plan.ipam.agentCount, 40);
  });

  it('have the same state and the same revisions after all were stopped', async () => {
    await using trio = await Trio.start();
    for (let number = 1; number <= 5; number++) await trio.register('m1', number);
    await trio.same();
    const { ipam } = trio.master('m1').services.plan;
    // The next leader adds its branch mark, and nothing else.
    const [agents, history] = [ipam.agentsAfter(undefined, 100), ipam.history({ after: 0, limit: 100 })];
    const branches = ipam.branchesUpTo(Number.MAX_SAFE_INTEGER);
    await Promise.all(trio.names.map((name) => trio.stop(name)));
    await Promise.all(trio.names.map((name) => trio.run(name)));
    await Promise.all(trio.names.map((name) => trio.master(name).ready()));
    await trio.same();
    for (const name of trio.names) {
      const restored = trio.master(name).services.plan.ipam;
      assert.deepEqual(restored.agentsAfter(undefined, 100), agents);
      assert.deepEqual(restored.branchesUpTo(ipam.revision), branches);
      assert.deepEqual(restored.history({ after: 0, limit: 100 }), history);
    }
    const { agent } = await trio.register('m2', 6);
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.5.0/24');
  });

  it('refuse one of them that has lost its disk, and go on without it', async () => {
    await using trio = await Trio.start();
    await trio.register('m1', 1);
    await trio.stop('m3');
    rmSync(trio.options('m3').dataDir, { recursive: true });
    await trio.run('m3');
    await until('it is refused', () => trio.fatal.length > 0);
    const [{ name, error } = assert.fail()] = trio.fatal;
    assert.equal(name, 'm3');
    assert.match(error.message, /m3/);
    const { agent } = await trio.register('m1', 2);
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.1.0/24');
    await assert.rejects(trio.register('m3', 3), /this master has failed/);
  });
});

describe('a master', () => {
  // grpc-js would print that a port is taken; here that is asserted.
  before(() => setLogVerbosity(logVerbosity.NONE));
  after(() => setLogVerbosity(logVerbosity.ERROR));

  it('reports the ports that the system chose, that of its peers too', async () => {
    await using trio = await Trio.start(1);
    const { dataDir } = trio.options('m1');
    const any = '127.0.0.1:0';
    const listening = { listen: any, peerListen: any, httpListen: any, dataDir: join(dataDir, 'any') };
    const founders = [{ name: 'm1', peer: '127.0.0.1:1' }];
    const master = await startMaster({ ...trio.options('m1'), ...listening, founders });
    try {
      for (const address of Object.values(master.addresses)) assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
    } finally {
      await master.stop();
    }
  });

  it('alone serves, reports it, and stops quickly', async () => {
    await using trio = await Trio.start(1);
    const { http } = trio.master('m1').addresses;
    assert.equal((await fetch(`http://${http}/readyz`)).status, 200);
    await trio.register('m1', 1);
    const begin = performance.now();
    await trio.stop('m1');
    assert.ok(performance.now() - begin < 3_000);
    await assert.rejects(fetch(`http://${http}/healthz`));
  });

  it('that waits for the others says so, and answers for its status only', async () => {
    await using trio = await Trio.start(1);
    const [peer, api, http, other] = (await freePorts(4)).map((port) => `127.0.0.1:${port}`);
    const founders = [
      { name: 'w1', peer: peer ?? '' },
      { name: 'w2', peer: other ?? '' },
    ];
    const listening = { listen: api ?? '', peerListen: peer ?? '', httpListen: http ?? '' };
    const dataDir = join(trio.options('m1').dataDir, 'waiting');
    const waiting = await startMaster({ ...trio.options('m1'), name: 'w1', founders, ...listening, dataDir });
    const client = new MasterClient({ masters: [api ?? ''], timeoutMs: 5_000 });
    try {
      const ready = await fetch(`http://${http}/readyz`);
      assert.equal(ready.status, 503);
      assert.match(await ready.text(), /this master is starting/);
      assert.equal((await client.call(clusterService.getStatus, {}, { idempotent: true })).name, 'w1');
      await assert.rejects(
        client.call(operatorService.listAgents, { stale: true }, { idempotent: false }),
        /^NoMasterError: no master reachable: .* \(this master is starting/,
      );
    } finally {
      client.close();
      await waiting.stop();
    }
  });

  it('listens beyond loopback only when it is configured as meant', async () => {
    await using trio = await Trio.start(1);
    const options = trio.options('m1');
    await assert.rejects(startMaster({ ...options, listen: '0.0.0.0:0' }), {
      name: 'StartError',
      message: /listen 0.0.0.0:0 can be reached from other machines, and there is no TLS/,
    });
  });

  it('that can not read its certificate gives its data back, so that the process ends and may be started again', async () => {
    await using trio = await Trio.start(1);
    const any = '127.0.0.1:0';
    const ports = { listen: any, peerListen: any, httpListen: any };
    const options = { ...trio.options('m1'), ...ports, dataDir: join(trio.options('m1').dataDir, 'other') };
    const tls = { ca: '/nowhere/ca.pem', cert: '/nowhere/cert.pem', key: '/nowhere/key.pem' };
    const refused = { name: 'TlsFileError', message: /\/nowhere\// };
    await assert.rejects(startMaster({ ...options, tls }), refused);
    await assert.rejects(startMaster({ ...options, tls }), refused, 'and not that the store is in use');
  });

  it('does not start with a port that is taken, a data directory in use or a network that is not sound', async () => {
    await using trio = await Trio.start(1);
    const options = trio.options('m1');
    await assert.rejects(startMaster(options), /lock|in use/i);
    const elsewhere = { ...options, dataDir: join(options.dataDir, 'other') };
    await assert.rejects(startMaster(elsewhere), /EADDRINUSE|bind/);
    const any = '127.0.0.1:0';
    const ports = { listen: any, peerListen: trio.master('m1').addresses.peer, httpListen: any };
    await assert.rejects(startMaster({ ...elsewhere, ...ports }), /can't listen for peers on 127.*EADDRINUSE|bind/);
    assert.deepEqual(trio.fatal, [], 'it never began, so it can not have failed');
    const settings = { ...testSettings, vtepSubnet: parseCidr4('8.0.0.0/7') };
    const network = { initial: { settings, overlays: [] }, file: { settings: {}, overlays: undefined } };
    await assert.rejects(startMaster({ ...elsewhere, network }), {
      name: 'StartError',
      message: /vtep_subnet.*8\.0\.0\.0\/7/,
    });
  });
});
