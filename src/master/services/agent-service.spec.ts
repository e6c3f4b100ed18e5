import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { agentService, operatorService } from '#api/services.js';
import { parseAgentId } from '#ipam/identity.js';
import { agentMessage } from '#master/services/plan-message.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { sublet } from '#proto/sublet.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('agent service', () => {
  it('grants the worked example of the design', async () => {
    await using masters = await TestMasters.start();
    const first = await masters.register('agent-1');
    const second = await masters.register('agent-2');
    assert.equal(first.agent?.overlays?.[0]?.subnet, '9.0.0.0/24');
    assert.deepEqual({ ...first.agent?.overlays?.[0]?.mesosBridge }, { name: 'm-dcos', ip: '9.0.0.0/25' });
    assert.deepEqual({ ...first.agent?.overlays?.[0]?.dockerBridge }, { name: 'd-dcos', ip: '9.0.0.128/25' });
    assert.equal(first.agent?.vxlan?.vtepIp, '44.128.0.1/20');
    assert.equal(first.agent?.vxlan?.vtepMac, '70:b3:d5:80:00:01');
    assert.equal(second.agent?.overlays?.[0]?.subnet, '9.0.1.0/24');
    assert.equal(second.agent?.vxlan?.vtepIp, '44.128.0.2/20');
    assert.equal(first.clusterId, 'test');
    assert.equal(first.network?.overlays?.[0]?.name, 'dcos');
    assert.equal(first.lease?.epoch, first.revision);
  });

  it('gives the same answer when an agent asks again', async () => {
    await using masters = await TestMasters.start();
    const first = await masters.register('agent-1');
    const again = await masters.register('agent-1');
    assert.deepEqual(again, first);
  });

  it('row 83: writes nothing to the log for overlays that an agent can not hold by their names', async () => {
    await using masters = await TestMasters.start();
    const { lease } = await masters.register('agent-1');
    const key = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0 };
    const { member } = masters.master(0);
    const before = member.appliedIndex;
    const long = 'x'.repeat(2_000);
    const client = masters.client();
    const overlays = [{ overlay: long, state: { status: 1 } }];
    for (const call of [
      client.call(agentService.reportStatus, { ...key, overlays }, { idempotent: true }),
      client.call(agentService.returnOverlays, { ...key, overlays: [long] }, { idempotent: true }),
      masters.register('agent-1', { sequence: 2, held: { subnets: [{ overlay: long, subnet: '9.0.0.0/24' }] } }),
    ]) {
      assert.equal((await refusal(call)).code, 'INVALID_ARGUMENT');
    }
    assert.equal(member.appliedIndex, before);
  });

  it('takes leave of an agent, again when it asks again, and of no later epoch', async () => {
    await using masters = await TestMasters.start();
    const { lease } = await masters.register('agent-1');
    const leave = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0 };
    const first = await masters.client().call(agentService.leave, leave, { idempotent: false });
    const again = await masters.client().call(agentService.leave, leave, { idempotent: false });
    assert.equal(again.revision, first.revision);
    await masters.register('agent-1', { sequence: 2 });
    const { code } = await refusal(masters.client().call(agentService.leave, leave, { idempotent: false }));
    assert.equal(code, 'ABORTED');
  });

  it('refuses a second host that claims the id of a live one, and accepts a reinstalled one when the first is silent', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    const first = await masters.register('agent-1');
    const again = { instanceId: 'reinstalled' };
    const { code, message } = await refusal(masters.register('agent-1', again));
    assert.equal(code, 'ALREADY_EXISTS');
    assert.match(message, /agent "agent-1" on node/);
    await time.runFor(31_000);
    const second = await masters.register('agent-1', again);
    assert.equal(second.agent?.overlays?.[0]?.subnet, first.agent?.overlays?.[0]?.subnet);
    assert.ok((second.lease?.epoch ?? 0) > (first.lease?.epoch ?? 0));
  });

  it('renews a lease at the last moment, and has it not run out right behind that', async () => {
    const time = new VirtualTime();
    const reclaimMs = 60_000;
    await using masters = await TestMasters.start({ clock: time, settings: { reclaimMs } });
    await masters.register('agent-1');
    const { member, machine } = masters.master(0);
    await time.runFor(reclaimMs - 100);
    const held: (() => void)[] = [];
    member.held = held;
    const answer = masters.register('agent-1', { sequence: 2 });
    while (held.length === 0) await nextTurn();
    await time.runFor(5_000);
    member.held = undefined;
    for (const go of held) go();
    const { lease } = await answer;
    const agentId = parseAgentId('agent-1');
    assert.equal(machine.ipam.lease(agentId)?.epoch, lease?.epoch, 'it holds what it was answered');
  });

  it('keeps what an agent reports of its overlays', async () => {
    await using masters = await TestMasters.start();
    const { lease } = await masters.register('agent-1');
    const state = { status: sublet.v1.OverlayStatus.OVERLAY_STATUS_FAILED, error: 'no such device' };
    const epoch = lease?.epoch ?? 0;
    const report = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch, overlays: [{ overlay: 'dcos', state }] };
    await masters.client().call(agentService.reportStatus, report, { idempotent: false });
    const { agent } = await masters
      .client()
      .call(operatorService.getAgent, { agentId: 'agent-1' }, { idempotent: true });
    assert.deepEqual({ ...agent?.overlays?.[0]?.state }, state);
  });

  it('shows the instance of an agent to that agent alone (C3)', async () => {
    await using masters = await TestMasters.start();
    const secret = 'b5f0c1d2-secret';
    const { agent, lease } = await masters.register('agent-1', { instanceId: secret });
    assert.equal(agent?.instanceId, secret);
    const client = masters.client();
    const said: unknown[] = [
      await client.call(operatorService.getAgent, { agentId: 'agent-1' }, { idempotent: true }),
      await client.call(operatorService.listAgents, {}, { idempotent: true }),
      await client.call(operatorService.listHistory, {}, { idempotent: true }),
      await client.call(operatorService.lookup, { ip: '9.0.0.1' }, { idempotent: true }),
    ];
    const claimed = { agentId: 'agent-1', instanceId: 'stranger', epoch: lease?.epoch ?? 0 };
    said.push(await refusal(masters.register('agent-1', { instanceId: 'stranger', nodeIp: '10.6.6.6' })));
    said.push(
      await refusal(client.call(agentService.reportStatus, { ...claimed, overlays: [] }, { idempotent: false })),
    );
    said.push(await refusal(client.call(agentService.leave, claimed, { idempotent: false })));
    const { network } = masters.master(0).services.plan;
    const record = masters.master(0).machine.ipam.agent(parseAgentId('agent-1')) ?? assert.fail();
    said.push(agentMessage(record, network?.reclaimMs));
    for (const each of said) assert.doesNotMatch(JSON.stringify(each), /secret/);
  });

  it('refuses a late report of an earlier instance, and says that another holds the id now', async () => {
    await using masters = await TestMasters.start();
    const { lease } = await masters.register('agent-1');
    const report = { agentId: 'agent-1', instanceId: 'other', epoch: lease?.epoch ?? 0 };
    const { code, message } = await refusal(
      masters.client().call(agentService.reportStatus, report, { idempotent: false }),
    );
    assert.equal(code, 'ABORTED');
    assert.match(message, /held by another instance now, not by "other"/);
  });
});
