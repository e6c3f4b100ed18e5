import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import { MasterTls } from '#master/access/master-tls.js';
import { CallRates } from '#master/access/rates.js';
import { Revocations } from '#master/access/revocations.js';
import type { MasterLog } from '#master/master-log.js';
import { RefusalLog } from '#master/server/refusal-log.js';
import { until } from '#master/testing/until.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import { endedCaller, hasEnded } from '#tls/caller.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';
import { type CertificateRequest, TestAuthority } from '#tls/testing/test-authority.js';
import { callerNamed } from '#tls/testing/test-caller.js';
import type { TlsGate } from '#tls/tls-gate.js';

const ports = ['api', 'peer', 'http'] as const;
type Port = (typeof ports)[number];
const roleAt = { api: 'agent', peer: 'master', http: 'viewer' } as const;
const minuteMs = 60_000;

describe('TLS of a master', () => {
  let authority: TestAuthority;
  let folder: string;
  let files: TlsFiles;
  let time: VirtualTime;
  /** The wall clock when a test begins: certificates are of that moment. */
  let beganMs: number;
  let tls: MasterTls;
  let servers: Map<Port, Server>;
  let log: string[];
  let plan: PlanUnderTest;

  before(async () => {
    authority = await TestAuthority.make();
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-master-tls-spec-'));
    beganMs = Date.now();
    files = await authority.files(folder, 'sublet://master/m1');
    time = new VirtualTime();
    plan = new PlanUnderTest();
    log = [];
    const say = (_: object, text: string): void => {
      log.push(text);
    };
    const logger: MasterLog = { debug: say, info: say, warn: say, error: say };
    tls = new MasterTls({
      files,
      name: 'm1',
      http: true,
      clock: time,
      wallClock: () => beganMs + time.now(),
      logger,
      refusals: new RefusalLog(time, logger),
      rates: new CallRates(time),
      end: () => undefined,
      observe: () => undefined,
      revocations: new Revocations(() => plan.ipam),
    });
    servers = new Map();
    for (const port of ports) {
      gateOf(port).onSecured((socket) => socket.write('hello').valueOf());
      const server = createServer((socket) => gateOf(port).take(socket)).listen(0, '127.0.0.1');
      await once(server, 'listening');
      servers.set(port, server);
    }
  });
  afterEach(() => {
    tls.stop();
    for (const server of servers.values()) server.close();
    rmSync(folder, { recursive: true });
  });

  function gateOf(port: Port): TlsGate {
    return tls[port] ?? assert.fail(port);
  }

  async function caller(port: Port, id: string, request: CertificateRequest = {}): Promise<TLSSocket> {
    const { cert, key } = await authority.issue(`sublet://${roleAt[port]}/${id}`, request);
    const address = servers.get(port)?.address() ?? null;
    assert.ok(address !== null && typeof address === 'object');
    const socket = connect({
      port: address.port,
      ca: authority.pem,
      cert,
      key,
      checkServerIdentity: () => undefined,
      ALPNProtocols: [port === 'http' ? 'http/1.1' : 'h2'],
    });
    await once(socket, 'data');
    return socket;
  }

  it('knows no identity of a connection that is not open, and takes no call of it for one without TLS', () => {
    assert.deepEqual(tls.callerOf('127.0.0.1:1'), { principal: endedCaller, address: '127.0.0.1:1' });
    assert.ok(hasEnded(tls.callerOf('127.0.0.1:1')));
    for (const other of ['127.0.0.1:1', 'agent/a@127.0.0.1:1']) assert.ok(!hasEnded(callerNamed(other)), other);
  });

  for (const port of ports) {
    it(`ends connections to the port ${port} whose certificate has ended, within a minute, and no others`, async () => {
      const [short, long] = await Promise.all([
        caller(port, 'short', { toMs: beganMs + 10 * minuteMs }),
        caller(port, 'long', { toMs: beganMs + 30 * minuteMs }),
      ]);
      await time.runFor(9.5 * minuteMs);
      assert.equal(gateOf(port).open, 2);
      const ended = once(short, 'close');
      await time.runFor(1.5 * minuteMs);
      await ended;
      await until('it is forgotten', () => gateOf(port).open === 1);
      assert.equal(long.destroyed, false);
      long.destroy();
    });

    it(`row 63: shows at the port ${port} the certificate that is in the files by then, and leaves open connections`, async () => {
      const open = await caller(port, 'c');
      const shown = open.getPeerX509Certificate()?.serialNumber;
      await authority.files(folder, 'sublet://master/m1');
      await tls.certificate.look();
      const later = await caller(port, 'c');
      assert.equal(later.getPeerX509Certificate()?.serialNumber, tls.certificate.material.principal.serial);
      assert.notEqual(later.getPeerX509Certificate()?.serialNumber, shown);
      assert.equal(open.destroyed, false);
      for (const each of [open, later]) each.destroy();
    });

    it(`row 36: ends connections to the port ${port} of an identity that is revoked, and no others`, async () => {
      const [revoked, other] = await Promise.all([caller(port, 'revoked'), caller(port, 'other')]);
      tls.planChanged();
      assert.equal(gateOf(port).open, 2);
      const ended = once(revoked, 'close');
      plan.run({ kind: 'revoke-identity', identity: `${roleAt[port]}/revoked`, cause: 'operator', release: false });
      tls.planChanged();
      await ended;
      await until('it is forgotten', () => gateOf(port).open === 1);
      assert.equal(other.destroyed, false);
      other.destroy();
    });
  }

  it('says in its warnings and in the log that files can not be used, and that the certificate ends', async () => {
    assert.deepEqual(tls.warnings(), []);
    writeFileSync(files.cert, '');
    await tls.certificate.look();
    assert.match(tls.warnings()[0]?.message ?? '', /^the files of tls have changed and can't be used: tls\.cert/);
    await time.runFor(45 * minuteMs);
    await tls.certificate.look();
    assert.deepEqual(
      tls.warnings().map(({ message }) => message.replace(/ \(.*?\).*: /, ' … ')),
      ['the certificate of master/m1 … a sixth of its life or less is left', tls.warnings()[1]?.message],
    );
    assert.equal(log.filter((line) => line.includes('a sixth of its life')).length, 1);
  });
});
