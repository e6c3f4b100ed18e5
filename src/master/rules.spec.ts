import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type ServiceError, status } from '@grpc/grpc-js';
import { parseCidr4 } from '#address/cidr4.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { until as untilSeen } from '#cluster-test/process/condition.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Overlay } from '#ipam/network.js';
import { refusal } from '#master/testing/refusal.js';
import { TestMasters, testOverlay } from '#master/testing/test-masters.js';
import { until } from '#master/testing/until.js';
import { sublet } from '#proto/sublet.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const once = { idempotent: false } as const;
const silentMs = 31_000;
const boundMs = 30_000;

type Fenced = { readonly agentId: string; readonly instanceId: string; readonly epoch: number };

/** One keep-alive on a stream of its own, while time passes: what its answer says, or what the stream ended with. */
async function keepAlive(masters: TestMasters, time: VirtualTime, request: Fenced, at = 0): Promise<string> {
  const stream = masters.client(at).bidiStream(agentService.keepAlive);
  let outcome: string | undefined;
  stream.on('data', ({ nextInMs }: sublet.v1.KeepAliveResponse) => {
    outcome = `OK: next in ${nextInMs} ms`;
  });
  stream.on('error', (error: ServiceError) => {
    outcome ??= `${status[error.code]}: ${error.details}`;
  });
  stream.write(request);
  while (outcome === undefined) {
    await nextTurn();
    await time.runFor(50);
  }
  stream.cancel();
  return outcome;
}

/** The peers by node address, as a watcher for peers learns them: from the snapshot and from each change after it. */
function reached(masters: TestMasters, at = 0): ReadonlyMap<string, string> {
  const peers = new Map<string, string>();
  const take = ({ agentId, nodeIp, reachable }: sublet.v1.Agent.$Properties): void => {
    if (reachable) peers.set(agentId ?? '', nodeIp ?? '');
    else peers.delete(agentId ?? '');
  };
  const stream = masters.client(at).serverStream(agentService.watch, { peersOnly: true });
  stream.on('data', ({ snapshotChunk, changes }: sublet.v1.WatchResponse) => {
    for (const agent of snapshotChunk?.agents ?? []) take(agent);
    for (const { agentChanged } of changes?.changes ?? []) if (agentChanged) take(agentChanged);
  });
  stream.on('error', () => undefined); // It ends with the masters.
  return peers;
}

const list = (peers: ReadonlyMap<string, string>): string => [...peers].sort().join(' ');

describe('rule 2, never in two hands, at any master', () => {
  it('refuses a second host that claims a live agent_id with its holder and when it was last heard', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    for (const more of [{ instanceId: 'other' }, { instanceId: 'other', nodeIp: '10.0.0.9' }]) {
      const { code, message } = await refusal(masters.register('agent-1', more, 1));
      assert.equal(code, 'ALREADY_EXISTS');
      assert.match(message, /agent "agent-1" on node 10\.0\.0\.1 holds it and was last heard [\d.hms]+ ago/);
      assert.match(
        message,
        /ago; stop it and wait until it is silent, or register with takeover \(sublet agent --takeover\) for fresh subnets/,
      );
    }
    const { code, message } = await refusal(masters.register('agent-2', { nodeIp: '10.0.0.1' }, 1));
    assert.equal(code, 'ALREADY_EXISTS');
    assert.match(
      message,
      /node_ip 10\.0\.0\.1 is taken: agent "agent-1" .* was last heard [\d.hms]+ ago; stop it and wait/,
    );
  });

  it('says of a holder that a new leader has not heard yet just that', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    masters.cluster.elect(1);
    const { message } = await refusal(masters.register('agent-1', { instanceId: 'other' }, 1));
    assert.match(
      message,
      /agent "agent-1" on node 10\.0\.0\.1 holds it and was not heard since the leader took office/,
    );
  });

  it('gives a takeover fresh subnets, and quarantines the old ones', async () => {
    await using masters = await TestMasters.start();
    await masters.register('agent-1');
    const taken = await masters.register('agent-1', { instanceId: 'other', nodeIp: '10.0.0.9', takeover: true });
    assert.equal(taken.agent?.overlays?.[0]?.subnet, '9.0.1.0/24');
    const old = await masters.client().call(operatorService.lookup, { ip: '9.0.0.1' }, { idempotent: true });
    assert.deepEqual([old.blockState, old.agentId], [sublet.v1.BlockState.BLOCK_STATE_QUARANTINED, '']);
  });

  it('takes an agent that lost its node_ip out of its peers’ tables: those that stand, new ones, and after a restore', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time, count: 2 });
    const first = await masters.register('agent-1');
    await masters.register('agent-3');
    const standing = reached(masters);
    await time.runFor(silentMs);
    await until('there is a table', () => standing.size === 2);
    masters.master(1).member.lags = true;
    await masters.register('agent-2', { nodeIp: '10.0.0.1' });
    await time.runFor(1_000);
    const now = 'agent-2,10.0.0.1 agent-3,10.0.0.3';
    // What came since a snapshot was made goes out with the next round of changes.
    const follows = (what: string, peers: ReadonlyMap<string, string>) =>
      untilSeen(what, boundMs, async () => {
        await time.runFor(50);
        assert.equal(list(peers), now);
        return true;
      });
    await follows('the table follows', standing);
    await follows('a new one is the same', reached(masters));
    const records = masters.master(0).machine.ipam.records();
    await masters.master(1).member.install(records.map(([key, value]) => ({ key, value })));
    await follows('and one of a master that was sent a snapshot', reached(masters, 1));
    // The loser keeps what it holds, and may be alive all the same.
    const { agent } = await masters.client().call(operatorService.getAgent, { agentId: 'agent-1' }, once);
    assert.equal(agent?.reachable, false);
    assert.equal(agent?.overlays?.[0]?.subnet, first.agent?.overlays?.[0]?.subnet);
    const kept = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: first.lease?.epoch ?? 0 };
    assert.equal(await keepAlive(masters, time, kept), 'OK: next in 10000 ms');
  });
});

