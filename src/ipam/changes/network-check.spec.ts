import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { dcos, dcosSettings, overlay } from '#ipam/testing/plan-under-test.js';

type Case = readonly [string, Partial<NetworkSettings>, readonly Overlay[], string, RegExp];

const seven = parseCidr4('44.0.0.0/7');
const six = parseCidr6('fd01:a::/64');

const refused: readonly Case[] = [
  [
    'a VTEP subnet wider than /8',
    { vtepSubnet: seven },
    [],
    'network.vtep_subnet',
    /44\.0\.0\.0\/7 has a prefix of 7: prefixes from 8 to 28/,
  ],
  [
    'a VTEP subnet without room',
    { vtepSubnet: parseCidr4('44.128.0.0/29') },
    [],
    'network.vtep_subnet',
    /prefixes from 8 to 28/,
  ],
  [
    'an IPv6 VTEP subnet smaller than the IPv4 one',
    { vtepSubnet6: parseCidr6('fd01:a::/117') },
    [],
    'network.vtep_subnet6',
    /prefix of at most 116/,
  ],
  [
    'a VTEP subnet in loopback',
    { vtepSubnet: parseCidr4('127.0.0.0/8') },
    [],
    'network.vtep_subnet',
    /overlaps 127\.0\.0\.0\/8 \(loopback\)/,
  ],
  ['a link-local IPv6 VTEP subnet', { vtepSubnet6: parseCidr6('fe80::/64') }, [], 'network.vtep_subnet6', /link-local/],
  [
    'an MTU that is too small',
    { vtepMtu: 500, vtepSubnet6: undefined },
    [],
    'network.vtep_mtu',
    /500: 0 .* or 576 to 65535/,
  ],
  ['an MTU that is too small for IPv6', { vtepMtu: 1279, vtepSubnet6: six }, [], 'network.vtep_mtu', /1280 to 65535/],
  ['a broken MTU', { vtepMtu: 1500.5 }, [], 'network.vtep_mtu', /1500\.5/],
  ['VNI 0', { vni: 0 }, [], 'network.vni', /0: 1 to 16777215/],
  ['a VNI of 25 bits', { vni: 0x1000000 }, [], 'network.vni', /16777216: 1 to 16777215/],
  ['port 0', { vxlanPort: 0 }, [], 'network.vxlan_port', /0: 1 to 65535/],
  ['a device name of 16 characters', { vtepName: 'abcdefghijklmnop' }, [], 'network.vtep_name', /1 to 15 characters/],
  ['a device name with a slash', { vtepName: 'vtep/1' }, [], 'network.vtep_name', /"vtep\/1" is not a device name/],
  ['a device name that Linux has a meaning for', { vtepName: 'all' }, [], 'network.vtep_name', /reserved by Linux/],
  ["a device name like a bridge's", { vtepName: 'm-dcos' }, [], 'network.vtep_name', /m- and d- are not allowed/],
  ['a negative quarantine', { quarantineMs: -1 }, [], 'lease.quarantine', /-1ms: 0s to/],
  ['a TTL shorter than keep-alives', { reclaimMs: 10_000 }, [], 'lease.reclaim', /10s: "never" or 30s/],
  [
    'a short quarantine under a TTL',
    { reclaimMs: 60_000, quarantineMs: 899_999 },
    [],
    'lease.quarantine',
    /at least 15m/,
  ],
  ['an empty name', {}, [{ ...dcos, name: '' }], 'network.overlays[0].name', /empty: 1 to 13 characters/],
  [
    'a name of 14 characters',
    {},
    [{ ...dcos, name: 'abcdefghijklmn' }],
    'network.overlays[0].name',
    /has 14 characters: 1 to 13/,
  ],
  ['a name in upper case', {}, [{ ...dcos, name: 'DCOS' }], 'network.overlays[0].name', /other characters/],
  ['a name with a hyphen first', {}, [{ ...dcos, name: '-x' }], 'network.overlays[0].name', /begins with a hyphen/],
  [
    'a reserved name',
    {},
    [{ ...dcos, name: 'bridge' }],
    'network.overlays[0].name',
    /reserved by a container engine: not host, bridge, default, none, /,
  ],
  ['a name twice', {}, [dcos, overlay('dcos', '10.0.0.0/8', 24)], 'network.overlays[1].name', /name of another/],
  [
    'an overlay without a subnet',
    {},
    [{ ...dcos, v4: undefined }],
    'network.overlays[0].subnet',
    /neither subnet nor subnet6/,
  ],
  [
    'an IPv6 overlay in a network whose tunnel has no IPv6',
    { vtepSubnet6: undefined },
    [dcos, overlay('six', 'fd01:b::/64', 80)],
    'network.overlays[1].subnet6',
    /overlay "six" has a subnet6 and the network has no vtep_subnet6.*sublet network grow --vtep-subnet6 CIDR/,
  ],
  [
    'pieces as large as the subnet',
    {},
    [overlay('x', '9.0.0.0/24', 24)],
    'network.overlays[0].prefix',
    /24 can't cut 9\.0\.0\.0\/24.*25 to 28/,
  ],
  [
    'pieces that hold no containers',
    {},
    [overlay('x', '9.0.0.0/24', 29)],
    'network.overlays[0].prefix',
    /29 can't cut.*25 to 28/,
  ],
  [
    'a subnet too small for pieces',
    {},
    [overlay('x', '9.0.0.0/28', 29)],
    'network.overlays[0].prefix',
    /no room for pieces up to 28/,
  ],
  [
    'IPv6 pieces that hold no containers',
    {},
    [overlay('x', 'fd01:b::/64', 127)],
    'network.overlays[0].prefix6',
    /65 to 126/,
  ],
  [
    'IPv6 pieces as large as the subnet',
    {},
    [overlay('x', 'fd01:b::/64', 64)],
    'network.overlays[0].prefix6',
    /64 can't cut/,
  ],
  [
    'overlays that overlap',
    {},
    [dcos, overlay('x', '9.1.0.0/16', 24)],
    'network.overlays[1].subnet',
    /9\.1\.0\.0\/16 of overlay "x" overlaps 9\.0\.0\.0\/8 of overlay "dcos"/,
  ],
  [
    'IPv6 overlays that overlap',
    {},
    [overlay('x', 'fd01:b::/64', 80), overlay('y', 'fd01:b::/48', 80)],
    'network.overlays[1].subnet6',
    /overlaps/,
  ],
  [
    'an overlay over the VTEP subnet',
    {},
    [overlay('x', '44.0.0.0/8', 24)],
    'network.overlays[0].subnet',
    /overlaps 44\.128\.0\.0\/20 of network\.vtep_subnet/,
  ],
  [
    'an overlay over the IPv6 VTEP subnet',
    {},
    [overlay('x', 'fd01::/16', 80)],
    'network.overlays[0].subnet6',
    /of network\.vtep_subnet6/,
  ],
  [
    'an overlay of multicast addresses',
    {},
    [overlay('x', '224.0.0.0/8', 24)],
    'network.overlays[0].subnet',
    /multicast/,
  ],
  [
    'an IPv6 overlay of multicast addresses',
    {},
    [overlay('x', 'ff00::/64', 80)],
    'network.overlays[0].subnet6',
    /multicast/,
  ],
  [
    'too many overlays',
    {},
    Array.from({ length: 129 }, (_, n) => overlay(`o${n}`, `10.${n}.0.0/16`, 24)),
    'network.overlays',
    /129 overlays: at most 128/,
  ],
];

