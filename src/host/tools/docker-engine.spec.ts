import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FakeEngine, type Handle, json } from '#host/testing/fake-engine.js';
import { dockerEngine } from '#host/tools/docker-engine.js';

const version = (more: object = {}) => json({ Version: '26.1.5', ApiVersion: '1.45', MinAPIVersion: '1.24', ...more });
const ours = {
  Id: 'b2',
  Name: 'dcos',
  Driver: 'bridge',
  Labels: { 'sublet.cluster': 'sublet:c', 'sublet.overlay': 'dcos' },
};
const theirs = { Id: 'a1', Name: 'bridge', Driver: 'bridge', Options: null, IPAM: { Config: null } };
const creation = {
  Name: 'dcos',
  Driver: 'bridge',
  IPAM: { Config: [{ Subnet: '9.0.0.128/25' }] },
  Options: {},
  Labels: {},
  EnableIPv6: false,
  CheckDuplicate: true,
} as const;

describe('the Docker engine', () => {
  let engine: FakeEngine;
  beforeEach(async () => {
    engine = new FakeEngine();
    await engine.listen();
  });
  afterEach(() => engine.stop());

  const networksError = async (handle: Handle, options: { timeoutMs?: number } = {}): Promise<string> => {
    engine.answers = { 'GET /version': version(), 'GET /v1.45/networks': handle };
    const observed = await dockerEngine(engine.host, options).observe();
    assert.equal(observed.kind, 'unreadable');
    return observed.kind === 'unreadable' ? observed.error : '';
  };

  it('is read: all networks, and of ours the containers', async () => {
    engine.answers = {
      'GET /version': version(),
      'GET /v1.45/networks': json([theirs, ours]),
      'GET /v1.45/networks/b2': json({ ...ours, Containers: { c: { Name: 'web' } } }),
    };
    const observed = await dockerEngine(engine.host).observe();
    assert.equal(observed.kind, 'read');
    if (observed.kind !== 'read') return;
    assert.deepEqual(observed.engine, { version: [26, 1], firewall: 'iptables' });
    assert.deepEqual([...observed.networks.keys()], ['bridge', 'dcos']);
    assert.deepEqual(observed.networks.get('dcos')?.containers, ['web']);
    assert.equal(observed.networks.get('dcos')?.mark, 'sublet:c');
  });

  it('leaves out a network that went away after the list', async () => {
    engine.answers = { 'GET /version': version(), 'GET /v1.45/networks': json([theirs, ours]) };
    const observed = await dockerEngine(engine.host).observe();
    assert.deepEqual(observed.kind === 'read' && [...observed.networks.keys()], ['bridge']);
  });

  it('is asked in the newest version that both ends know', async () => {
    const cases = [
      [{ ApiVersion: '1.41' }, '/v1.41'],
      [{ ApiVersion: '1.51' }, '/v1.51'],
      [{ ApiVersion: '1.99', MinAPIVersion: '1.44' }, '/v1.51'],
      [{ ApiVersion: '2.0', MinAPIVersion: '1.51' }, '/v1.51'],
      [{ ApiVersion: undefined }, ''],
      [{ ApiVersion: '1.45/../../evil' }, ''],
    ] as const;
    for (const [versions, prefix] of cases) {
      engine.answers = { 'GET /version': version(versions), [`GET ${prefix}/networks`]: json([theirs]) };
      assert.equal((await dockerEngine(engine.host).observe()).kind, 'read', JSON.stringify(versions));
    }
  });

  it('is unreadable when it serves only versions that are not known here', async () => {
    engine.answers = { 'GET /version': version({ ApiVersion: '1.70', MinAPIVersion: '1.60' }) };
    const observed = await dockerEngine(engine.host).observe();
    assert.match(observed.kind === 'unreadable' ? observed.error : '', /it serves API 1\.60 and later, and 1\.51 is/);
    assert.deepEqual(engine.asked, ['GET /version']);
  });

  it('of release 28 or later is asked for its firewall', async () => {
    engine.answers = {
      'GET /version': version({ Version: '29.0.1', ApiVersion: '1.52' }),
      'GET /v1.51/networks': json([]),
      'GET /v1.51/info': json({ FirewallBackend: { Driver: 'nftables+firewalld' } }),
    };
    const observed = await dockerEngine(engine.host).observe();
    assert.deepEqual(observed.kind === 'read' && observed.engine, { version: [29, 0], firewall: 'nftables' });
  });

  it('makes and removes a network', async () => {
    engine.answers = {
      'GET /version': version(),
      'POST /v1.45/networks/create': json({ Id: 'b2' }, 201),
      'DELETE /v1.45/networks/b2': (_, response) => void response.writeHead(204).end(),
    };
    const docker = dockerEngine(engine.host);
    await docker.create(creation);
    await docker.remove('b2');
    assert.deepEqual(JSON.parse(engine.bodies[1] ?? ''), creation);
  });

  it('says why it refuses, in one printable line', async () => {
    engine.answers = {
      'GET /version': version(),
      'POST /v1.45/networks/create': json({ message: 'Pool overlaps\u001b[2J\nwith other one' }, 403),
      'DELETE /v1.45/networks/..%2Fcontainers%2Fx': (_, response) => void response.writeHead(500).end('plain words\n'),
    };
    const docker = dockerEngine(engine.host);
    await assert.rejects(docker.create(creation), {
      message: 'POST /v1.45/networks/create: HTTP 403: Pool overlaps [2J with other one',
    });
    await assert.rejects(docker.remove('../containers/x'), { message: /HTTP 500: plain words$/ });
  });

  it('says at a change, too, that it does not answer, with the remedy', async () => {
    engine.answers = {
      'GET /version': version(),
      'POST /v1.45/networks/create': (request) => void request.socket.destroy(),
    };
    const silent = /^Docker does not answer at unix:.* \(.*socket hang up\): start Docker/;
    await assert.rejects(dockerEngine(engine.host).create(creation), { message: silent });
    await engine.close();
    await assert.rejects(dockerEngine(engine.host).remove('b2'), { message: /^Docker does not answer at unix:/ });
  });

  it('is unreadable when its answer is cut', async () => {
    const cut: Handle = (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('[{"Id":', () => response.destroy());
    };
    assert.match(await networksError(cut), /GET \/v1\.45\/networks: the connection ended in the middle of the answer/);
  });

  it('is unreadable when it closes without an answer', async () => {
    assert.match(await networksError((request) => void request.socket.destroy()), /socket hang up/);
  });

  it('is unreadable when it sends no whole answer in time', async () => {
    let closed = Promise.resolve();
    const hang: Handle = (request) => {
      closed = new Promise((resolve) => request.socket.once('close', () => resolve()));
    };
    // The version is asked for first, and answered within that time on a machine that does much else.
    const inTime = { timeoutMs: 1_000 };
    const silent = await networksError(hang, inTime);
    await closed;
    assert.match(silent, /GET \/v1\.45\/networks: no whole answer within 1000 ms/);
    const half: Handle = (_, response) => void response.writeHead(200).write('[');
    assert.match(await networksError(half, inTime), /no whole answer within 1000 ms/);
  });

  it('is read no further than 16 MiB', async () => {
    let sent = 0;
    const endless: Handle = (_, response) => {
      const chunk = Buffer.alloc(1024 * 1024, ' ');
      const more = (): void => {
        sent += chunk.length;
        if (!response.destroyed) response.write(chunk, more);
      };
      response.writeHead(200);
      more();
    };
    assert.match(await networksError(endless), /its answer is larger than 16\.0 MiB/);
    assert.ok(sent < 64 * 1024 * 1024, `${sent} bytes were taken`);
  });

  it('is unreadable when its answer is not what the API says', async () => {
    assert.match(await networksError((_, response) => void response.end('<html>')), /its answer is not JSON/);
    assert.match(await networksError(json({ networks: 1 })), /expected array/);
    assert.match(
      await networksError((_, response) => void response.writeHead(301, { location: '/' }).end()),
      /HTTP 301/,
    );
  });

  it('that is not there is unreadable, with the remedy', async () => {
    const observed = await dockerEngine('unix:///nonexistent/docker.sock').observe();
    assert.match(
      observed.kind === 'unreadable' ? observed.error : '',
      /^Docker does not answer at unix:\/\/\/nonexistent\/docker\.sock \(connect ENOENT .*\): start Docker/,
    );
    const odd = await dockerEngine('ftp://x').observe();
    assert.match(odd.kind === 'unreadable' ? odd.error : '', /unix:\/\/\/PATH or tcp:\/\/HOST:PORT is allowed/);
  });

  it('is reached over TCP', async () => {
    const server = createServer((request, response) => {
      (request.url === '/version' ? version() : json([theirs]))(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = server.address() as AddressInfo;
      assert.equal((await dockerEngine(`tcp://127.0.0.1:${port}`).observe()).kind, 'read');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
