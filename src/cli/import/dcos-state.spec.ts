import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { formatIp } from '#address/ip.js';
import { Failure } from '#cli/failure.js';
import { readDcosState } from '#cli/import/dcos-state.js';
import { blockWords } from '#cli/import/old-network.js';
import { oldNetworkProblems } from '#cli/import/old-network-check.js';
import { fixture } from '#cluster-test/process/fixture.js';

const text = readFileSync(fixture('dcos-state.json'), 'utf8');

/** What is wrong with the state in which one text stands for another. */
function problems(from: string | RegExp, to: string): readonly string[] {
  const changed = text.replace(from, to);
  assert.notEqual(changed, text, `the state has "${from}"`);
  const { network, problems: own } = readDcosState('state.json', changed);
  return network === undefined ? own : [...own, ...oldNetworkProblems(network)];
}

describe('the state of DC/OS', () => {
  it('is read whole: overlays, and subnets and VTEP address of each agent', () => {
    const { network, problems: none } = readDcosState('state.json', text);
    assert.deepEqual([none, network && oldNetworkProblems(network)], [[], []]);
    assert.deepEqual(network?.settings, {
      vtepSubnet: '44.128.0.0/20',
      vtepSubnet6: 'fd01:a::/64',
      vtepMacOui: '70:b3:d5:00:00:00',
    });
    assert.deepEqual(
      network?.overlays.map(({ overlay: { name, v4, v6, enabled } }) => [name, v4?.prefix, v6?.prefix, enabled]),
      [
        ['dcos', 24, undefined, true],
        ['dcos6', undefined, 80, true],
      ],
    );
    assert.deepEqual(
      network?.hosts.map(({ nodeIp, blocks }) => [formatIp(nodeIp), ...blocks.map(blockWords)]),
      [
        ['10.0.0.1', 'VTEP address 44.128.0.7', '9.0.3.0/24 of dcos', 'fd01:b:0:0:5::/80 of dcos6'],
        ['10.0.0.2', 'VTEP address 44.128.0.2', '9.0.0.0/24 of dcos'],
        ['10.0.0.3', 'VTEP address 44.128.0.1'],
      ],
    );
    assert.deepEqual(network?.tunnel, { name: 'vtep1024', vni: 1024 });
  });

  const wrong: readonly (readonly [string, string | RegExp, string, readonly (string | RegExp)[]])[] = [
    [
      'no network of its own',
      '"subnet": "9.0.0.0/24"',
      '"subnet": "9.0.0.1/24"',
      [/^agents\[1\]\.overlays\[0\]\.subnet: .*9\.0\.0\.1\/24.* has host bits: 9\.0\.0\.0\/24 is the network$/],
    ],
    ['no address', '"ip": "10.0.0.2"', '"ip": "ten"', [/^agents\[1\]\.ip: .*ten/]],
    [
      'no list',
      /"agents": \[[\s\S]*\],\n {2}"network"/,
      '"agents": 7, "network"',
      ['agents: 7 is not a list: [ … ] is expected'],
    ],
    ['no MAC', '70:b3:d5:80:00:02', '70:b3', [/^agents\[1\]\.overlays\[0\]\.backend\.vxlan\.vtep_mac: .*six pairs/]],
    [
      'a prefix beyond the limit',
      '"prefix": 24, "subnet": "9.0.0.0/8" },\n      {',
      '"prefix": 29, "subnet": "9.0.0.0/8" },\n      {',
      [/^network\.overlays\[0\]\.prefix: 29 .*1 to 28/],
    ],
    [
      'a prefix without its subnet',
      '"prefix6": 80, "subnet6": "fd01:b::/64" }\n    ]',
      '"prefix6": 80 }\n    ]',
      [
        'network.overlays[1]: subnet6 and prefix6 go together, and one of them is missing',
        'agents[0].overlays[1].subnet6: fd01:b:0:0:5::/80: overlay dcos6 has no IPv6',
      ],
    ],
    [
      'a block of another length',
      '"subnet": "9.0.0.0/24"',
      '"subnet": "9.0.0.0/25"',
      [
        /^agents\[1\]\.overlays\[0\]\.mesos_bridge\.ip: 9\.0\.0\.0\/25 is not the lower half of 9\.0\.0\.0\/25/,
        /^agents\[1\]\.overlays\[0\]\.docker_bridge\.ip: 9\.0\.0\.128\/25 is not the upper half/,
        'agents[1].overlays[0].subnet: 9.0.0.0/25 is a /25: the pieces of overlay dcos are /24',
      ],
    ],
    [
      'a bridge that has the other half',
      '"mesos_bridge": { "ip": "9.0.3.0/25"',
      '"mesos_bridge": { "ip": "9.0.3.128/25"',
      [
        'agents[0].overlays[0].mesos_bridge.ip: 9.0.3.128/25 is not the lower half of 9.0.3.0/24, 9.0.3.0/25, which that bridge has here',
      ],
    ],
    [
      'a block outside its overlay, and one of two hosts',
      /"9\.0\.0\.0\/24"([\s\S]*)"state": \{ "status": "STATUS_OK" \}\n/,
      '"8.0.0.0/24"$1"subnet": "9.0.3.0/24"\n',
      [
        /^agents\[1\]\.overlays\[0\]\.mesos_bridge/,
        /^agents\[1\]\.overlays\[0\]\.docker_bridge/,
        'agents[2].overlays[0].subnet: 9.0.3.0/24 of dcos is that of agents[0].overlays[0].subnet, too',
        'agents[1].overlays[0].subnet: 8.0.0.0/24 is outside 9.0.0.0/8 of overlay dcos',
      ],
    ],
    [
      'one VTEP address of two hosts',
      /44\.128\.0\.2\/20([\s\S]*)fd01:a::2([\s\S]*)80:00:02/,
      '44.128.0.1/20$1fd01:a::1$280:00:01',
      [
        'agents[2].overlays[0].backend.vxlan.vtep_ip: VTEP address 44.128.0.1 is that of agents[1].overlays[0].backend.vxlan.vtep_ip, too',
      ],
    ],
    [
      'a MAC and an IPv6 address that do not follow from the VTEP’s',
      /fd01:a::2([\s\S]*)80:00:02/,
      'fd01:a::3$180:00:03',
      [
        'agents[1].overlays[0].backend.vxlan.vtep_mac: 70:b3:d5:80:00:03: with vtep_mac_oui 70:b3:d5:00:00:00 the MAC of 44.128.0.2 is 70:b3:d5:80:00:02',
        'agents[1].overlays[0].backend.vxlan.vtep_ip6: fd01:a::3 is not at the place in fd01:a::/64 that 44.128.0.2 has in 44.128.0.0/20',
      ],
    ],
    [
      'a VTEP address that no host can have',
      /44\.128\.0\.1\/20([\s\S]*)fd01:a::1\/([\s\S]*)80:00:01/,
      '44.128.0.0/20$1fd01:a::/$280:00:00',
      ['agents[2].overlays[0].backend.vxlan.vtep_ip: 44.128.0.0 is no address for a host in vtep_subnet 44.128.0.0/20'],
    ],
    [
      'two VTEP addresses of one host',
      /44\.128\.0\.7\/20([\s\S]*)44\.128\.0\.7\/20/,
      '44.128.0.7/20$144.128.0.8/20',
      [
        'agents[0].overlays[1].backend.vxlan.vtep_ip: 44.128.0.8: overlays[0] of the agent has 44.128.0.7, and a host has one',
      ],
    ],
    [
      'one node address twice, and one in an overlay',
      /"10\.0\.0\.2"([\s\S]*)"10\.0\.0\.3"/,
      '"10.0.0.1"$1"9.9.9.9"',
      [
        'agents[1].ip: node address 10.0.0.1 is that of agents[0].ip, too',
        'agents[2].ip: 9.9.9.9 lies in 9.0.0.0/8 of overlay dcos: no agent can register it',
      ],
    ],
    [
      'node addresses of both families, and one that is nobody’s',
      /"10\.0\.0\.2"([\s\S]*)"10\.0\.0\.3"/,
      '"2001:db8::2"$1"127.0.0.1"',
      [
        /^agents\[2\]\.ip: node_ip 127\.0\.0\.1 is a loopback address/,
        'agents[1].ip: 2001:db8::2 is IPv6, and agents[0].ip is IPv4: all node addresses are of one family',
      ],
    ],
    [
      'an overlay that is not there',
      '"info": { "name": "dcos6"',
      '"info": { "name": "other"',
      ['agents[0].overlays[1].subnet6: there is no overlay "other": there is dcos, dcos6'],
    ],
    [
      'two overlays in one place',
      '{ "name": "dcos6", "prefix6": 80, "subnet6": "fd01:b::/64" }\n    ]',
      '{ "name": "dcos6", "prefix6": 80, "subnet6": "fd01:b::/64" },\n{ "name": "dcos", "prefix": 24, "subnet": "9.1.0.0/16" }\n    ]',
      [
        'network.overlays[2]: overlay dcos is that of network.overlays[0], too',
        'network.overlays[2]: 9.1.0.0/16 of overlay dcos overlaps 9.0.0.0/8 of overlay dcos',
      ],
    ],
  ];
  for (const [title, from, to, wanted] of wrong) {
    it(`with ${title} names the place, the value and what is allowed`, () => {
      const found = problems(from, to);
      assert.equal(found.length, wanted.length, found.join('\n'));
      for (const [at, each] of wanted.entries()) {
        if (typeof each === 'string') assert.equal(found[at], each);
        else assert.match(found[at] ?? '', each);
      }
    });
  }

  it('that is no JSON is refused', () => {
    assert.throws(
      () => readDcosState('state.json', '{"agents": ['),
      (error) => error instanceof Failure && /^state\.json is no JSON: /.test(error.message),
    );
  });
});
