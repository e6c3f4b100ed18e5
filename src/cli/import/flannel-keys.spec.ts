import assert from 'node:assert/strict';
import { formatCidr, formatIp } from '#address/ip.js';
import { readFlannelKeys } from '#cli/import/flannel-keys.js';
import { blockWords } from '#cli/import/old-network.js';
import { oldNetworkProblems } from '#cli/import/old-network-check.js';

const prefix = '/coreos.com/network';
type Keys = Readonly<Record<string, object | string>>;

function read(config: object, subnets: Keys = {}) {
  const text = (value: object | string): string => (typeof value === 'string' ? value : JSON.stringify(value));
  const entries = [
    { key: `${prefix}/config`, value: text(config) },
    ...Object.entries(subnets).map(([name, value]) => ({ key: `${prefix}/subnets/${name}`, value: text(value) })),
  ];
  return readFlannelKeys(entries, prefix, 'pods');
}

function problems(config: object, subnets: Keys = {}): readonly string[] {
  const { network, problems: own } = read(config, subnets);
  return (network === undefined ? own : [...own, ...oldNetworkProblems(network)]).map((each) =>
    each.replaceAll(`${prefix}/`, ''),
  );
}

const one = {
  '10.5.34.0-24': { PublicIP: '10.0.0.1', BackendType: 'vxlan', BackendData: { VNI: 1, VtepMAC: 'aa:bb:cc:dd:ee:01' } },
};