describe('rule 3, fenced, at any master', () => {
  it('a lower sequence is ABORTED, an equal one is a retry, and an absent one counts as 0', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    for (const at of [0, 1]) {
      const agentId = `agent-${at + 1}`;
      const first = await masters.register(agentId, { sequence: 5 }, at);
      assert.deepEqual(await masters.register(agentId, { sequence: 5 }, at), first);
      for (const late of [{ sequence: 4 }, { sequence: 0 }]) {
        const { code, message } = await refusal(masters.register(agentId, late, at));
        assert.equal(code, 'ABORTED');
        assert.match(message, /5 came before; a lower one is a late request/);
      }
      const changed = await refusal(masters.register(agentId, { sequence: 5, hostname: 'renamed' }, at));
      assert.equal(changed.code, 'ABORTED');
      assert.match(changed.message, /sequence 5: that sequence came with another hostname/);
      const next = await masters.register(agentId, { sequence: 6, hostname: 'renamed' }, at);
      assert.equal(next.lease?.epoch, first.lease?.epoch);
    }
    const request = { agentId: 'agent-9', instanceId: 'i', nodeIp: '10.0.0.9' };
    const absent = await masters.client().call(agentService.register, request, once);
    assert.deepEqual(await masters.register('agent-9', { instanceId: 'i', sequence: 0 }), absent);
  });

  it('a keep-alive, a status report and a leave of a stale epoch are ABORTED, and change nothing', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time, count: 2 });
    const first = await masters.register('agent-1');
    await time.runFor(silentMs);
    const anew = await masters.register('agent-1', { instanceId: 'reinstalled' });
    const overlays = [{ overlay: 'dcos', state: { status: sublet.v1.OverlayStatus.OVERLAY_STATUS_OK, error: '' } }];
    const [before, now] = [first.lease?.epoch ?? 0, anew.lease?.epoch ?? 0];
    assert.ok(before < now);
    const { length } = masters.cluster.commands;
    for (const at of [0, 1]) {
      const client = masters.client(at);
      for (const [instanceId, epoch] of [
        ['reinstalled', before],
        ['reinstalled', before - 1],
        ['agent-1-1', before],
        ['agent-1-1', now],
      ] as const) {
        const fenced = { agentId: 'agent-1', instanceId, epoch };
        const report = await refusal(client.call(agentService.reportStatus, { ...fenced, overlays }, once));
        const leave = await refusal(client.call(agentService.leave, fenced, once));
        assert.deepEqual([report.code, leave.code], ['ABORTED', 'ABORTED'], `${instanceId} ${epoch}`);
        const kept = await keepAlive(masters, time, fenced, at);
        assert.match(kept, /^ABORTED: keep-alive: epoch \d+ of agent_id "agent-1" is stale: .*epoch \d+/);
      }
    }
    // What names the instance that holds the id goes into the log, and the plan refuses it there.
    assert.equal(masters.cluster.commands.length, length + 8);
    const { agent } = await masters.client().call(operatorService.getAgent, { agentId: 'agent-1' }, once);
    assert.deepEqual([agent?.lease?.epoch, agent?.overlays?.[0]?.state], [now, null]);
  });

  it('a late retry of a registration does not bring back what its agent has left, nor does one of a former instance', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time });
    const { lease } = await masters.register('agent-1', { sequence: 7 });
    const fenced = { agentId: 'agent-1', instanceId: 'agent-1-1', epoch: lease?.epoch ?? 0 };
    await masters.client().call(agentService.leave, fenced, once);
    assert.equal((await refusal(masters.register('agent-1', { sequence: 7 }))).code, 'ABORTED');
    await masters.register('agent-1', { sequence: 8 });
    await time.runFor(silentMs);
    await masters.register('agent-1', { instanceId: 'reinstalled' });
    await time.runFor(silentMs);
    const { code, message } = await refusal(masters.register('agent-1', { sequence: 8 }));
    assert.equal(code, 'ABORTED');
    assert.match(message, /instance agent-1-1 was replaced after its sequence 8/);
  });
});

