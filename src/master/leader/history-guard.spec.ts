import assert from 'node:assert/strict';
import { once } from 'node:events';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { parseAgentId } from '#ipam/identity.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import type { sublet } from '#proto/sublet.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';
import type { CallerPrincipal } from '#tls/caller.js';

const again = { idempotent: false } as const;
type Held = sublet.v1.HeldLease.$Properties;

/** What an agent of another history of the cluster runs on. */
const lost = (more: Held = {}): Held => ({
  clusterId: 'test',
  incarnation: 'f1',
  epoch: 9_000,
  vtepIp: '44.128.0.7/20',
  subnets: [{ overlay: 'dcos', subnet: '9.0.6.0/24' }],
  ...more,
});

const status = (masters: TestMasters, at = 0) =>
  masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });

async function begun(masters: TestMasters): Promise<string> {
  await until('an adoption begins', () => masters.master(0).machine.ipam.adoption);
  return masters.master(0).machine.ipam.adoptionReason;
}

function keepAlive(masters: TestMasters, request: sublet.v1.KeepAliveRequest.$Properties, at = 0): void {
  const stream = masters.client(at).bidiStream(agentService.keepAlive);
  stream.on('data', () => undefined);
  stream.on('error', () => undefined); // It is refused, or ends with the masters.
  stream.write(request);
}