describe('the keys of flannel', () => {
  it('are read: the network becomes an overlay, and each subnet is of its PublicIP', () => {
    const { network, problems: none } = read(
      { Network: '10.5.0.0/16', Backend: { Type: 'vxlan', VNI: 7, Port: 4789 } },
      { ...one, '10.5.99.0-24': { PublicIP: '10.0.0.2' } },
    );
    assert.deepEqual([none, network && oldNetworkProblems(network)], [[], []]);
    assert.deepEqual(
      network?.overlays.map(({ overlay: { name, v4, v6 } }) => [name, v4 && formatCidr(v4.subnet), v4?.prefix, v6]),
      [['pods', '10.5.0.0/16', 24, undefined]],
    );
    assert.deepEqual(
      network?.hosts.map(({ nodeIp, blocks }) => [formatIp(nodeIp), ...blocks.map(blockWords)]),
      [
        ['10.0.0.1', '10.5.34.0/24 of pods'],
        ['10.0.0.2', '10.5.99.0/24 of pods'],
      ],
    );
    assert.deepEqual(network?.tunnel, { name: 'flannel.7', vni: 7, port: 4789 });
    assert.deepEqual([network?.exclusions, network?.settings], [[], {}]);
  });

  it('of both families give both blocks; of IPv6 alone, that one', () => {
    const both = read(
      { Network: '10.5.0.0/16', EnableIPv6: true, IPv6Network: 'fd05::/48' },
      { '10.5.34.0-24&fd05:0:0:22::-64': { PublicIP: '10.0.0.1', PublicIPv6: '2001:db8::1' } },
    );
    assert.deepEqual(both.problems, []);
    assert.deepEqual(
      both.network?.hosts.flatMap(({ blocks }) => blocks.map(blockWords)),
      ['10.5.34.0/24 of pods', 'fd05:0:0:22::/64 of pods'],
    );
    const six = read(
      { EnableIPv4: false, EnableIPv6: true, IPv6Network: 'fd05::/48' },
      { '0.0.0.0-0&fd05:0:0:22::-64': { PublicIP: '0.0.0.0', PublicIPv6: '2001:db8::1' } },
    );
    assert.deepEqual(six.problems, []);
    assert.deepEqual(
      six.network?.hosts.map(({ nodeIp, blocks }) => [formatIp(nodeIp), ...blocks.map(blockWords)]),
      [['2001:db8::1', 'fd05:0:0:22::/64 of pods']],
    );
  });

  it('have flannel’s lengths where none is said', () => {
    const prefixOf = (config: object) => read(config).network?.overlays[0]?.overlay.v4?.prefix;
    assert.equal(prefixOf({ Network: '10.5.0.0/22' }), 24);
    assert.equal(prefixOf({ Network: '10.5.0.0/23' }), 25);
    assert.equal(prefixOf({ Network: '10.5.0.0/16', SubnetLen: 26 }), 26);
  });

  it('exclude what lies outside SubnetMin and SubnetMax', () => {
    const { network } = read({ Network: '10.5.0.0/16', SubnetMin: '10.5.10.0', SubnetMax: '10.5.251.0' });
    assert.deepEqual(
      network?.exclusions.map(({ subnet }) => subnet),
      ['10.5.0.0/21', '10.5.8.0/23', '10.5.252.0/22'],
    );
    assert.deepEqual(problems({ Network: '10.5.0.0/16', SubnetMin: '10.5.40.0' }, one), [
      'subnets/10.5.34.0-24: 10.5.34.0/24 is outside SubnetMin to SubnetMax, and nothing is allocated there',
    ]);
  });

  const wrong: readonly (readonly [string, object, Keys, readonly (string | RegExp)[]])[] = [
    ['no Network', {}, {}, ['config: Network is missing: one like 10.5.0.0/16 is expected']],
    [
      'a Network of another form',
      { Network: '10.5.0.0' },
      {},
      [/^config: Network: .*10\.5\.0\.0.*is not an IPv4 network/],
    ],
    [
      'pieces beyond the limit',
      { Network: '10.5.0.0/27' },
      {},
      ['config: the subnets of 10.5.0.0/27 are /29: pieces of an overlay are /28 at most'],
    ],
    ['a SubnetLen beyond it', { Network: '10.5.0.0/16', SubnetLen: 30 }, {}, [/^config: SubnetLen: 30 .*1 to 28/]],
    [
      'a SubnetMin within a piece',
      { Network: '10.5.0.0/16', SubnetMin: '10.5.0.128' },
      {},
      ['config: SubnetMin: 10.5.0.128 is not the first address of a /24 of 10.5.0.0/16'],
    ],
    [
      'a value that is no JSON',
      { Network: '10.5.0.0/16' },
      { '10.5.34.0-24': 'x' },
      [/^subnets\/10\.5\.34\.0-24: its value is no JSON/],
    ],
    [
      'no PublicIP',
      { Network: '10.5.0.0/16' },
      { '10.5.34.0-24': {} },
      ['subnets/10.5.34.0-24: PublicIP is missing: the address of the host is expected, like 10.0.0.1'],
    ],
    [
      'a key of another form',
      { Network: '10.5.0.0/16' },
      { 'ten-24': { PublicIP: '10.0.0.1' } },
      ['subnets/ten-24: "ten-24" is not the key of a subnet: one like 10.5.34.0-24 is expected'],
    ],
    [
      'one host twice, pieces of another length, and one outside',
      { Network: '10.5.0.0/16' },
      { ...one, '10.5.0.0-25': { PublicIP: '10.0.0.1' }, '10.6.0.0-24': { PublicIP: '10.0.0.3' } },
      [
        'subnets/10.5.0.0-25: PublicIP: node address 10.0.0.1 is that of subnets/10.5.34.0-24: PublicIP, too',
        'subnets/10.5.0.0-25: 10.5.0.0/25 is a /25: the pieces of overlay pods are /24',
        'subnets/10.6.0.0-24: 10.6.0.0/24 is outside 10.5.0.0/16 of overlay pods',
      ],
    ],
  ];
  for (const [title, config, subnets, wanted] of wrong) {
    it(`with ${title} name the key, the value and what is allowed`, () => {
      const found = problems(config, subnets);
      assert.equal(found.length, wanted.length, found.join('\n'));
      for (const [at, each] of wanted.entries()) {
        if (typeof each === 'string') assert.equal(found[at], each);
        else assert.match(found[at] ?? '', each);
      }
    });
  }

  it('without a configuration name the key, and the option for another prefix', () => {
    assert.throws(() => readFlannelKeys([], prefix, 'pods'), /there is no key \/coreos\.com\/network\/config/);
  });
});