describe('rule 5, static stability, in the status', () => {
  it('lists the silent agents and since when, at any master', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time, count: 2 });
    const before = Date.now();
    await masters.register('agent-1');
    const after = Date.now();
    await time.runFor(silentMs - 1_000);
    await masters.register('agent-2');
    await time.runFor(1_000);
    for (const at of [0, 1]) {
      const status = await masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });
      assert.deepEqual({ ...status.agents }, { total: 2, live: 1, silent: 1 });
      const [silent, ...others] = status.silentAgents;
      assert.deepEqual([silent?.agentId, silent?.nodeIp, others], ['agent-1', '10.0.0.1', []]);
      const { seconds = 0, nanos = 0 } = silent?.silentSince ?? {};
      const since = Number(seconds) * 1000 + Math.round((nanos ?? 0) / 1_000_000);
      assert.ok(before <= since && since <= after, `${before} ≤ ${since} ≤ ${after}`);
    }
  });
});

describe('rule 6, reserved and excluded, by operators', () => {
  it('keeps a block for one agent alone, and allocates nothing of an excluded range', async () => {
    await using masters = await TestMasters.start();
    const client = masters.client();
    const reserve = (subnet: string, agentId: string) =>
      client.call(operatorService.reserve, { overlay: 'dcos', subnet, agentId }, once);
    await reserve('9.0.0.0/24', 'agent-9');
    await reserve('9.0.1.0/24', '');
    const subnet = async (id: string) => (await masters.register(id)).agent?.overlays?.[0]?.subnet;
    assert.deepEqual([await subnet('agent-1'), await subnet('agent-9')], ['9.0.2.0/24', '9.0.0.0/24']);
    const unreserve = (subnet: string) => client.call(operatorService.unreserve, { overlay: 'dcos', subnet }, once);
    await unreserve('9.0.1.0/24');
    await unreserve('9.0.0.0/24');
    assert.equal(await subnet('agent-2'), '9.0.1.0/24');
  });
});

describe('rule 7, all or nothing, in the answer', () => {
  it('names each overlay that was not granted, and why', async () => {
    const tiny: Overlay = {
      name: 'tiny',
      v4: { subnet: parseCidr4('192.168.0.0/23'), prefix: 24 },
      v6: undefined,
      enabled: true,
    };
    await using masters = await TestMasters.start({ overlays: [testOverlay, tiny] });
    for (const id of ['agent-1', 'agent-2']) assert.deepEqual((await masters.register(id)).problems, []);
    const { agent, problems } = await masters.register('agent-3');
    assert.deepEqual(
      agent?.overlays?.map(({ info }) => info?.name),
      ['dcos'],
    );
    assert.deepEqual(
      problems.map((problem) => ({ ...problem })),
      [
        {
          overlay: 'tiny',
          reason: 'overlay "tiny" (192.168.0.0/23) has no free /24: all are held, reserved, excluded or in quarantine',
        },
      ],
    );
  });

  it('is refused whole when no VTEP address is free', async () => {
    await using masters = await TestMasters.start({ settings: { vtepSubnet: parseCidr4('44.128.0.0/28') } });
    for (let n = 1; n <= 14; n++) await masters.register(`agent-${n}`);
    const { code, message, reason } = await refusal(masters.register('agent-15'));
    assert.deepEqual([code, reason], ['RESOURCE_EXHAUSTED', 'resource-exhausted']);
    assert.match(message, /the VTEP subnet 44\.128\.0\.0\/28 has no free address: all 14 are taken/);
    assert.equal(masters.master(0).machine.ipam.agentCount, 14);
    await masters.client().call(operatorService.updateNetwork, { vtepSubnet: '44.128.0.0/20' }, once);
    assert.equal((await masters.register('agent-15')).agent?.vxlan?.vtepIp, '44.128.0.15/20');
  });
});

