import assert from 'node:assert/strict';
import { planCommandOf } from '#cli/plan-file/plan-calls.js';
import { type LivePlan, planDiff } from '#cli/plan-file/plan-changes.js';
import { planFileOf } from '#cli/plan-file/plan-text.js';
import { loadPlanFile } from '#config/files/plan-file.js';
import { formatPath } from '#config/schema/config-problem.js';

const live: LivePlan = {
  clusterId: 'sublet',
  revision: 9,
  network: {
    vtepSubnet: '44.128.0.0/20',
    vtepMacOui: '70:b3:d5:00:00:00',
    vni: 1024,
    vxlanPort: 64_000,
    vtepName: 'vtep1024',
    quarantineMs: 900_000,
    reclaimMs: 0,
    overlays: [
      { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, enabled: true },
      { name: 'both', subnet: '10.0.0.0/16', prefix: 24, subnet6: 'fd01:b::/64', prefix6: 80, enabled: false },
      { name: 'old', subnet: '11.0.0.0/16', prefix: 24, enabled: false, draining: true },
    ],
  },
  reservations: [
    { overlay: 'dcos', subnet: '9.0.50.0/24', agentId: 'db-1' },
    { overlay: '', subnet: '44.128.0.7/32', agentId: 'db-1' },
    { overlay: 'dcos', subnet: '9.64.0.0/10' },
  ],
};
/** The file of the live plan. */
const same = JSON.parse(JSON.stringify(planFileOf(live)));

function diffOf(file: object, prune = false) {
  const { plan } = loadPlanFile({ name: 'f', text: JSON.stringify(file) });
  return planDiff(live, plan, prune);
}

/** Sign, command, and whether it lasts. */
function changes(file: object, prune = false): readonly string[] {
  const { changes, impossible } = diffOf(file, prune);
  assert.deepEqual(impossible, []);
  return changes.map(({ sign, call, lasting }) => `${sign} ${planCommandOf(call)}${lasting ? ' !' : ''}`);
}

const overlays = (...all: object[]) => ({ network: { overlays: all } });
const dcos = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 };

