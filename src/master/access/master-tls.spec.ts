import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { Ipam } from '#ipam/ipam.js';
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

const minuteMs = 60_000;
const beganMs = Date.now();

describe('TLS of a master', () => {
  let authority: TestAuthority;
  let folder: string;
  let files: TlsFiles;
  let time: VirtualTime;
  let tls: MasterTls;
  let server: Server;
  let log: string[];
  const plan = new Ipam();

  before(async () => {
    authority = await TestAuthority.make();
  });
  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-master-tls-spec-'));
    files = await authority.files(folder, 'sublet://master/m1');
    time = new VirtualTime();
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
      revocations: new Revocations(() => plan),
    });
    for (const gate of [tls.api, tls.peer]) gate.onSecured((socket) => socket.write('hello').valueOf());
    server = createServer((socket) => tls.api.take(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => {
    tls.stop();
    server.close();
    rmSync(folder, { recursive: true });
  });

  async function caller(uri: string, request: CertificateRequest): Promise<TLSSocket> {
    const { cert, key } = await authority.issue(uri, request);
    const address = server.address();
    assert.ok(address !== null && typeof address === 'object');
    const { port } = address;
    const socket = connect({
      port,
      ca: authority.pem,
      cert,
      key,
      checkServerIdentity: () => undefined,
      ALPNProtocols: ['h2'],
    });
    await once(socket, 'data');
    return socket;
  }

  it('knows no identity of a connection that is not open, and takes no call of it for one without TLS', () => {
    assert.deepEqual(tls.callerOf('127.0.0.1:1'), { principal: endedCaller, address: '127.0.0.1:1' });
    assert.ok(hasEnded(tls.callerOf('127.0.0.1:1')));
    for (const other of ['127.0.0.1:1', 'agent/a@127.0.0.1:1']) assert.ok(!hasEnded(callerNamed(other)), other);
  });

  it('ends connections whose certificate has ended, within a minute, and no others', async () => {
    const [short, long] = await Promise.all([
      caller('sublet://agent/short', { toMs: beganMs + 10 * minuteMs }),
      caller('sublet://agent/long', { toMs: beganMs + 30 * minuteMs }),
    ]);
    await time.runFor(9.5 * minuteMs);
    assert.equal(tls.api.open, 2);
    const ended = once(short, 'close');
    await time.runFor(1.5 * minuteMs);
    await ended;
    await until('it is forgotten', () => tls.api.open === 1);
    assert.equal(long.destroyed, false);
    long.destroy();
  });

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