describe('an agent that knows more than the log', () => {
  it('begins an adoption with its registration, gets what it runs on, and no agent gets anything fresh', async () => {
    const logged: string[] = [];
    const push = (_details: object, message: string) => void logged.push(message);
    const logger = { debug: push, info: push, warn: push, error: push };
    await using masters = await TestMasters.start({ count: 2, logger });
    await masters.register('agent-1');
    const { agent, lease, branch } = await masters.register('agent-2', { held: lost() }, 1);
    assert.deepEqual([agent?.vxlan?.vtepIp, agent?.overlays?.[0]?.subnet], ['44.128.0.7/20', '9.0.6.0/24']);
    assert.ok((lease?.epoch ?? 0) > 2 ** 32);
    assert.match(branch, /^1\.\d+\.[0-9a-f]{12}$/);
    const { code, message } = await refusal(masters.register('agent-3'));
    assert.deepEqual([code, /in adoption/.test(message)], ['FAILED_PRECONDITION', true]);

    const reason = 'agent "agent-2" has epoch 9000, and 3 is the last that can have been granted';
    for (const at of [0, 1]) {
      const { adoption, adoptionReason, warnings, awaited, awaitedAgents, agents } = await status(masters, at);
      assert.deepEqual([adoption, adoptionReason, awaited, awaitedAgents], [true, reason, 1, ['agent-1']]);
      assert.match(warnings[0]?.message ?? '', new RegExp(reason));
      assert.match(warnings[0]?.remedy ?? '', /sublet adoption end/);
      assert.deepEqual([agents?.live, agents?.silent, agents?.awaited], [1, 0, 1]);
    }
    assert.ok(logged.some((line) => line.includes(reason)));
    assert.equal(masters.master(0).services.guard.proofs, 1);
    const { entries } = await masters.client().call(operatorService.listHistory, { what: ['begin-adoption'] }, again);
    assert.deepEqual(
      entries.map(({ who, detail }) => [who, detail]),
      [['agent-2', reason]],
    );

    const early = await refusal(masters.client().call(clusterService.endAdoption, {}, again));
    assert.deepEqual(
      [early.code, /1 agents on record have not come back \(agent-1\)/.test(early.message)],
      ['FAILED_PRECONDITION', true],
    );
    await masters.client().call(clusterService.endAdoption, { althoughMissing: 1 }, again);
    assert.deepEqual((await status(masters)).warnings, []);
    // What the agent of the lost history holds is not free.
    const next = await Promise.all([4, 5, 6, 7, 8, 9].map((n) => masters.register(`agent-${n}`)));
    const subnets = next.map((each) => each.agent?.overlays?.[0]?.subnet);
    assert.ok(!subnets.includes('9.0.6.0/24'), subnets.join());
  });

  it('leaves what a new leader has not heard awaited, not silent, after 30 s; release needs force all the while', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ count: 2, clock: time });
    for (const agentId of ['agent-1', 'agent-2']) await masters.register(agentId);
    masters.cluster.elect(0);
    await masters.register('agent-3', { held: lost() });
    const release = () => masters.client().call(operatorService.releaseAgents, { agentIds: ['agent-1'] }, again);
    const { code, message } = await refusal(release());
    assert.equal(code, 'FAILED_PRECONDITION');
    const words = [
      /agent "agent-1" on node 10\.0\.0\.1 holds it and has not come back since the adoption began/,
      /; wait until it registers, or release it with force \(sublet release --force\)/,
    ];
    for (const each of words) assert.match(message, each);
    await time.runFor(31_000);
    for (const at of [0, 1]) {
      const { agents, awaitedAgents, silentAgents, warnings } = await status(masters, at);
      assert.deepEqual(awaitedAgents, ['agent-1', 'agent-2']);
      assert.deepEqual([agents?.live, agents?.silent, agents?.awaited], [0, 1, 2]);
      assert.deepEqual(
        silentAgents.map(({ agentId }) => agentId),
        ['agent-3'],
      );
      const silent = warnings.map(({ message }) => message ?? '').filter((message) => /silent/.test(message));
      assert.equal(silent.length, 1);
      assert.match(silent[0] ?? '', /^1 agent is silent: agent-3 for /);
    }
    // It was never heard, so silence proves nothing.
    assert.equal((await refusal(release())).code, 'FAILED_PRECONDITION');
    await masters.client().call(operatorService.releaseAgents, { agentIds: ['agent-1'], force: true }, again);
    assert.deepEqual((await status(masters)).awaitedAgents, ['agent-2']);
  });

  it('begins it with a keep-alive, at a follower, too', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    keepAlive(masters, { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: 77 }, 1);
    assert.match(await begun(masters), /agent "agent-1" has epoch 77/);
  });

  it('begins it with a keep-alive of a lease that is on record, by the branch that it names', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const { lease, revision } = await masters.register('agent-1');
    const key = {
      agentId: 'agent-1',
      instanceId: 'agent-1-1',
      epoch: lease?.epoch ?? 0,
      clusterId: 'test',
      incarnation: 'f1',
    };
    keepAlive(masters, { ...key, revision, branch: '0.1.0123456789ab' }, 1);
    assert.match(await begun(masters), /agent "agent-1" has seen revision 3 on branch 1\.0123456789ab/);
  });

  it('begins it with a status report, and with its leave, which are refused', async () => {
    for (const method of [agentService.reportStatus, agentService.leave]) {
      await using masters = await TestMasters.start();
      const request = { agentId: 'agent-9', instanceId: 'i', epoch: 500 };
      const call =
        method === agentService.leave
          ? masters.client().call(agentService.leave, request, again)
          : masters.client().call(agentService.reportStatus, request, again);
      assert.equal((await refusal(call)).code, 'ABORTED');
      assert.match(masters.master(0).machine.ipam.adoptionReason, /agent "agent-9" has epoch 500/);
    }
  });

  it('row 75: is believed of the watch of an agent, which is named, and not of a caller that only reads', async () => {
    let principal: CallerPrincipal = { role: 'viewer', id: 'vera' };
    await using masters = await TestMasters.start({ callerOf: (address) => ({ principal, address }) });
    const seen = { clusterId: 'test', fromRevision: 5_000, branch: '0.1.0123456789ab', peersOnly: true };
    for (const role of ['viewer', 'operator', 'admin', 'agent'] as const) {
      principal = { role, id: role === 'agent' ? 'host-7' : 'vera' };
      const stream = masters.client().serverStream(agentService.watch, seen);
      stream.on('error', () => undefined); // It is cancelled.
      await once(stream, 'data');
      stream.cancel();
    }
    assert.match(await begun(masters), /^the watch of agent "host-7" has seen revision 5000, and the log ends at \d+$/);
    assert.equal(masters.master(0).services.guard.proofs, 1);
    const { entries } = await masters.client().call(operatorService.listHistory, { what: ['begin-adoption'] }, again);
    assert.deepEqual(
      entries.map(({ who }) => who),
      ['host-7'],
    );
  });

  it('is not one that names another cluster, or repeats what it was answered here', async () => {
    await using masters = await TestMasters.start();
    const { lease, revision, branch, clusterId, incarnation } = await masters.register('agent-1');
    const key = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0, runId: 'r' };
    const { office } = masters.master(0).services;
    keepAlive(masters, { ...key, clusterId, incarnation, revision, branch });
    await until('it counts', () => office.counted === 1);
    masters.cluster.elect(0);
    keepAlive(masters, { ...key, clusterId, incarnation, revision, branch });
    await until('it counts again', () => office.counted === 2);
    const overlays = [{ overlay: 'dcos', state: { status: 1 } }];
    await masters.client().call(agentService.reportStatus, { ...key, clusterId, incarnation, overlays }, again);
    const other = { ...key, epoch: 4_000, clusterId: 'other' };
    await refusal(masters.client().call(agentService.reportStatus, other, again));
    assert.equal(masters.master(0).machine.ipam.adoption, false);
  });

  it('is granted nothing, nor is another agent, while the proof can not be written', async () => {
    await using masters = await TestMasters.start();
    const { member, services } = masters.master(0);
    const propose = member.propose.bind(member);
    member.propose = () => Promise.reject(new ProposeError('not-known-by-all', 'upgrade m3 first'));
    await refusal(masters.register('agent-2', { held: lost() }));
    assert.match(services.guard.refusal?.message ?? '', /an adoption has to begin: agent "agent-2" has epoch 9000/);
    assert.equal((await refusal(masters.register('agent-3'))).code, 'UNAVAILABLE');
    member.propose = propose;
    assert.match(await begun(masters), /agent "agent-2" has epoch 9000/);
    await until('it is written', () => services.guard.refusal === undefined);
  });

  it('is granted what it needs after a second proof within a minute, which was written without an answer', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    const { member, services, machine } = masters.master(0);
    const end = () => masters.client().call(clusterService.endAdoption, { althoughMissing: 9 }, again);
    await masters.register('agent-2', { held: lost() });
    await end();
    const propose = member.propose.bind(member);
    member.propose = async (command) => {
      await propose(command);
      throw new ProposeError('unknown-outcome', 'no answer');
    };
    await assert.rejects(
      services.guard.check(parseAgentId('agent-3'), { clusterId: 'test', epoch: 2 ** 33 }),
      /no answer/,
    );
    member.propose = propose;
    assert.ok(machine.ipam.adoption);
    assert.notEqual(services.guard.refusal, undefined);
    await time.runFor(2_000);
    assert.equal(services.guard.refusal, undefined);
    await end();
    await masters.register('agent-4');
  });
});

