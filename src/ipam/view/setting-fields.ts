/** The settings of the network by the names that the configuration file has for them, as text that can be compared. */

import { formatCidr } from '#address/ip.js';
import { formatMac } from '#address/mac.js';
import type { NetworkSettings } from '#ipam/network.js';
import { formatDuration } from '#text/duration.js';

export type SettingField = {
  /** As in the file: `network.vtep_subnet`. */
  readonly name: string;
  readonly key: keyof NetworkSettings;
  readonly of: (settings: NetworkSettings) => string;
};

export const settingFields: readonly SettingField[] = [
  { name: 'network.vtep_subnet', key: 'vtepSubnet', of: ({ vtepSubnet }) => formatCidr(vtepSubnet) },
  {
    name: 'network.vtep_subnet6',
    key: 'vtepSubnet6',
    of: ({ vtepSubnet6 }) => (vtepSubnet6 === undefined ? 'none' : formatCidr(vtepSubnet6)),
  },
  { name: 'network.vtep_mac_oui', key: 'vtepMacOui', of: ({ vtepMacOui }) => formatMac(vtepMacOui) },
  { name: 'network.vtep_mtu', key: 'vtepMtu', of: ({ vtepMtu }) => String(vtepMtu) },
  { name: 'network.vni', key: 'vni', of: ({ vni }) => String(vni) },
  { name: 'network.vtep_name', key: 'vtepName', of: ({ vtepName }) => vtepName },
  { name: 'network.vxlan_port', key: 'vxlanPort', of: ({ vxlanPort }) => String(vxlanPort) },
  { name: 'lease.quarantine', key: 'quarantineMs', of: ({ quarantineMs }) => formatDuration(quarantineMs) },
  {
    name: 'lease.reclaim',
    key: 'reclaimMs',
    of: ({ reclaimMs }) => (reclaimMs === undefined ? 'never' : formatDuration(reclaimMs)),
  },
];