describe('what a plan in a file changes', () => {
  it('is nothing when it is as the masters have it, pruned or not', () => {
    assert.deepEqual(changes(same), []);
    assert.deepEqual(changes(same, true), []);
    assert.deepEqual(diffOf(same).unlisted, []);
    assert.deepEqual(changes({}), []);
    assert.deepEqual(changes({}, true), [], 'a list that the file does not have is not pruned');
  });

  const cases: readonly (readonly [string, object, readonly string[]])[] = [
    [
      'a larger VTEP subnet',
      { network: { vtep_subnet: '44.128.0.0/16' } },
      ['~ sublet network grow --vtep-subnet 44.128.0.0/16 !'],
    ],
    [
      'an IPv6 VTEP subnet',
      { network: { vtep_subnet6: 'fd01:a::/64' } },
      ['~ sublet network grow --vtep-subnet6 fd01:a::/64 !'],
    ],
    [
      'settings',
      { network: { vtep_mtu: 1_400 }, lease: { quarantine: '90m', reclaim: '2d' } },
      ['~ sublet network set --vtep-mtu 1400 --quarantine 1h30m --reclaim 2d'],
    ],
    [
      'a new overlay',
      overlays({ name: 'blue', subnet: '12.0.0.0/16', prefix: 24, subnet6: 'fd01:c::/64', prefix6: 80 }),
      ['+ sublet overlay add blue --subnet 12.0.0.0/16 --prefix 24 --subnet6 fd01:c::/64 --prefix6 80'],
    ],
    [
      'a new overlay that drains',
      overlays({ name: 'blue', subnet: '12.0.0.0/16', prefix: 24, draining: true }),
      ['+ sublet overlay add blue --subnet 12.0.0.0/16 --prefix 24 --disabled', '~ sublet overlay drain blue !'],
    ],
    [
      'a larger overlay that is enabled',
      overlays({ name: 'both', subnet: '10.0.0.0/15', prefix: 24, subnet6: 'fd01:b::/64', prefix6: 80 }),
      ['~ sublet overlay grow both --subnet 10.0.0.0/15 !', '~ sublet overlay enable both'],
    ],
    ['an overlay that is disabled', overlays({ ...dcos, enabled: false }), ['~ sublet overlay disable dcos']],
    ['an overlay that drains', overlays({ ...dcos, draining: true }), ['~ sublet overlay drain dcos !']],
    [
      'a reservation and an exclusion',
      {
        reservations: [{ overlay: 'dcos', subnet: '9.0.51.0/24', agent: 'db-2' }],
        exclusions: [{ subnet: '44.128.1.0/24' }],
      },
      ['+ sublet reserve dcos 9.0.51.0/24 --for db-2', "+ sublet exclude '' 44.128.1.0/24"],
    ],
    [
      'a reservation for another agent, and an exclusion that becomes one',
      {
        reservations: [
          { overlay: 'dcos', subnet: '9.0.50.0/24', agent: 'db-2' },
          { overlay: 'dcos', subnet: '9.64.0.0/10', agent: 'db-3' },
        ],
      },
      [
        ...['- sublet unreserve dcos 9.0.50.0/24', '- sublet unreserve dcos 9.64.0.0/10'],
        ...['+ sublet reserve dcos 9.0.50.0/24 --for db-2', '+ sublet reserve dcos 9.64.0.0/10 --for db-3'],
      ],
    ],
  ];
  for (const [title, file, wanted] of cases) {
    it(`is, for ${title}, the command that makes it`, () => {
      assert.deepEqual(changes(file), wanted);
    });
  }

  it('leaves what its lists leave out, and removes it when it is pruned, overlays last', () => {
    const file = { ...overlays(dcos), reservations: [], exclusions: [] };
    assert.deepEqual(changes(file), []);
    assert.deepEqual(diffOf(file).unlisted, [
      'reservation of 9.0.50.0/24 of dcos for db-1',
      'reservation of 44.128.0.7/32 of the VTEP subnet for db-1',
      'exclusion of 9.64.0.0/10 of dcos',
      'overlay both',
      'overlay old',
    ]);
    assert.deepEqual(changes(file, true), [
      '- sublet unreserve dcos 9.0.50.0/24',
      "- sublet unreserve '' 44.128.0.7/32",
      '- sublet unreserve dcos 9.64.0.0/10',
      '- sublet overlay remove both !',
      '- sublet overlay remove old !',
    ]);
  });

  const impossible: readonly (readonly [string, object, readonly string[]])[] = [
    ['another cluster', { cluster: 'berlin' }, ['cluster: berlin: the masters are of cluster sublet']],
    [
      'fixed settings',
      { network: { vni: 7, vxlan_port: 4789, vtep_mac_oui: '02:00:00:00:00:00', vtep_name: 'vtep7' } },
      [
        'network.vtep_mac_oui: 02:00:00:00:00:00: the plan has 70:b3:d5:00:00:00, which can’t be changed',
        'network.vtep_name: vtep7: the plan has vtep1024, which can’t be changed',
        'network.vni: 7: the plan has 1024, which can’t be changed',
        'network.vxlan_port: 4789: the plan has 64000, which can’t be changed',
      ],
    ],
    [
      'a smaller VTEP subnet',
      { network: { vtep_subnet: '44.128.0.0/24' } },
      ['network.vtep_subnet: 44.128.0.0/24 does not contain 44.128.0.0/20, which the plan has: a subnet only grows'],
    ],
    [
      'other pieces of an overlay, and a smaller subnet',
      overlays({ ...dcos, subnet: '9.0.0.0/16', prefix: 25 }),
      [
        'network.overlays[0].prefix: 25: the plan has 24: remove the overlay and add it again',
        'network.overlays[0].subnet: 9.0.0.0/16 does not contain 9.0.0.0/8, which the plan has: a subnet only grows',
      ],
    ],
    [
      'one family more, and one less',
      overlays(
        { ...dcos, subnet6: 'fd01:d::/64', prefix6: 80 },
        { name: 'both', subnet: '10.0.0.0/16', prefix: 24, enabled: false },
      ),
      [
        'network.overlays[0].subnet6: fd01:d::/64: the plan has none: remove the overlay and add it again',
        'network.overlays[1].subnet6: is missing: the plan has fd01:b::/64: remove the overlay and add it again',
      ],
    ],
  ];
  for (const [title, file, wanted] of impossible) {
    it(`can’t be ${title}`, () => {
      assert.deepEqual(
        diffOf(file).impossible.map(({ path, message }) => `${formatPath(path)}: ${message}`),
        wanted,
      );
    });
  }
});
