/** What tests on real hosts need of the machine. */
import { cniPluginFolder } from '#cluster-test/host/cni-container.js';
import { command, type Requirement, root } from '#cluster-test/requirement.js';

/** Namespaces, VXLAN, firewall. */
export const hostTools: readonly Requirement[] = [
  root,
  ...['ip', 'bridge', 'nsenter', 'ipset', 'iptables', 'iptables-legacy', 'ping'].map(command),
];

export const cniTools: readonly Requirement[] = [
  ...hostTools,
  ...['bridge', 'host-local', 'portmap'].map((plugin) => command(`${cniPluginFolder}/${plugin}`)),
];

export const dockerTools: readonly Requirement[] = [...hostTools, command('dockerd'), command('/bin/busybox')];