describe('a network is refused', () => {
  for (const [what, settings, overlays, field, message] of refused) {
    it(`for ${what}`, () => {
      const refusal = checkNetwork({ ...dcosSettings, ...settings }, overlays);
      assert.equal(refusal?.code, 'invalid-argument');
      assert.equal(refusal?.field, field);
      assert.match(refusal?.message ?? '', message);
      assert.ok(refusal?.message.startsWith(`${field}: `));
    });
  }
});

describe('a network is accepted', () => {
  it('as in the DC/OS files', () => {
    assert.equal(checkNetwork(dcosSettings, [dcos, overlay('dcos6', 'fd01:b::/64', 80)]), undefined);
  });

  it('with an IPv6 overlay that is disabled until the tunnel has IPv6', () => {
    const six = overlay('six', 'fd01:b::/64', 80);
    const settings = { ...dcosSettings, vtepSubnet6: undefined };
    assert.equal(checkNetwork(settings, [{ ...six, enabled: false }]), undefined);
    assert.notEqual(checkNetwork(settings, [{ ...six, enabled: true }]), undefined, 'the control');
  });

  it('at its limits', () => {
    const overlays = [overlay('a-1', '9.0.0.0/27', 28), overlay('abcdefghijklm', 'fd01:b::/125', 126, '10.0.0.0/8', 9)];
    const settings = {
      vtepSubnet: parseCidr4('44.0.0.0/8'),
      vtepSubnet6: parseCidr6('fd01:a::/104'),
      vni: 0xffffff,
      vtepMtu: 1280,
    };
    assert.equal(checkNetwork({ ...dcosSettings, ...settings }, overlays), undefined);
  });
});
