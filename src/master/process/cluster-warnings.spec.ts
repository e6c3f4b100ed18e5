import assert from 'node:assert/strict';
import { agentService, clusterService } from '#api/services.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';
import { deadMasterWarnings, revocationWarnings } from '#master/process/cluster-warnings.js';
import { withRevocations } from '#master/services/revocation-message.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { sublet } from '#proto/sublet.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const { MemberRole, OverlayStatus } = sublet.v1;
const now = 1_748_779_200_000;

function master(name: string, deadForSeconds?: number, role = MemberRole.MEMBER_ROLE_FOLLOWER) {
  const lastContact = { seconds: now / 1_000 - (deadForSeconds ?? 0), nanos: 0 };
  return { name, role, alive: deadForSeconds === undefined, lastContact };
}

function said(...members: Parameters<typeof deadMasterWarnings>[0][number][]): readonly string[] {
  return deadMasterWarnings(members, now).map(({ message }) => message);
}

describe('what status warns of', () => {
  it('names each dead master, for how long, and how many more may fail', () => {
    assert.deepEqual(said(master('m1'), master('m2'), master('m3')), []);
    assert.deepEqual(said(master('m1'), master('m2'), master('m3', 22)), [
      'master m3 is dead for 22s: one more, and nothing can be changed',
    ]);
    assert.deepEqual(said(master('m1'), master('m2'), master('m3'), master('m4'), master('m5', 90)), [
      'master m5 is dead for 1m30s: 1 more may fail, then nothing can be changed',
    ]);
    assert.deepEqual(said(master('m1'), master('m2', 5), master('m3', 5)), [
      'master m2 is dead for 5s: no quorum is up, and nothing can be changed',
      'master m3 is dead for 5s: no quorum is up, and nothing can be changed',
    ]);
    const learner = master('m4', 5, MemberRole.MEMBER_ROLE_LEARNER);
    assert.deepEqual(said(master('m1'), master('m2'), master('m3'), learner), ['master m4 is dead for 5s, a learner']);
    assert.deepEqual(said(master('m1'), master('m2'), { name: 'm3', alive: false }), [
      'master m3 is dead and was not heard by this leader: one more, and nothing can be changed',
    ]);
  });

  it('names members, and agents with a lease, whose certificates are all revoked', () => {
    const plan = new PlanUnderTest();
    const revoke = (identity: string) =>
      plan.run({ kind: 'revoke-identity', identity, cause: 'operator', release: false });
    const warned = () => revocationWarnings(plan.ipam, [{ name: 'm1' }, { name: 'm2' }]);
    for (const id of ['host-1', 'host-2']) plan.run(plan.request(id));
    for (const other of ['agent/gone', 'master/m9', 'operator/host-1', 'agent/host-2']) revoke(other);
    plan.run({ kind: 'unrevoke-identity', identity: 'agent/host-2', cause: 'operator', acceptedFrom: 1_000 });
    assert.deepEqual(warned(), []);
    for (const identity of ['agent/host-1', 'master/m2']) revoke(identity);
    assert.deepEqual(
      warned().map(({ message, remedy }) => `${message}: ${remedy}`),
      [
        'the certificates of master m2 are revoked, though it is a member: the others take nothing from it: sublet certs unrevoke master/m2',
        '1 agent is revoked and holds its lease still: host-1: sublet agents host-1, then sublet release host-1 or sublet certs unrevoke agent/host-1',
      ],
    );
    revoke('agent/host-2');
    assert.match(warned().at(-1)?.message ?? '', /^2 agents are revoked and hold their lease still: host-1$/);
    const [, m2] = withRevocations([{ name: 'm1' }, { name: 'm2' }], plan.ipam);
    assert.equal(m2?.revocation?.identity?.id, 'm2');
  });

  it('reports silent agents and failed overlays at every master, whichever leads', async () => {
    const time = new VirtualTime();
    await using masters = await TestMasters.start({ clock: time, count: 2 });
    for (const agentId of ['agent-1', 'agent-2', 'agent-3']) {
      const { lease } = await masters.register(agentId);
      const failed = agentId !== 'agent-3';
      const state = {
        status: failed ? OverlayStatus.OVERLAY_STATUS_FAILED : OverlayStatus.OVERLAY_STATUS_OK,
        error: failed ? `no module on ${agentId}` : '',
      };
      const report = {
        agentId,
        instanceId: `${agentId}-1`,
        epoch: lease?.epoch ?? 0,
        overlays: [{ overlay: 'dcos', state }],
      };
      await masters.client().call(agentService.reportStatus, report, { idempotent: true });
    }
    const warnings = async (at: number) => {
      const status = await masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });
      return status.warnings.filter(({ cluster }) => cluster).map(({ message, remedy }) => [message, remedy]);
    };
    const failed = [
      '2 agents have overlays that failed on their host: agent-1, dcos: no module on agent-1',
      'sublet agents agent-1',
    ];
    assert.deepEqual(await warnings(0), [failed]);
    assert.deepEqual(await warnings(1), [failed]);
    await time.runFor(31_000);
    for (const at of [0, 1]) {
      const [silent, ...others] = await warnings(at);
      assert.match(silent?.[0] ?? '', /^3 agents are silent: agent-1 for .*, the longest$/);
      assert.equal(silent?.[1], 'sublet agents --silent');
      assert.deepEqual(others, [failed]);
    }
  });

  it('counts agents that only plan, in a notice, at every master', async () => {
    await using masters = await TestMasters.start({ clock: new VirtualTime(), count: 2 });
    const notices = async (at: number) => {
      const { warnings } = await masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });
      return warnings
        .filter(({ cluster }) => cluster)
        .map(({ message, remedy, notice, cluster }) => ({ message, remedy, notice, cluster }));
    };
    const report = async (agentId: string, status: sublet.v1.OverlayStatus) => {
      const { lease } = await masters.register(agentId);
      const request = {
        agentId,
        instanceId: `${agentId}-1`,
        epoch: lease?.epoch ?? 0,
        overlays: [{ overlay: 'dcos', state: { status } }],
      };
      await masters.client().call(agentService.reportStatus, request, { idempotent: true });
    };
    await report('agent-1', OverlayStatus.OVERLAY_STATUS_OK);
    await report('agent-2', OverlayStatus.OVERLAY_STATUS_PLANNED);
    const notice = {
      message: '1 agent runs with --network plan: agent-2. Peers route to it; nothing answers there',
      remedy: 'sublet agents --state planned',
      notice: true,
      cluster: true,
    };
    for (const at of [0, 1]) assert.deepEqual(await notices(at), [notice]);
    await report('agent-3', OverlayStatus.OVERLAY_STATUS_PLANNED);
    const message =
      '2 agents run with --network plan: agent-2 is the first. Peers route to them; nothing answers there';
    for (const at of [0, 1]) assert.deepEqual(await notices(at), [{ ...notice, message }]);
    await report('agent-2', OverlayStatus.OVERLAY_STATUS_OK);
    await report('agent-3', OverlayStatus.OVERLAY_STATUS_OK);
    for (const at of [0, 1]) assert.deepEqual(await notices(at), []);
  });
});
