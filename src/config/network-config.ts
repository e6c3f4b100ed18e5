/**
 * The `network` of a master's configuration: the address plan that a new cluster begins with. Here it is read for its
 * form, value by value; whether the values make a plan together is for `ipam` to say.
 */
import type { z } from 'zod';
import { formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, parseCidr6 } from '#address/cidr6.js';
import { formatMac, parseOui } from '#address/mac.js';
import { address, matching, whole, yesNo } from '#config/reading.js';
import { list, section } from '#config/section.js';
import type { Setting } from '#config/setting.js';

/** Addresses are canonical text. */
export type NetworkConfig = {
  readonly vtepSubnet: string;
  readonly vtepSubnet6: string | undefined;
  readonly vtepMacOui: string;
  /** Undefined: the underlay's MTU less the encapsulation. */
  readonly vtepMtu: number | undefined;
  readonly vni: number;
  readonly vxlanPort: number;
  readonly overlays: readonly OverlayConfig[];
};

/** At least one of `subnet` and `subnet6` is there, each with its prefix. */
export type OverlayConfig = {
  readonly name: string;
  readonly subnet: string | undefined;
  readonly prefix: number | undefined;
  readonly subnet6: string | undefined;
  readonly prefix6: number | undefined;
  readonly enabled: boolean;
};

/** What a cluster begins with that is not told: DC/OS's tunnel addresses, and no overlay. */
export const defaultNetwork: NetworkConfig = {
  vtepSubnet: '44.128.0.0/20',
  vtepSubnet6: undefined,
  vtepMacOui: '70:b3:d5:00:00:00',
  vtepMtu: undefined,
  vni: 1024,
  vxlanPort: 64_000,
  overlays: [],
};

export const overlaysMax = 256;

const subnet4 = address(parseCidr4, formatCidr4, '9.0.0.0/8');
const subnet6 = address(parseCidr6, formatCidr6, 'fd01:b::/64');

const overlay = section({
  name: matching(/^[a-z0-9-]{1,13}$/, '1 to 13 characters of [a-z0-9-]'),
  subnet: subnet4.optional(),
  prefix: whole(0, 32, 'bits').optional(),
  subnet6: subnet6.optional(),
  prefix6: whole(0, 128, 'bits').optional(),
  enabled: yesNo.optional(),
});

export const network = section({
  vtep_subnet: subnet4.optional(),
  vtep_subnet6: subnet6.optional(),
  vtep_mac_oui: address(parseOui, formatMac, '70:b3:d5:00:00:00').optional(),
  vtep_mtu: whole(68, 65_535, 'bytes').optional(),
  vni: whole(1, 16_777_215).optional(),
  vxlan_port: whole(1, 65_535).optional(),
  overlays: list(overlay, overlaysMax).optional(),
}).transform(
  (given): NetworkConfig => ({
    vtepSubnet: given.vtep_subnet ?? defaultNetwork.vtepSubnet,
    vtepSubnet6: given.vtep_subnet6,
    vtepMacOui: given.vtep_mac_oui ?? defaultNetwork.vtepMacOui,
    vtepMtu: given.vtep_mtu,
    vni: given.vni ?? defaultNetwork.vni,
    vxlanPort: given.vxlan_port ?? defaultNetwork.vxlanPort,
    overlays: (given.overlays ?? []).map((each) => ({ ...pick(each), enabled: each.enabled ?? true })),
  }),
);

function pick({ name, subnet, prefix, subnet6, prefix6 }: z.infer<typeof overlay>): Omit<OverlayConfig, 'enabled'> {
  return { name, subnet, prefix, subnet6, prefix6 };
}

export const networkSettings: readonly Setting[] = [
  {
    key: 'network.vtep_subnet',
    flag: '--vtep-subnet',
    takes: 'CIDR',
    as: 'text',
    about: 'IPv4 network of the tunnel endpoints; its size bounds the number of agents',
    default: defaultNetwork.vtepSubnet,
  },
  {
    key: 'network.vtep_subnet6',
    flag: '--vtep-subnet6',
    takes: 'CIDR',
    as: 'text',
    about: 'IPv6 network of the tunnel endpoints; without it they have no IPv6 address',
  },
  {
    key: 'network.vtep_mac_oui',
    flag: '--vtep-mac-oui',
    takes: 'MAC',
    as: 'text',
    about: 'first three bytes of the tunnel endpoints’ MAC addresses; the low three are zero',
    default: defaultNetwork.vtepMacOui,
  },
  {
    key: 'network.vtep_mtu',
    flag: '--vtep-mtu',
    takes: 'BYTES',
    as: 'number',
    about: 'MTU of the tunnel endpoints',
    default: 'the underlay’s less 50 (IPv4) or 70 (IPv6)',
  },
  { key: 'network.vni', flag: '--vni', takes: 'N', as: 'number', about: 'VXLAN network identifier', default: '1024' },
  {
    key: 'network.vxlan_port',
    flag: '--vxlan-port',
    takes: 'PORT',
    as: 'number',
    about: 'UDP port of the VXLAN',
    default: '64000',
  },
  {
    key: 'network.overlays',
    flag: '--overlay',
    takes: 'NAME=VALUE,…',
    as: 'overlay',
    repeated: true,
    about:
      'an overlay, as name=dcos,subnet=9.0.0.0/8,prefix=24 (or subnet6=,prefix6=; enabled=false lets nothing); in a file a list of objects with these keys',
    default: 'none',
  },
];
