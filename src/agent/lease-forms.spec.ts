import assert from 'node:assert/strict';
import { hostInput } from '#agent/host-input.js';
import { asksForMore, leaseNetworkOf, leaseOf } from '#agent/lease/lease.js';
import { PlanOnly } from '#agent/plan-only.js';
import { overlayInfo } from '#agent/report/overlay-info.js';
import { exampleNetwork, grant } from '#agent/testing/fake-masters.js';
import type { HostStatus } from '#host/host-status.js';
import { defaultHostSettings } from '#host/input.js';
import type { PlannedStep } from '#host/reconciler-interface.js';

const lease = leaseOf(grant({ agentId: 'a', instanceId: 'i', nodeIp: '10.0.0.1' }));
const input = hostInput({
  lease,
  leaseValid: true,
  network: lease.network,
  peers: [],
  settings: defaultHostSettings,
  formerClusterIds: [],
});

describe('what the host is given', () => {
  it('is the lease of the worked example', () => {
    assert.deepEqual(input, {
      clusterId: 'cluster-1',
      formerClusterIds: [],
      lease: {
        agentId: 'a',
        nodeIp: '10.0.0.1',
        vxlan: { vni: 1024, port: 64000, vtepName: 'vtep1024', vtepIp: '44.128.0.1/20', vtepMac: '70:b3:d5:80:00:01' },
        overlays: [
          {
            name: 'dcos',
            subnet: '9.0.0.0/24',
            mesosBridge: { name: 'm-dcos', cidr: '9.0.0.0/25' },
            dockerBridge: { name: 'd-dcos', cidr: '9.0.0.128/25' },
          },
        ],
      },
      leaseValid: true,
      overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', enabled: true }],
      peers: [],
      settings: defaultHostSettings,
    });
  });

  it('has IPv6 and an MTU where there are some', () => {
    const wide = { ...lease, vxlan: { ...lease.vxlan, vtepIp6: 'fd01:a::1/64', vtepMtu: 1400 } };
    const { vxlan } = hostInput({ ...input, lease: wide, network: wide.network }).lease;
    assert.equal(vxlan.vtepIp6, 'fd01:a::1/64');
    assert.equal(vxlan.vtepMtu, 1400);
  });
});

describe('whether a changed network concerns an agent', () => {
  const [dcos = {}] = exampleNetwork.overlays ?? [];
  const table: readonly (readonly [string, typeof exampleNetwork, boolean])[] = [
    ['nothing has changed', exampleNetwork, false],
    [
      'an overlay was added',
      { ...exampleNetwork, overlays: [dcos, { name: 'b', subnet: '10.0.0.0/8', enabled: true }] },
      true,
    ],
    [
      'a disabled overlay was added',
      { ...exampleNetwork, overlays: [dcos, { name: 'b', subnet: '10.0.0.0/8' }] },
      false,
    ],
    ['an overlay was disabled', { ...exampleNetwork, overlays: [{ ...dcos, enabled: false }] }, false],
    ['an overlay was removed', { ...exampleNetwork, overlays: [] }, false],
    [
      'an overlay of which it has its part has grown',
      { ...exampleNetwork, overlays: [{ ...dcos, subnet: '8.0.0.0/7' }] },
      false,
    ],
    ['the VTEP subnet has grown', { ...exampleNetwork, vtepSubnet: '44.128.0.0/16' }, true],
    ['the MTU of the VTEPs is another', { ...exampleNetwork, vtepMtu: 1400 }, true],
    ['VTEPs have IPv6 now', { ...exampleNetwork, vtepSubnet6: 'fd01:a::/64' }, true],
  ];
  for (const [what, changed, asks] of table) {
    it(`${asks ? 'asks' : 'does not ask'} again when ${what}`, () => {
      assert.equal(asksForMore(lease, leaseNetworkOf(changed)), asks);
    });
  }

  it('asks again when an overlay that it lacks has grown, or is enabled', () => {
    const lacking = { ...lease, problems: [{ overlay: 'dcos', reason: 'full' }] };
    assert.equal(
      asksForMore(lacking, leaseNetworkOf({ ...exampleNetwork, overlays: [{ ...dcos, subnet: '8.0.0.0/7' }] })),
      true,
    );
    const off = { ...lease, network: leaseNetworkOf({ ...exampleNetwork, overlays: [{ ...dcos, enabled: false }] }) };
    assert.equal(asksForMore(off, leaseNetworkOf(exampleNetwork)), true);
  });
});

