import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { type Metadata, Server, ServerCredentials, status } from '@grpc/grpc-js';
import { NothingHeldError } from '#agent/agent.js';
import { leaveCluster, type RunningAgent, type StartAgentOptions, startAgent } from '#agent/start-agent.js';
import { FakeHost } from '#agent/testing/fake-host.js';
import { grant, snapshot } from '#agent/testing/fake-masters.js';
import { refusalMetadata } from '#api/error-info.js';
import { definition } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import { holds, until as untilSeen } from '#cluster-test/process/condition.js';
import { defaultHostSettings } from '#host/input.js';
import type { sublet } from '#proto/sublet.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TestAuthority } from '#tls/testing/test-authority.js';

const boundMs = 30_000;

/** A master of one answer each, on real gRPC: what is tested is the agent's end of the wire. */
class OneMaster {
  readonly registers: sublet.v1.RegisterRequest[] = [];
  readonly leaves: sublet.v1.LeaveRequest[] = [];
  refuse: { code: status; details: string; metadata?: Metadata } | undefined;
  problems: sublet.v1.OverlayProblem.$Properties[] = [];
  readonly #server = new Server();
  port = 0;

  async listen(): Promise<void> {
    const { register, reportStatus, keepAlive, watch, leave } = agentService;
    this.#server.addService(
      {
        register: definition(register),
        reportStatus: definition(reportStatus),
        keepAlive: definition(keepAlive),
        watch: definition(watch),
        leave: definition(leave),
      },
      {
        register: (
          call: { request: sublet.v1.RegisterRequest },
          done: (error: object | null, value?: object) => void,
        ) => {
          this.registers.push(call.request);
          if (this.refuse !== undefined) done(this.refuse);
          else done(null, grant(call.request, { problems: this.problems }));
        },
        reportStatus: (_: object, done: (error: null, value: object) => void) => done(null, {}),
        leave: (call: { request: sublet.v1.LeaveRequest }, done: (error: null, value: object) => void) => {
          this.leaves.push(call.request);
          done(null, {});
        },
        keepAlive: (call: NodeJS.ReadWriteStream) => {
          call.on('data', () => call.write(Object.assign(Object.create(null), { nextInMs: 10_000, revision: 100 })));
          call.on('end', () => call.end());
        },
        watch: (call: { write(message: object): void }) => {
          for (const message of snapshot(100)) call.write(message);
        },
      },
    );
    this.port = await new Promise<number>((resolve, reject) =>
      this.#server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      ),
    );
  }

  close(): void {
    this.#server.forceShutdown();
  }
}

