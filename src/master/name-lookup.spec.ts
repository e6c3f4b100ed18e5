/**
 * What is looked up of a name. Addresses come from the system (nsswitch, /etc/hosts); a question to DNS beside it would
 * hold up the end of a process for 20 s where no name server answers.
 */

import assert from 'node:assert/strict';
import { promises as dns } from 'node:dns';
import { mock } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import { MasterClient } from '#api/master-client.js';
import { clusterService } from '#api/services.js';
import { ForwardLink } from '#master/forward/forward-link.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { noCaller } from '#tls/caller.js';
import { peerClient } from '#transport/peer-channel.js';

const timeoutMs = 10_000;
const insecure = credentials.createInsecure();

describe('a master that is known by a name', () => {
  const asked: string[] = [];
  let masters: TestMasters;
  let api = '';
  let peer = '';

  before(async () => {
    masters = await TestMasters.start();
    const named = (address: string): string => `localhost:${address.split(':').at(-1)}`;
    api = named(masters.master(0).api);
    peer = named(masters.master(0).member.info.peer);
    mock.method(dns, 'resolveTxt', (name: string) => {
      asked.push(name);
      return Promise.resolve([]);
    });
  });
  after(async () => {
    mock.restoreAll();
    await masters[Symbol.asyncDispose]();
  });
  beforeEach(() => {
    asked.length = 0;
  });
  afterEach(() => {
    assert.deepEqual(asked, []);
  });

  it('is reached by agents and operators with its addresses alone', async () => {
    const client = new MasterClient({ masters: [api], timeoutMs });
    const { clusterId } = await client.call(clusterService.getStatus, {}, { idempotent: true });
    client.close();
    assert.equal(clusterId, 'test');
  });

  it('is reached by masters that hand calls on with its addresses alone', async () => {
    const plan = { clusterId: 'test', incarnation: 'f1' };
    const link = new ForwardLink({ peer, plan, credentials: insecure });
    const { path, request, response } = clusterService.getStatus;
    const answer = await link.call(path, request.encode({}).finish(), timeoutMs, noCaller);
    link.close();
    assert.equal(response.decode(answer).clusterId, 'test');
  });

  it('is reached by its peers with its addresses alone', async () => {
    const client = peerClient(peer, { credentials: insecure, pingMs: 1_000 });
    await new Promise<void>((resolve, reject) =>
      client.waitForReady(Date.now() + timeoutMs, (error) => (error ? reject(error) : resolve())),
    );
    client.close();
  });
});
