import assert from 'node:assert/strict';
import { loadPlanFile, type PlanFile } from '#config/files/plan-file.js';
import { ConfigError } from '#config/schema/config-problem.js';
import { parseYamlText } from '#config/schema/yaml-file.js';

function load(text: string): PlanFile {
  return loadPlanFile({ name: 'plan.yaml', text, parse: parseYamlText }).plan;
}

function problems(text: string): readonly string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n');
    throw error;
  }
  return [];
}

const whole = `
# YAML, with comments
cluster: sublet
network:
  vtep_subnet: 44.128.0.0/16
  vtep_mtu: 1400
  overlays:
    - name: dcos
      subnet: 9.0.0.0/8
      prefix: 24
    - { name: both, subnet: 10.0.0.0/16, prefix: 24, subnet6: "FD01:B:0::/64", prefix6: 80, enabled: false }
    - { name: old, subnet: 11.0.0.0/16, prefix: 24, draining: true }
lease: { reclaim: never, quarantine: 1h }
reservations:
  - { overlay: dcos, subnet: 9.0.50.0/24, agent: db-1 }
  - { subnet: 44.128.0.7/32, agent: db-1 }
  - { overlay: dcos, subnet: 9.0.51.0/24, node_ip: 10.0.0.7 }
exclusions:
  - { overlay: dcos, subnet: 9.64.0.0/10 }
`;

