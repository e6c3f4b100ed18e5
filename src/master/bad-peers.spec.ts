/** Masters that can't belong together: real ones on loopback, with their data in a temporary folder. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient, NoMasterError } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { holdPart, table } from '#api/testing/reference-page.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { type Master, startMaster } from '#master/master.js';
import { silentLog } from '#master/master-log.js';
import { testOverlay, testSettings } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';

type Case = {
  readonly title: string;
  readonly name: string;
  readonly clusterId: string;
  readonly says: RegExp;
};

/** What each says of itself to a master that runs as `m1` of the cluster `spec`. */
const cases: readonly Case[] = [
  {
    title: 'a peer of another cluster',
    name: 'm2',
    clusterId: 'other',
    says: /m1 at 127\.0\.0\.1:\d+ belongs to cluster spec, this member to other: correct the address, or the cluster id/,
  },
  {
    title: 'two masters with the same name',
    name: 'm1',
    clusterId: 'spec',
    says: /m2 at 127\.0\.0\.1:\d+ answers as m1, which is the name of this member.*: names are unique/,
  },
];

const request = { agentId: 'a', instanceId: 'i', sequence: 1, nodeIp: '10.0.0.1' };

describe('a master that can’t belong to those it is to join, like', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-bad-peers-'));
  const fatal: Error[] = [];
  const rows: string[][] = [];
  let first: Master;

  const start = (name: string, clusterId: string, peer: string, dataDir: string, others: readonly Founder[]) =>
    startMaster({
      name,
      clusterId,
      founders: [{ name, peer }, ...others],
      peerListen: peer,
      dataDir,
      timing: { heartbeatMs: 30, electionMs: 300 },
      retainEntries: 1_000,
      listen: '127.0.0.1:0',
      httpListen: '127.0.0.1:0',
      network: {
        initial: { settings: testSettings, overlays: [testOverlay] },
        file: { settings: {}, overlays: undefined },
      },
      insecure: false,
      version: 'spec',
      logger: silentLog,
      onFatal: (error) => fatal.push(error),
    });
  type Founder = { readonly name: string; readonly peer: string };

  const register = async (master: Master) => {
    const client = new MasterClient({ masters: [master.addresses.api], timeoutMs: 5_000 });
    try {
      return await client.call(agentService.register, request, { idempotent: false });
    } finally {
      client.close();
    }
  };

  before(async () => {
    const [port] = await freePorts(1);
    first = await start('m1', 'spec', `127.0.0.1:${port}`, join(folder, 'first'), []);
    await first.ready();
    await register(first);
  });

  after(async () => {
    await first.stop();
    rmSync(folder, { recursive: true });
  });

  for (const { title, name, clusterId, says } of cases) {
    it(`${title}, is not ready and says why, and changes nothing`, async () => {
      const untouched = first.services.plan.ipam.hash();
      const [port] = await freePorts(1);
      const known = { name: name === 'm1' ? 'm2' : 'm1', peer: first.addresses.peer };
      const master = await start(name, clusterId, `127.0.0.1:${port}`, join(folder, title), [known]);
      try {
        await until('it knows why it is not ready', () => says.test(master.services.closed ?? ''));
        const ready = await fetch(`http://${master.addresses.http}/readyz`);
        const body = (await ready.text()).trim();
        assert.equal(ready.status, 503);
        assert.match(body, says);
        await assert.rejects(register(master), (error) => error instanceof NoMasterError && says.test(error.message));
        assert.equal(master.services.plan.ipam.network, undefined);
        rows.push([title, '`UNAVAILABLE`; `/readyz` 503', body.replace(/127\.0\.0\.1:\d+/g, 'HOST:PORT')]);
      } finally {
        await master.stop();
      }
      assert.equal(first.services.plan.ipam.hash(), untouched);
      assert.equal((await fetch(`http://${first.addresses.http}/readyz`)).status, 200);
      assert.deepEqual(fatal, []);
    });
  }

  it('is in the documentation, line by line', () => {
    assert.equal(rows.length, cases.length, 'each line is what one of the tests above was told');
    holdPart('bad-input.md', 'bad peers', table(['input', 'status', 'message'], rows));
  });
});
