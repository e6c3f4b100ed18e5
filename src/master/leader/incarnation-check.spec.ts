import assert from 'node:assert/strict';
import type { ServiceError } from '@grpc/grpc-js';
import { credentials, status } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { MasterClient, NoMasterError } from '#api/master-client.js';
import { agentService, clusterService } from '#api/services.js';
import { ForwardLink } from '#master/forward/forward-link.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import type { sublet } from '#proto/sublet.js';
import { noCaller } from '#tls/caller.js';

const ours = { clusterId: 'test', incarnation: 'f1' };
const others = { clusterId: 'test', incarnation: 'f2' };
const key = { agentId: 'agent-1', instanceId: 'agent-1-1' };

type Stream = { on(event: 'error', told: (error: ServiceError) => void): unknown };

function ended(stream: Stream): Promise<ServiceError> {
  return new Promise((resolve) => stream.on('error', resolve));
}

describe('a master of one of two incarnations of a cluster', () => {
  it('reports its incarnation', async () => {
    await using masters = await TestMasters.start();
    assert.equal((await masters.register('agent-1')).incarnation, 'f1');
    const told = await masters.client().call(clusterService.getStatus, {}, { idempotent: true });
    assert.equal(told.incarnation, 'f1');
    const watch = masters.client().serverStream(agentService.watch, {});
    const begin = new Promise<sublet.v1.WatchResponse>((resolve) => watch.once('data', resolve));
    assert.equal((await begin).snapshotBegin?.incarnation, 'f1');
    watch.on('error', () => {});
    watch.cancel();
  });

  it('row 80: refuses a cluster id that is none by its length, before it is handed on', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    const long = { clusterId: 'c'.repeat(64) };
    for (const at of [0, 1]) {
      const client = masters.client(at);
      const stream = client.bidiStream(agentService.keepAlive);
      const refused = ended(stream);
      stream.write({ ...key, ...long });
      const registered = client.call(
        agentService.register,
        { ...key, sequence: 2, nodeIp: '10.0.0.9', held: long },
        { idempotent: false },
      );
      for (const { code, message } of [await refused, await refusal(registered)]) {
        assert.match(
          `${code} ${message}`,
          /^(?:3|INVALID_ARGUMENT) .*cluster_id has 64 characters: 63 at most are allowed/,
        );
      }
    }
  });

  it('refuses an agent of the other one whatever it asks, at a follower too, and changes nothing of its lease', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const { lease } = await masters.register('agent-1', { held: ours });
    const { ipam } = masters.master(0).machine;
    const { revision } = ipam;
    const epoch = lease?.epoch ?? 0;
    for (const at of [0, 1]) {
      const client = masters.client(at);
      const register = { ...key, sequence: 2, nodeIp: '10.0.0.9', held: { ...others, epoch } };
      for (const call of [
        client.call(agentService.register, register, { idempotent: false }),
        client.call(agentService.reportStatus, { ...key, ...others, epoch }, { idempotent: false }),
        client.call(agentService.leave, { ...key, ...others, epoch }, { idempotent: false }),
      ]) {
        await assert.rejects(call, (error) => {
          assert.ok(error instanceof NoMasterError);
          const [{ reason = '' } = {}] = error.attempts;
          assert.match(
            reason,
            /^(register|report status of|leave of) agent_id "agent-1": what it holds is of incarnation f2 /,
          );
          assert.match(
            reason,
            /of cluster "test", and this master is of incarnation f1: .*cluster\.id.*lease and peers/,
          );
          return true;
        });
      }
      const keepAlive = client.bidiStream(agentService.keepAlive);
      const keepAliveEnd = ended(keepAlive);
      keepAlive.write({ ...key, ...others, epoch });
      const watchEnd = ended(client.serverStream(agentService.watch, { ...others, fromRevision: 1 }));
      for (const error of await Promise.all([keepAliveEnd, watchEnd])) {
        assert.deepEqual([error.code, reasonOf(error)], [status.FAILED_PRECONDITION, 'other-incarnation']);
      }
    }
    const entries = ipam.history({ after: revision, limit: 10 });
    assert.deepEqual(
      entries.map(({ what }) => what),
      ['begin-adoption'],
      'once, whatever comes after it',
    );
    assert.equal(ipam.revision, revision + 1);
  });

  it('serves agents of its own incarnation, of a cluster of another id, and those that name none, as earlier releases do', async () => {
    await using masters = await TestMasters.start();
    const { lease } = await masters.register('agent-1');
    const epoch = lease?.epoch ?? 0;
    const client = masters.client();
    for (const held of [ours, { clusterId: 'test', incarnation: '' }, {}, { clusterId: 'before', incarnation: 'f2' }]) {
      const again = await masters.register('agent-1', { held });
      assert.equal(again.lease?.epoch, epoch);
      const keepAlive = client.bidiStream(agentService.keepAlive);
      const answer = new Promise((resolve, reject) => {
        keepAlive.once('data', resolve);
        keepAlive.once('error', reject);
      });
      keepAlive.write({ ...key, ...held, epoch });
      await answer;
      keepAlive.end();
    }
  });

  it('is left by a caller for the next address, as nothing happened', async () => {
    await using second = await TestMasters.start({ incarnation: 'f2' });
    await using first = await TestMasters.start();
    const client = new MasterClient({ masters: [second.master(0).api, first.master(0).api], timeoutMs: 5_000 });
    try {
      const request = { ...key, sequence: 1, nodeIp: '10.0.0.1', held: ours };
      const answer = await client.call(agentService.register, request, { idempotent: false });
      assert.equal(answer.incarnation, 'f1');
      assert.equal(client.current, first.master(0).api);
      assert.equal(second.master(0).machine.ipam.agentCount, 0);
    } finally {
      client.close();
    }
  });

  it('takes no calls from a master of the other one', async () => {
    await using masters = await TestMasters.start();
    const { peer } = masters.master(0).member.info;
    const { path, request } = clusterService.getStatus;
    const link = new ForwardLink({ peer, plan: others, credentials: credentials.createInsecure() });
    await assert.rejects(
      link.call(path, request.encode({}).finish(), 5_000, noCaller),
      /this master is of incarnation f1 of cluster "test", the caller of incarnation f2/,
    );
    link.close();
  });
});