describe('rule 8, no allocation before the state is known', () => {
  it('has a call wait for a leader that has not applied an entry of its own term', async () => {
    await using masters = await TestMasters.start({ count: 2 });
    await masters.register('agent-1');
    const { length } = masters.cluster.commands;
    masters.cluster.elect(1, { ready: false });
    const { member, services } = masters.master(1);
    let answered = false;
    const answer = masters.register('agent-2', {}, 1).finally(() => {
      answered = true;
    });
    await until('it waits', () => services.leadership.waiting === 1);
    assert.deepEqual([answered, masters.cluster.commands.length], [false, length]);
    member.ready = true;
    member.announce(false);
    assert.equal((await answer).agent?.overlays?.[0]?.subnet, '9.0.1.0/24');
  });
});

describe('rule 10, an overlay added at run time reaches every agent', () => {
  it('answers a registration with the network of its revision, so that its agent sees what came right after it', async () => {
    await using masters = await TestMasters.start();
    const { member } = masters.master(0);
    const blue: Overlay = { ...testOverlay, name: 'blue', v4: { subnet: parseCidr4('10.128.0.0/9'), prefix: 24 } };
    const action = { kind: 'add-overlay', overlay: blue, source: 'operator' } as const;
    // Both are applied in one go, before the call goes on.
    const unsubscribe = member.onApplied(() => {
      unsubscribe();
      masters.cluster.append(encodeCommand({ ...action, wallTime: 0, by: '' }));
    });
    const { agent, network, revision } = await masters.register('agent-1');
    assert.equal(masters.master(0).machine.ipam.revision, revision + 1);
    assert.deepEqual(
      [agent?.overlays, network?.overlays].map((all) => all?.length),
      [1, 1],
    );
  });

  it('refuses to remove one that is in use, with the count', async () => {
    await using masters = await TestMasters.start();
    for (const id of ['agent-1', 'agent-2']) await masters.register(id);
    const { code, message } = await refusal(
      masters.client().call(operatorService.removeOverlay, { name: 'dcos' }, once),
    );
    assert.equal(code, 'FAILED_PRECONDITION');
    assert.match(message, /2 of its subnets are held; have agents give them back first: sublet overlay drain dcos/);
  });
});

describe('rule 11, history, for operators', () => {
  it('has revision, time, action, principal and subnet', async () => {
    await using masters = await TestMasters.start();
    const before = Date.now();
    const { revision } = await masters.register('agent-1');
    await masters.client().call(operatorService.releaseAgents, { agentIds: ['agent-1'], force: true }, once);
    const after = Date.now();
    const request = { fromRevision: revision - 1 };
    const { entries } = await masters.client().call(operatorService.listHistory, request, { idempotent: true });
    assert.deepEqual(
      entries.map(({ revision, what, who, subjects, detail }) => [revision, what, who, subjects?.join(' '), detail]),
      [
        [revision, 'register', 'agent-1', '44.128.0.1 9.0.0.0/24', 'arrived'],
        [revision + 1, 'release', 'operator@127.0.0.1', 'agent-1 44.128.0.1 9.0.0.0/24', 'is quarantined for 15m'],
      ],
    );
    for (const { time } of entries) {
      const at = Number(time?.seconds ?? 0) * 1000 + Math.round((time?.nanos ?? 0) / 1_000_000);
      assert.ok(before <= at && at <= after, `${before} ≤ ${at} ≤ ${after}`);
    }
  });

  it('is read backwards, and by what happened', async () => {
    await using masters = await TestMasters.start();
    for (const id of ['agent-1', 'agent-2']) await masters.register(id);
    await masters.client().call(operatorService.releaseAgents, { agentIds: ['agent-1'], force: true }, once);
    const told = async (request: sublet.v1.ListHistoryRequest.$Properties): Promise<readonly unknown[]> => {
      const { entries } = await masters.client().call(operatorService.listHistory, request, { idempotent: true });
      return entries.map(({ revision, what }) => `${revision} ${what}`);
    };
    const newest = await told({ limit: 2 });
    const [, end] = /^(\d+) register$/.exec(String(newest[0])) ?? [];
    const beforeRevision = Number(end);
    assert.deepEqual(newest, [`${beforeRevision} register`, `${beforeRevision + 1} release`]);
    assert.deepEqual(await told({ limit: 1, beforeRevision }), [`${beforeRevision - 1} register`]);
    assert.deepEqual(await told({ what: ['release', 'expire'] }), [`${beforeRevision + 1} release`]);
  });
});
