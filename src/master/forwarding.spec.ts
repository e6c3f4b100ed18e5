import assert from 'node:assert/strict';
import { credentials } from '@grpc/grpc-js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { ForwardLink } from '#master/forward/forward-link.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import { sublet } from '#proto/sublet.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { noCaller } from '#tls/caller.js';

const overlay = { name: 'blue', subnet: '10.128.0.0/9', prefix: 24, enabled: true };

describe('a call to a follower', () => {
  it('works as one to the leader', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    const { agent, revision } = await masters.register('agent-1', {}, 1);
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.0.0/24');
    const added = await masters.client(2).call(operatorService.addOverlay, { overlay }, { idempotent: false });
    assert.equal(added.revision, revision + 1);
    const list = await masters.client(1).call(operatorService.listOverlays, {}, { idempotent: true });
    assert.deepEqual(
      list.overlays.map((each) => each.overlay?.name),
      ['blue', 'dcos'],
    );
  });

  it('row 62: goes to the leader itself, whatever proxy the environment names', async () => {
    const before = process.env.http_proxy;
    process.env.http_proxy = 'http://127.0.0.1:1';
    try {
      await using masters = await TestMasters.start({ count: 2 });
      const { peer } = masters.master(0).member.info;
      const { path, request, response } = clusterService.getStatus;
      const plan = { clusterId: 'test', incarnation: 'f1' };
      const link = new ForwardLink({ peer, plan, credentials: credentials.createInsecure() });
      const answer = await link.call(path, request.encode({}).finish(), 10_000, noCaller);
      link.close();
      assert.equal(response.decode(answer).name, 'm1');
    } finally {
      if (before === undefined) delete process.env.http_proxy;
      else process.env.http_proxy = before;
    }
  });

  it('is refused with the words of the leader', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const direct = await refusal(masters.register('agent-1', { nodeIp: '9.0.0.7' }, 0));
    const handedOn = await refusal(masters.register('agent-1', { nodeIp: '9.0.0.7' }, 1));
    assert.deepEqual(handedOn, direct);
    assert.equal(handedOn.code, 'INVALID_ARGUMENT');
  });

  it('lists the live agents, by the account of the leader', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    const { agents } = await masters.client(1).call(operatorService.listAgents, {}, { idempotent: true });
    assert.equal(agents[0]?.presence?.state, sublet.v1.PresenceState.PRESENCE_STATE_LIVE);
    const stale = await masters.client(1).call(operatorService.listAgents, { stale: true }, { idempotent: true });
    assert.equal(stale.agents[0]?.presence ?? undefined, undefined);
    const status = await masters.client(1).call(clusterService.getStatus, {}, { idempotent: true });
    assert.deepEqual({ ...status.agents }, { total: 1, live: 1 });
    assert.equal(status.name, 'm2');
    assert.equal(status.leader, 'm1');
  });

  it('waits a little for a leader, and is carried out when there is one', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    masters.cluster.elect(undefined);
    const call = masters.register('agent-1', {}, 1);
    await until('the call waits', () => masters.master(1).services.leadership.waiting === 1);
    masters.cluster.elect(2);
    assert.equal((await call).agent?.agentId, 'agent-1');
  });

  it('ends with UNAVAILABLE when no leader comes in time', async () => {
    await using masters = await TestMasters.start({ count: 2, limits: { leaderWaitMs: 50 } });
    masters.cluster.elect(undefined);
    const { code, message } = await refusal(masters.register('agent-1', {}, 1));
    assert.equal(code, 'UNAVAILABLE');
    assert.match(message, /no leader that can be reached; waited 50ms/);
  });

  it('never goes further than one hop', async () => {
    await using masters = await TestMasters.start({ count: 3, limits: { leaderWaitMs: 50 } });
    // The second believes in the third, which believes in the first.
    const { member } = masters.master(1);
    const believed = { ...member.status(), leader: masters.master(2).member.info };
    member.status = () => believed;
    member.announce(false);
    const { code } = await refusal(masters.register('agent-1', {}, 1));
    assert.equal(code, 'UNAVAILABLE');
    assert.equal(masters.master(0).machine.ipam.agentCount, 0);
  });

  it('is tried again after leadership was lost on the way, if that does no harm', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    const old = masters.master(0).member;
    old.trouble = { error: new ProposeError('unknown-outcome', 'leadership was lost'), lost: true };
    old.watchProposals();
    const call = masters.register('agent-1', {}, 1);
    await old.proposed;
    masters.cluster.elect(2);
    const { agent, lease } = await call;
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.0.0/24');
    // The lost command came to be applied, and the second found it so.
    assert.equal(masters.master(2).machine.ipam.agentCount, 1);
    assert.ok((lease?.epoch ?? 0) < masters.cluster.commands.length);
  });

  it('says that its outcome is unknown, if trying again could do harm', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    masters.master(0).member.trouble = {
      error: new ProposeError('unknown-outcome', 'leadership was lost'),
      lost: true,
    };
    const { code, message } = await refusal(
      masters.client(1).call(operatorService.addOverlay, { overlay }, { idempotent: false }),
    );
    assert.equal(code, 'UNKNOWN');
    assert.match(message, /leadership was lost/);
    assert.equal(masters.commands.length, 2, 'the network, and the overlay once');
  });

  it('says that its outcome is unknown when the way to the leader breaks', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const { member, peerServer } = masters.master(0);
    await masters.register('agent-1', {}, 1);
    const held: (() => void)[] = [];
    member.held = held;
    const call = refusal(masters.client(1).call(operatorService.addOverlay, { overlay }, { idempotent: false }));
    await until('the leader has it', () => held.length === 1);
    peerServer.forceShutdown();
    const { code, message } = await call;
    assert.equal(code, 'UNKNOWN');
    assert.match(message, /the way to the leader at .* broke .*: the change may or may not have been made/);
  });

  it('that never left says that the leader can not be reached', async () => {
    await using masters = await TestMasters.start({ count: 2, limits: { leaderWaitMs: 50 } });
    masters.master(0).peerServer.forceShutdown();
    const { code, message } = await refusal(
      masters.client(1).call(operatorService.addOverlay, { overlay }, { idempotent: false }),
    );
    assert.equal(code, 'UNAVAILABLE');
    assert.match(message, /no leader that can be reached/);
    assert.equal(masters.commands.length, 1, 'the network alone');
  });

  it('is taken back from a leader that leads no more and does not answer', async () => {
    await using masters = await TestMasters.start({ count: 3 });
    const held: (() => void)[] = [];
    masters.master(0).member.held = held;
    const call = masters.register('agent-1', {}, 1);
    await until('the old leader has it', () => held.length === 1);
    masters.cluster.elect(2);
    assert.equal((await call).agent?.agentId, 'agent-1');
  });

  it('is refused by a master of another cluster', async () => {
    await using masters = await TestMasters.start();
    const peer = masters.master(0).member.info.peer;
    const link = new ForwardLink({
      peer,
      plan: { clusterId: 'other', incarnation: '' },
      credentials: credentials.createInsecure(),
    });
    const { path, request } = clusterService.getStatus;
    await assert.rejects(
      link.call(path, request.encode({}).finish(), 5_000, noCaller),
      /this master is of cluster "test", the caller of "other"/,
    );
    link.close();
  });

  it('carries many calls on one stream', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const client = masters.client(1);
    const calls = Array.from({ length: 100 }, (_, at) =>
      client.call(
        agentService.register,
        { agentId: `agent-${at}`, instanceId: 'i', nodeIp: `10.1.${at >> 8}.${at & 255}` },
        { idempotent: false },
      ),
    );
    const subnets = new Set((await Promise.all(calls)).map(({ agent }) => agent?.overlays?.[0]?.subnet));
    assert.equal(subnets.size, 100);
  });
});

describe('a call to the leader', () => {
  it('that loses the lead on the way is brought to the next one', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const { member } = masters.master(0);
    member.trouble = { error: new ProposeError('unknown-outcome', 'leadership was lost'), lost: true };
    member.watchProposals();
    const call = masters.register('agent-1', {}, 0);
    await member.proposed;
    masters.cluster.elect(1);
    assert.equal((await call).agent?.agentId, 'agent-1');
    assert.equal(masters.master(1).machine.ipam.agentCount, 1);
  });
});