describe('a lease of another cluster', () => {
  it('begins an adoption in a new cluster, also where a fresh agent came first, if it has addresses of this network', async () => {
    await using masters = await TestMasters.start();
    const far = lost({
      clusterId: 'first',
      vtepIp: '45.0.0.1/20',
      subnets: [{ overlay: 'dcos', subnet: '11.0.0.0/24' }],
    });
    await masters.register('agent-8', { held: far });
    assert.equal(masters.master(0).machine.ipam.adoption, false);
    const second = await masters.register('agent-2', { held: lost({ clusterId: 'first' }) });
    assert.equal(second.agent?.overlays?.[0]?.subnet, '9.0.6.0/24');
    assert.match((await refusal(masters.register('agent-3'))).message, /in adoption/);

    await using anew = await TestMasters.start();
    const { agent } = await anew.register('agent-2', { held: lost({ clusterId: 'first' }) });
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.6.0/24');
    assert.match(anew.master(0).machine.ipam.adoptionReason, /agent "agent-2" brings a lease of cluster "first"/);
  });

  it('begins one in a cluster of any age in which no agent has registered, and not anew while it lasts', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    masters.cluster.time = 24 * 3_600_000;
    const reserve = { overlay: 'dcos', subnet: '9.0.99.0/24', agentId: 'agent-9' };
    await masters.client().call(operatorService.reserve, reserve, again);
    // It has a subnet of this network, and no VTEP address, so that it is refused.
    const held = lost({ clusterId: 'first', vtepIp: '45.0.0.1/20' });
    assert.match((await refusal(masters.register('agent-2', { held }))).message, /in adoption/);
    const { ipam } = masters.master(0).machine;
    const { adoptedAt } = ipam;
    assert.ok(adoptedAt > 0);
    await time.runFor(120_000);
    await refusal(masters.register('agent-2', { held }));
    assert.equal(ipam.adoptedAt, adoptedAt);
  });

  it('begins none in a cluster of more than a day', async () => {
    await using masters = await TestMasters.start();
    masters.cluster.time = 24 * 3_600_000;
    await masters.register('agent-1');
    const { agent } = await masters.register('agent-2', { held: lost({ clusterId: 'first' }) });
    assert.equal(agent?.overlays?.[0]?.subnet, '9.0.6.0/24');
    assert.equal(masters.master(0).machine.ipam.adoption, false);
  });

  it('is honoured after an adoption where it is free, and nothing fresh is given in its place', async () => {
    await using masters = await TestMasters.start();
    await masters.register('agent-1');
    await masters.register('agent-9', { held: lost({ clusterId: 'first', vtepIp: '44.128.0.99', subnets: [] }) });
    await masters.client().call(clusterService.endAdoption, { althoughMissing: 9 }, again);
    const { agent } = await masters.register('agent-2', { held: lost({ clusterId: 'first' }) });
    assert.deepEqual([agent?.vxlan?.vtepIp, agent?.overlays?.[0]?.subnet], ['44.128.0.7/20', '9.0.6.0/24']);
    const taken = lost({
      clusterId: 'first',
      vtepIp: '44.128.0.9',
      subnets: [{ overlay: 'dcos', subnet: '9.0.0.0/24' }],
    });
    const third = await masters.register('agent-3', { held: taken });
    assert.deepEqual(third.agent?.overlays, []);
    assert.match(third.problems[0]?.reason ?? '', /is held by another agent/);
    const vtep = await refusal(masters.register('agent-4', { held: { ...taken, vtepIp: '44.128.0.1' } }));
    assert.match(vtep.message, /VTEP address 44\.128\.0\.1.* is held by agent "agent-1"/);
    assert.equal(masters.master(0).machine.ipam.adoption, false);
  });
});

