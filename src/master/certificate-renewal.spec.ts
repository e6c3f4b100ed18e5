import assert from 'node:assert/strict';
import { dirname } from 'node:path';
import { connect } from 'node:tls';
import { MasterClient } from '#api/master-client.js';
import { agentService, clusterService } from '#api/services.js';
import { SecureTrio } from '#master/testing/secure-trio.js';
import { until } from '#master/testing/until.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import type { TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { TestAuthority, writeTlsFiles } from '#tls/testing/test-authority.js';

const once = { idempotent: true };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

describe('a renewal of certificates', () => {
  let trio: SecureTrio;
  /** Trusted by all, and in use for nothing yet: the second half of a roll-over. */
  let next: TestAuthority;
  before(async () => {
    // `sublet ca init` gives all authorities one name.
    next = await TestAuthority.make('Sublet');
    trio = await SecureTrio.start(await TestAuthority.make('Sublet', [next]));
  });
  after(() => trio[Symbol.asyncDispose]());

  /** The serial number that a port of a master shows. */
  function serialAt(address: string, { cert, key }: { readonly cert: Buffer; readonly key: Buffer }): Promise<string> {
    const [host = '', port = ''] = address.split(':');
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port: Number(port), cert, key, rejectUnauthorized: false, ALPNProtocols: ['h2'] });
      socket.on('error', reject);
      socket.once('secureConnect', () => {
        resolve(socket.getPeerCertificate().serialNumber);
        socket.destroy();
      });
    });
  }

  /** Puts files of the next authority in place of these. */
  async function renew(files: TlsFiles, uri: string): Promise<void> {
    const { cert, key } = await next.issue(uri);
    writeTlsFiles(dirname(files.ca), { ca: `${trio.authority.pem}${next.pem}`, cert, key });
  }

  it('row 63: of masters and clients, to another authority too, ends no stream', async () => {
    const files = await trio.files('sublet://agent/a1');
    const certificate = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log: silent });
    const first = certificate.material;
    const [m1] = trio.masters;
    assert.ok(m1 !== undefined);
    const client = new MasterClient({ masters: [m1.addresses.api], credentials: masterCredentials(certificate) });
    const registration = { agentId: 'a1', instanceId: 'instance-a1', sequence: 1, nodeIp: '10.0.0.1' };
    const { lease } = await client.call(agentService.register, registration, once);
    const ended: string[] = [];
    let answers = 0;
    const keepAlive = client.bidiStream(agentService.keepAlive);
    keepAlive.on('data', () => {
      answers += 1;
    });
    const watch = client.serverStream(agentService.watch, { peersOnly: true });
    for (const [name, stream] of [
      ['keep-alive', keepAlive],
      ['watch', watch],
    ] as const) {
      stream.on('error', (error: Error) => ended.push(`${name}: ${error.message}`));
      stream.on('end', () => ended.push(name));
      stream.resume();
    }
    const beat = async (): Promise<void> => {
      const before = answers;
      keepAlive.write({ agentId: 'a1', instanceId: 'instance-a1', epoch: lease?.epoch ?? 0 });
      await until('the keep-alive is answered', () => answers > before);
    };
    await beat();
    const viewer = await trio.client('viewer', 'vera');
    const leader = async (): Promise<string> => (await viewer.call(clusterService.getStatus, {}, once)).leader;
    const ledBefore = await leader();
    const shownBefore = await serialAt(m1.addresses.api, first);

    const inUse = (): number => trio.log.filter((line) => line.includes('the new certificate is in use')).length;
    for (const name of ['m1', 'm2', 'm3']) await renew(trio.filesOf(name), `sublet://master/${name}`);
    await renew(files, 'sublet://agent/a1');
    await until('the masters use the new certificates', () => inUse() === 3);
    await certificate.look();
    await beat();
    assert.deepEqual(ended, []);
    assert.equal(await leader(), ledBefore);

    // New connections are made with the new certificates, on both ports and by the client.
    assert.notEqual(await serialAt(m1.addresses.api, first), shownBefore);
    assert.notEqual(await serialAt(m1.addresses.peer, first), shownBefore);
    assert.notEqual(certificate.material.principal.serial, first.principal.serial);
    const later = new MasterClient({ masters: [m1.addresses.api], credentials: masterCredentials(certificate) });
    assert.equal(
      (await later.call(agentService.register, { ...registration, sequence: 2 }, once)).lease?.epoch,
      lease?.epoch,
    );
    const page = await (await fetch(`http://${m1.addresses.http}/metrics`)).text();
    const shows = (line: RegExp): number => Number(line.exec(page)?.[1]);
    const ends = shows(/^sublet_certificate_expires_seconds\{certificate="own"\} (\d+)$/m);
    assert.ok(Math.abs(ends - Date.now() / 1_000 - 3_600) < 60, page);
    assert.ok(shows(/^sublet_certificate_expires_seconds\{certificate="authority"\} (\d+)$/m) > ends);
    assert.ok(shows(/^sublet_certificate_begins_seconds (\d+)$/m) < ends);
    assert.equal(shows(/^sublet_certificate_reload_failed (\d)$/m), 0);
    for (const each of [client, later]) each.close();
    certificate.stop();
  });
});