describe('the agent in the form of DC/OS', () => {
  it('is the AgentInfo of the worked example', () => {
    const host: HostStatus = { overlays: [{ kind: 'ok', name: 'dcos', notes: [] }], problems: [], converged: true };
    assert.deepEqual(overlayInfo({ lease, network: lease.network, host, takesSubnets: true }), {
      ip: '10.0.0.1',
      overlays: [
        {
          info: { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
          subnet: '9.0.0.0/24',
          backend: {
            vxlan: { vni: 1024, vtep_name: 'vtep1024', vtep_ip: '44.128.0.1/20', vtep_mac: '70:b3:d5:80:00:01' },
          },
          mesos_bridge: { name: 'm-dcos', ip: '9.0.0.0/25' },
          docker_bridge: { name: 'd-dcos', ip: '9.0.0.128/25' },
          state: { status: 'STATUS_OK' },
        },
      ],
    });
  });

  it('names overlays of which the agent holds nothing, with the reason where there is one', () => {
    const more = leaseNetworkOf({
      ...exampleNetwork,
      overlays: [
        ...(exampleNetwork.overlays ?? []),
        { name: 'full', subnet6: 'fd01:b::/64', prefix6: 80, enabled: true },
        { name: 'off', subnet: '11.0.0.0/8', prefix: 24, enabled: false },
        { name: 'new', subnet: '12.0.0.0/8', prefix: 24, enabled: true },
      ],
    });
    const lacking = { ...lease, problems: [{ overlay: 'full', reason: 'no block is free' }] };
    const failed = { kind: 'failed', name: 'dcos', error: 'no ipset' } as const;
    const host: HostStatus = { overlays: [failed], problems: [], converged: true };
    const info = JSON.parse(JSON.stringify(overlayInfo({ lease: lacking, network: more, host, takesSubnets: true })));
    assert.deepEqual(
      info.overlays.map((overlay: { info: object; state: object }) => [overlay.info, overlay.state]),
      [
        [
          { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
          { status: 'STATUS_FAILED', error: 'no ipset' },
        ],
        [
          { name: 'full', subnet6: 'fd01:b::/64', prefix6: 80, enabled: true },
          { status: 'STATUS_FAILED', error: 'no block is free' },
        ],
        [{ name: 'new', subnet: '12.0.0.0/8', prefix: 24, enabled: true }, { status: 'STATUS_CONFIGURING' }],
      ],
    );
  });
});

describe('an agent without subnets in the form of DC/OS', () => {
  const bare = { ...lease, overlays: [] };
  const stateOf = (host: HostStatus): unknown => {
    const { overlays } = JSON.parse(
      JSON.stringify(overlayInfo({ lease: bare, network: lease.network, host, takesSubnets: false })),
    );
    assert.equal(overlays.length, 1);
    assert.equal(overlays[0].subnet, undefined);
    assert.equal(overlays[0].backend.vxlan.vtep_ip, '44.128.0.1/20');
    return overlays[0].state;
  };

  it('is configuring each overlay until its tunnel stands, and OK from then on', () => {
    assert.deepEqual(stateOf({ overlays: [], problems: [], converged: false }), { status: 'STATUS_CONFIGURING' });
    assert.deepEqual(stateOf({ overlays: [], problems: [], converged: true }), { status: 'STATUS_OK' });
  });

  it('has failed when its host has a problem, with the problem', () => {
    assert.deepEqual(stateOf({ overlays: [], problems: ['no vxlan module'], converged: false }), {
      status: 'STATUS_FAILED',
      error: 'no vxlan module',
    });
  });
});

describe('plan mode', () => {
  const step = (command: string): PlannedStep => ({ command, why: 'a test' });

  it('prints the steps, later only what is new, and reports nothing as built', async () => {
    let steps: readonly PlannedStep[] = [step('one'), step('two')];
    const lines: string[] = [];
    const plan = new PlanOnly({ planner: { plan: async () => steps }, print: (line) => lines.push(line) });
    const told: HostStatus[] = [];
    plan.onStatus((status) => told.push(status));
    plan.update(input);
    await plan.settled();
    assert.deepEqual(lines.splice(0), [
      'plan: 2 steps, 2 of them new; nothing is changed on this host',
      '  one    # a test',
      '  two    # a test',
    ]);
    plan.update({ ...input });
    await plan.settled();
    assert.deepEqual(lines, []);
    steps = [step('two'), step('three')];
    plan.update({ ...input });
    await plan.settled();
    assert.deepEqual(lines, [
      'plan: 2 steps, 1 of them new, 1 no longer needed; nothing is changed on this host',
      '  three    # a test',
    ]);
    assert.deepEqual(told, [
      { overlays: [{ kind: 'planned', name: 'dcos' }], problems: [], converged: false, cleared: true },
    ]);
  });

  it('says why a plan could not be made', async () => {
    const lines: string[] = [];
    const planner = { plan: () => Promise.reject(new Error('no ip command')) };
    const plan = new PlanOnly({ planner, print: (line) => lines.push(line) });
    plan.update(input);
    const { overlays } = await plan.settled();
    assert.deepEqual(lines, ['plan: the plan could not be made: no ip command']);
    assert.deepEqual(overlays, [{ kind: 'failed', name: 'dcos', error: 'the plan could not be made: no ip command' }]);
  });

  it('prints a long plan in part', async () => {
    const lines: string[] = [];
    const planner = { plan: async () => Array.from({ length: 1_000 }, (_, at) => step(`step ${at}`)) };
    const plan = new PlanOnly({ planner, print: (line) => lines.push(line) });
    plan.update(input);
    await plan.settled();
    assert.equal(lines.length, 202);
    assert.equal(lines.at(-1), '  … and 800 more');
  });
});