describe('a lease of another incarnation of this cluster id', () => {
  const other = lost({ incarnation: '0123456789abcdef' });

  it('is refused, and begins an adoption: what it holds is granted to no other', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    const { message } = await refusal(masters.register('agent-2', { held: other }, 1));
    assert.match(message, /two clusters have this id/);
    const { adoption, adoptionReason } = await status(masters);
    assert.ok(adoption);
    assert.match(adoptionReason, /^agent "agent-2" has a lease of incarnation 0123456789abcdef of this cluster id/);
    assert.match((await refusal(masters.register('agent-3'))).message, /in adoption/);
  });

  it('begins it with a keep-alive, at a follower, too, and with a status report', async () => {
    const told = { agentId: 'agent-9', instanceId: 'i', epoch: 5, clusterId: 'test', incarnation: '0123456789abcdef' };
    for (const at of [0, 1]) {
      await using masters = await TestMasters.start({ count: 2 });
      keepAlive(masters, told, at);
      assert.match(await begun(masters), /agent "agent-9" has a lease of incarnation 0123456789abcdef/);
    }
    await using masters = await TestMasters.start();
    await refusal(masters.client().call(agentService.reportStatus, told, again));
    assert.match(await begun(masters), /agent "agent-9" has a lease of incarnation 0123456789abcdef/);
  });

  it('begins none once an operator has ended the one for it', async () => {
    await using masters = await TestMasters.start();
    await refusal(masters.register('agent-2', { held: other }));
    assert.equal(masters.master(0).machine.ipam.adoption, true);
    await masters.client().call(clusterService.endAdoption, {}, again);
    await refusal(masters.register('agent-2', { held: other }));
    await refusal(masters.register('agent-4', { held: other }));
    assert.equal(masters.master(0).machine.ipam.adoption, false);
    await refusal(masters.register('agent-4', { held: { ...other, incarnation: 'fedcba9876543210' } }));
    assert.equal(masters.master(0).machine.ipam.adoption, true, 'no operator has decided about that one');
  });

  it('begins none for what no cluster has drawn, and that is not handed on', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    const long = { ...other, incarnation: '0'.repeat(17) };
    const { guard } = masters.master(1).services;
    assert.equal(guard.isOther(parseAgentId('agent-2'), other), true);
    assert.equal(guard.isOther(parseAgentId('agent-2'), long), false);
    assert.match((await refusal(masters.register('agent-2', { held: long }))).message, /of incarnation 0{16} of/);
    assert.equal(masters.master(0).machine.ipam.adoption, false);
  });

  it('does not begin one anew while one is under way, however long that is', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    await refusal(masters.register('agent-2', { held: other }));
    const { ipam } = masters.master(0).machine;
    const { adoptedAt } = ipam;
    assert.ok(adoptedAt > 0);
    await time.runFor(120_000);
    await refusal(masters.register('agent-4', { held: { ...other, incarnation: 'fedcba9876543210' } }));
    assert.equal(ipam.adoptedAt, adoptedAt);
    assert.equal(masters.master(0).services.guard.proofs, 1);
  });
});

describe('a watcher that knows more than the log', () => {
  it('gets a snapshot, at a follower, too, and begins an adoption', async () => {
    for (const [fromRevision, branch] of [
      [5_000, ''],
      [2, '0.1.0123456789ab'],
    ] as const) {
      await using masters = await TestMasters.start({ count: 2 });
      await masters.register('agent-1');
      const request = { clusterId: 'test', incarnation: 'f1', fromRevision, branch };
      const stream = masters.client(1).serverStream(agentService.watch, request);
      let snapshots = 0;
      stream.on('data', ({ snapshotEnd }: sublet.v1.WatchResponse) => {
        if (snapshotEnd) snapshots += 1;
      });
      stream.on('error', () => undefined); // It ends with the masters.
      await until('it has a snapshot', () => snapshots === 1);
      assert.match(await begun(masters), /^a watcher /);
      stream.cancel();
    }
  });
});