describe('a plan in a file', () => {
  it('is read from YAML, in canonical form', () => {
    const none = { subnet6: '', prefix6: 0 };
    assert.deepEqual(load(whole), {
      clusterId: 'sublet',
      network: { vtepSubnet: '44.128.0.0/16', vtepMtu: 1_400 },
      lease: { quarantineMs: 3_600_000, reclaimMs: 0 },
      overlays: [
        { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, ...none, state: 'enabled' },
        {
          name: 'both',
          subnet: '10.0.0.0/16',
          prefix: 24,
          subnet6: 'fd01:b::/64',
          prefix6: 80,
          state: 'disabled',
        },
        { name: 'old', subnet: '11.0.0.0/16', prefix: 24, ...none, state: 'draining' },
      ],
      reservations: [
        { overlay: 'dcos', subnet: '9.0.50.0/24', agent: 'db-1' },
        { overlay: '', subnet: '44.128.0.7/32', agent: 'db-1' },
        { overlay: 'dcos', subnet: '9.0.51.0/24', agent: '', nodeIp: '10.0.0.7' },
      ],
      exclusions: [{ overlay: 'dcos', subnet: '9.64.0.0/10' }],
    });
  });

  it('is read from JSON, and says nothing of what it does not mention', () => {
    assert.deepEqual(load('{"$schema": "plan.schema.json", "lease": {"quarantine": "15m"}}'), {
      clusterId: undefined,
      network: {},
      lease: { quarantineMs: 900_000 },
      overlays: undefined,
      reservations: undefined,
      exclusions: undefined,
    });
  });

  const wrong: readonly (readonly [string, string, readonly string[]])[] = [
    ['no object', '- a', ['plan.yaml:1: ["a"] is not a configuration: a map of keys and values is expected']],
    [
      'an unknown key',
      'netwrok: {}',
      [
        'plan.yaml:1: netwrok: is not a known key; did you mean network? (allowed: cluster, network, lease, reservations, exclusions)',
      ],
    ],
    [
      'a value of another kind',
      'lease:\n  quarantine: 15',
      [
        'plan.yaml:2: lease.quarantine: 15 is not a duration: a length of time from 0s to 365d is allowed, like "90s", "15m", "24h" or "7d"',
      ],
    ],
    [
      'a subnet with host bits',
      'exclusions:\n  - overlay: dcos\n    subnet: 9.0.0.1/24',
      ['plan.yaml:3: exclusions[0].subnet: "9.0.0.1/24" has host bits: 9.0.0.0/24 is the network'],
    ],
    [
      'an overlay without a network',
      'network:\n  overlays:\n    - name: x',
      ['plan.yaml:3: network.overlays[0]: has no network: subnet and prefix, or subnet6 and prefix6, are needed'],
    ],
    [
      'a prefix alone',
      'network: {overlays: [{name: x, prefix: 24}]}',
      ['plan.yaml:1: network.overlays[0].subnet: is missing beside prefix: they go together'],
    ],
    [
      'a draining overlay that is enabled',
      'network:\n  overlays:\n    - {name: x, subnet: 9.0.0.0/8, prefix: 24, enabled: true,\n       draining: true}',
      ['plan.yaml:4: network.overlays[0].draining: true beside enabled true: a draining overlay is disabled'],
    ],
    [
      'an overlay twice',
      'network: {overlays: [{name: x, subnet: 9.0.0.0/8, prefix: 24},\n {name: x, subnet: 10.0.0.0/8, prefix: 24}]}',
      ['plan.yaml:2: network.overlays[1].name: "x" is that of network.overlays[0], too'],
    ],
    [
      'a range twice',
      'reservations:\n  - {overlay: x, subnet: 9.0.0.0/24, agent: a}\nexclusions:\n  - {overlay: x, subnet: 9.0.0.0/24}',
      ['plan.yaml:4: exclusions[0].subnet: 9.0.0.0/24 is that of reservations[0], too'],
    ],
    [
      'a reservation for no agent',
      'reservations: [{overlay: x, subnet: 9.0.0.0/24}]',
      ['plan.yaml:1: reservations[0]: has neither agent nor node_ip: one of them is needed'],
    ],
    [
      'a reservation for an agent and a node address',
      'reservations: [{overlay: x, subnet: 9.0.0.0/24, agent: a, node_ip: 10.0.0.7}]',
      ['plan.yaml:1: reservations[0]: has agent a beside node_ip 10.0.0.7: one of them is needed'],
    ],
    ['a key twice', 'lease: {}\nlease: {}', ['plan.yaml:2: no YAML: Map keys must be unique (column 1)']],
    [
      'a key twice further in',
      'lease: {}\nnetwork:\n  {vni: 1, vni: 2}',
      ['plan.yaml:3: no YAML: Map keys must be unique (column 12)'],
    ],
    [
      'no YAML',
      'a: [',
      [
        'plan.yaml:1: no YAML: Flow sequence in block collection must be sufficiently indented and end with a ] (column 5)',
      ],
    ],
    [
      'what is no text, of which little is repeated',
      `%YAML ${'x'.repeat(5_000)}\n---\n{}`,
      [`plan.yaml:1: no YAML: Unsupported YAML version ${'x'.repeat(95)}… (column 7)`],
    ],
    [
      'a second document',
      'lease: {}\n---\nlease: {}',
      ['plan.yaml:2: no YAML: a second document begins here: one is allowed (column 1)'],
    ],
    [
      'an unknown tag',
      'cluster: !!js/function x',
      ['plan.yaml:1: no YAML: Unresolved tag: tag:yaml.org,2002:js/function (column 10)'],
    ],
  ];
  for (const [title, text, wanted] of wrong) {
    it(`is refused with ${title}, at its line`, () => {
      assert.deepEqual(problems(text), wanted);
    });
  }

  it('row 84: is refused with a hundred of its problems, and the count of the others', () => {
    const keys = Array.from({ length: 5_000 }, (_, at) => `k${at}: 1`);
    const found = problems(keys.join('\n'));
    assert.equal(found.length, 101);
    assert.equal(found[0]?.slice(0, 37), 'plan.yaml:1: k0: is not a known key (');
    assert.equal(found.at(-1), 'plan.yaml:1: 4900 more problems are not shown');
  });

  it('row 84: is refused when it is nested without end', () => {
    const brackets = `lease: {}\nnetwork: ${'['.repeat(100_000)}`;
    assert.deepEqual(problems(brackets), ['plan.yaml:2: no YAML: nested more than 32 deep (column 42)']);
    assert.match(problems('- '.repeat(3_000)).join(), /^plan\.yaml:1: no YAML: nested too deep \(column \d+\)$/);
  });

  it('is refused when its aliases make it far larger than it is', () => {
    const levels = Array.from(
      { length: 9 },
      (_, at) => `a${at + 1}: &a${at + 1} [${Array(9).fill(`*a${at}`).join(', ')}]`,
    );
    assert.match(problems(['a0: &a0 x', ...levels].join('\n')).join(), /no YAML: Excessive alias count/);
  });
});
