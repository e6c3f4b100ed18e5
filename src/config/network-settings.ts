/** The settings of the network, as flags, help and the reference have them. */
import type { Setting } from '#config/schema/setting.js';

export const networkSettings: readonly Setting[] = [
  {
    key: 'network.vtep_subnet',
    flag: '--vtep-subnet',
    takes: 'CIDR',
    as: 'text',
    about: 'IPv4 network of the tunnel endpoints; its size bounds the number of agents',
    default: '44.128.0.0/20',
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
    default: '70:b3:d5:00:00:00',
  },
  {
    key: 'network.vtep_mtu',
    flag: '--vtep-mtu',
    takes: 'BYTES',
    as: 'number',
    about: 'MTU of the tunnel endpoints',
    default: 'the underlay’s less 50 (IPv4) or 70 (IPv6)',
  },
  {
    key: 'network.vtep_name',
    flag: '--vtep-name',
    takes: 'NAME',
    as: 'text',
    about: 'name of the tunnel endpoints’ device on each host, 1 to 15 characters of [A-Za-z0-9._-]',
    default: 'vtep1024',
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
      'an overlay, as name=dcos,subnet=9.0.0.0/8,prefix=24 (or subnet6=,prefix6=; enabled=false allocates nothing); in a file a list of objects with these keys',
    default: 'none',
  },
];