describe('a started agent', () => {
  let folder: string;
  let master: OneMaster;
  let host: FakeHost;
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-agent-'));
    master = new OneMaster();
    host = new FakeHost();
    await master.listen();
  });
  afterEach(() => {
    master.close();
    rmSync(folder, { recursive: true, force: true });
  });

  function options(parts: Partial<StartAgentOptions> = {}): StartAgentOptions {
    return {
      id: 'a',
      nodeIp: '10.0.0.1',
      masters: [{ host: '127.0.0.1', port: master.port }],
      stateDir: folder,
      httpListen: { host: '127.0.0.1', port: 0 },
      network: 'linux',
      networkConfig: {},
      settings: defaultHostSettings,
      reconciler: host,
      log: silent,
      print: () => {},
      ...parts,
    };
  }

  /** Waits for what the wire brings. It gives up before mocha does, so that the agent is stopped all the same. */
  const until = (what: string, met: () => Promise<boolean> | boolean) =>
    untilSeen(what, boundMs, async () => holds(await met()));

  const ready = (running: RunningAgent) =>
    until('the agent is ready', async () => (await get(running, '/readyz')).status === 200);

  async function get(running: RunningAgent, path: string, method = 'GET') {
    const response = await fetch(`http://127.0.0.1:${running.http.port}${path}`, { method });
    return { status: response.status, text: await response.text() };
  }

  it('registers over gRPC and answers over HTTP', async () => {
    const running = await startAgent(options());
    try {
      await ready(running);
      // Whether it has peers is no question of being ready: they come on a stream of their own.
      await until('the host has its peer', () => host.last()?.peers.length === 1);
      assert.equal(master.registers[0]?.nodeIp, '10.0.0.1');
      assert.equal((await get(running, '/healthz')).text, 'ok\n');
      const overlay = JSON.parse((await get(running, '/overlay-agent/overlay')).text);
      assert.equal(overlay.overlays[0].subnet, '9.0.0.0/24');
      const view = JSON.parse((await get(running, '/status')).text);
      assert.equal(view.registration.state, 'registered');
      assert.equal(view.lease.epoch, 7);
      assert.equal(view.watch.peers, 1);
      assert.deepEqual(view.problems, []);
      const metrics = (await get(running, '/metrics')).text;
      for (const line of [
        'sublet_agent_registered 1',
        'sublet_agent_ready 1',
        'sublet_agent_peers 1',
        'sublet_agent_lease_left_seconds +Inf',
        'sublet_host_steps_total{kind="route"} 2',
      ]) {
        assert.ok(metrics.split('\n').includes(line), `${line} in\n${metrics}`);
      }
      assert.equal((await get(running, '/nothing')).status, 404);
      assert.equal((await get(running, '/status', 'POST')).status, 405);
      assert.equal((await get(running, '/status', 'HEAD')).text, '');
    } finally {
      await running.stop();
    }
    assert.equal(host.stopped, true);
  });

  it('answers over TLS for other machines, with a certificate alone', async () => {
    const authority = await TestAuthority.make();
    const files = await authority.files(join(folder, 'own'), 'sublet://agent/a');
    const certificate = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log: silent });
    const stateDir = join(folder, 'state');
    const httpsListen = { host: '127.0.0.1', port: 0 };
    await assert.rejects(
      startAgent(options({ stateDir, httpsListen })),
      /^HttpsError: https_listen: this agent is without TLS/,
    );
    const running = await startAgent(options({ stateDir, httpsListen, certificate }));
    try {
      const socket = connect({ port: running.https?.port ?? 0, host: '127.0.0.1', rejectUnauthorized: false });
      socket.write('GET /status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      const [first] = await once(socket, 'data');
      assert.match(String(first), /^HTTP\/1\.1 401 /);
      assert.equal((await get(running, '/status')).status, 200, 'in clear, on loopback');
    } finally {
      await running.stop();
    }
  });

  it('rule 7: names the overlays that were not leased to it in its metrics', async () => {
    const why = 'overlay "full" (9.0.0.0/23) has no free /24';
    master.problems = [
      { overlay: 'full', reason: why },
      { overlay: 'full', reason: why },
      { overlay: 'more', reason: why },
    ];
    const running = await startAgent(options());
    try {
      await ready(running);
      const lacking = (await get(running, '/metrics')).text.match(/^sublet_agent_overlays_lacking.*$/gm);
      assert.deepEqual(lacking, [
        'sublet_agent_overlays_lacking{overlay="full"} 1',
        'sublet_agent_overlays_lacking{overlay="more"} 1',
      ]);
    } finally {
      await running.stop();
    }
  });

  it('gives no figure that its page in the docs does not explain', async () => {
    const running = await startAgent(options());
    try {
      const named = (text: string): string[] => [...new Set(text.match(/\bsublet_(?:agent|host)_[a-z_]+/g))].sort();
      const given = named((await get(running, '/metrics')).text);
      assert.ok(given.length > 15);
      assert.deepEqual(named(readFileSync('docs/agent.md', 'utf8')), given);
    } finally {
      await running.stop();
    }
  });

  it('says over HTTP why it is not ready', async () => {
    master.refuse = { code: status.ALREADY_EXISTS, details: 'agent "a" on node 10.0.0.9 holds it' };
    const running = await startAgent(options());
    try {
      await until('it says why', async () => (await get(running, '/readyz')).text.includes('10.0.0.9 holds it'));
      assert.equal((await get(running, '/readyz')).status, 503);
      assert.equal((await get(running, '/overlay-agent/overlay')).status, 503);
      assert.equal(JSON.parse((await get(running, '/status')).text).registration.state, 'refused');
    } finally {
      await running.stop();
    }
  });

  for (const [reason, state] of [
    ['overloaded', 'waiting'],
    ['no-space', 'waiting'],
    ['resource-exhausted', 'refused'],
    ['other-incarnation', 'waiting'],
  ] as const) {
    it(`is ${state} when a master refuses it because of ${reason}`, async () => {
      const refused = new RefusedError(reason, 'no more');
      master.refuse = { code: refused.code, details: refused.message, metadata: refusalMetadata(refused) };
      const running = await startAgent(options());
      try {
        // Looked at together: it asks again after a wait that may be short.
        await until(`it is ${state}`, async () => {
          const { registration } = JSON.parse((await get(running, '/status')).text);
          return registration.state === state && registration.error.includes('no more');
        });
      } finally {
        await running.stop();
      }
    });
  }

  it('fails when its configuration is refused and it holds nothing', async () => {
    master.refuse = { code: status.INVALID_ARGUMENT, details: 'node_ip 9.0.0.1 lies in overlay "dcos"' };
    const running = await startAgent(options());
    let failure: Error | undefined;
    void running.failed.then((error) => {
      failure = error;
    });
    try {
      await until('it fails', () => failure !== undefined);
    } finally {
      await running.stop();
    }
    assert.match(failure?.message ?? '', /lies in overlay/);
  });

  it('goes past masters that are not there', async () => {
    const gone = createServer().listen(0, '127.0.0.1');
    await once(gone, 'listening');
    const address = gone.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await new Promise((closed) => gone.close(closed));
    const running = await startAgent(
      options({
        masters: [
          { host: '127.0.0.1', port },
          { host: '127.0.0.1', port: master.port },
        ],
      }),
    );
    try {
      await ready(running);
    } finally {
      await running.stop();
    }
  });

  it('is refused while another runs on its state directory, and leaves nothing behind', async () => {
    const running = await startAgent(options());
    try {
      await assert.rejects(startAgent(options()), /is used by another sublet agent/);
      const authority = await TestAuthority.make();
      const files = await authority.files(join(folder, 'tls'), 'sublet://agent/agent-1');
      const looks = new Set<object>();
      const timer = {
        after: () => {
          const look = {};
          looks.add(look);
          return () => looks.delete(look);
        },
      };
      const certificate = new CertificateReloader({ files, allowed: ['agent'], timer, log: silent }).start();
      assert.equal(looks.size, 1);
      await assert.rejects(startAgent(options({ certificate })), /is used by another sublet agent/);
      assert.equal(looks.size, 0, 'its certificate is looked at no more');
    } finally {
      await running.stop();
    }
    await (await startAgent(options())).stop();
  });

  it('gives its state directory back when HTTP can not listen', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const address = taken.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await assert.rejects(startAgent(options({ httpListen: { host: '127.0.0.1', port } })), /EADDRINUSE/);
    await new Promise((closed) => taken.close(closed));
    await (await startAgent(options())).stop();
  });

  it('leaves for good with the cached lease, when it is stopped', async () => {
    const running = await startAgent(options());
    try {
      await ready(running);
    } finally {
      await running.stop();
    }
    await leaveCluster(options());
    assert.equal(master.leaves[0]?.epoch, 7);
    assert.deepEqual(host.cleaned, [['cluster-1']]);
    await assert.rejects(leaveCluster(options()), NothingHeldError);
  });
});
