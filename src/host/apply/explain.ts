/** The text of a failed step for operators: the tool's own words, and what to do. */
import { dirname } from 'node:path';
import type { Step } from '#host/diff/host-step.js';
import { lacksModule, moduleRemedy, modulesOf } from '#host/tools/kernel-modules.js';
import { isIpv6Text } from '#host/tools/text.js';
import { commandOf } from '#host/tools/tool-command.js';

/** One line: what was tried, what the tool said, what to do where that is known. */
export function explain(step: Step, said: string): string {
  const words = said.trim().replace(/\s*\n\s*/g, '; ');
  const todo = remedy(step, words);
  return `"${attempted(step)}" failed: ${words}${todo === undefined ? '' : ` — ${todo}`}`;
}

function attempted(step: Step): string {
  if (step.kind === 'cni-write') return `write ${step.dir}/${step.name}`;
  if (step.kind === 'chain-set') return `fill the chain ${step.chain}`;
  return commandOf(step);
}

function remedy(step: Step, said: string): string | undefined {
  // Not for want of rights: then the kernel says "Operation not permitted".
  if (step.kind === 'address' && isIpv6Text(step.cidr) && /IPv6 is disabled|Permission denied/i.test(said)) {
    return `IPv6 is off on ${step.device}: "sysctl -w net.ipv6.conf.${step.device}.disable_ipv6=0", and look for disable_ipv6 in /etc/sysctl.d`;
  }
  if (/Operation not permitted|Permission denied|EPERM/i.test(said) && step.part !== 'cni') return withoutRoot;
  if (step.kind === 'device-create') return deviceRemedy(step.device, said);
  if (step.kind === 'link-set' && step.set.kind === 'up' && /Address already in use/i.test(said)) return portRemedy;
  if (step.kind === 'route' && /File exists/i.test(said)) {
    return `there is a route to ${step.subnet} that is not Sublet's (see "ip route show ${step.subnet}"): remove it`;
  }
  if (step.kind === 'filter-rule' || step.kind === 'chain-set') return firewallRemedy(step, said);
  if (step.kind === 'set-create' && lacksModule.test(said)) return moduleRemedy(modulesOf.ipset);
  if (step.kind === 'cni-write') return folderRemedy(step.dir, said);
  if (step.kind === 'docker-create') return dockerRemedy(said);
  if (step.kind === 'sysctl' && /EROFS/.test(said)) return `/proc/sys is read-only here: ${readOnlySysctlRemedy}`;
  return undefined;
}

export const readOnlySysctlRemedy =
  'run the agent on the host, or its container with --security-opt systempaths=unconfined';
const withoutRoot = 'run the agent as root, or with CAP_NET_ADMIN and CAP_NET_RAW';
const portRemedy = `the VXLAN's UDP port is taken (see "ss -ulnp"): free it, or give the network another vxlan_port`;

function deviceRemedy({ vni, port }: { vni: number; port: number }, said: string): string | undefined {
  if (/File exists|already exists/i.test(said)) {
    return `another VXLAN device has id ${vni} on port ${port} (see "ip -d link show type vxlan"): remove it, or give the network another vni`;
  }
  if (/Unknown device type|not supported/i.test(said)) {
    return 'this kernel has no VXLAN: load the module ("modprobe vxlan")';
  }
  return undefined;
}

function firewallRemedy(step: Extract<Step, { kind: 'filter-rule' | 'chain-set' }>, said: string): string | undefined {
  if (/xtables lock/i.test(said)) return 'another program holds the iptables lock; it is tried again';
  if (!lacksModule.test(said)) return undefined;
  const rule = step.kind === 'filter-rule' ? step.rule : step.rules.join('\n');
  const needs = [
    ...(step.table === 'raw' ? modulesOf.guard : []),
    ...(rule.includes('--comment') ? modulesOf.comment : []),
    ...(rule.includes('--match-set') ? modulesOf.set : []),
    ...(rule.includes('MASQUERADE') ? modulesOf.masquerade : []),
  ];
  return moduleRemedy(needs.length === 0 ? ['nft_compat'] : [...new Set(needs)]);
}

function folderRemedy(dir: string, said: string): string | undefined {
  if (/EROFS/.test(said)) {
    return `the file system of ${dir} is read-only here: mount it writable, allow it to the unit in a drop-in ("ReadWritePaths=-${dirname(dir)}"), or give another cni_dir`;
  }
  if (/EACCES|EPERM/.test(said)) return `${dir} may not be written: run the agent as root, or give another cni_dir`;
  if (/ENOSPC/.test(said)) return `the disk of ${dir} is full: free space`;
  return `check cni_dir ${dir}`;
}

function dockerRemedy(said: string): string | undefined {
  if (/overlaps|conflicts with network/i.test(said)) {
    return 'another Docker network has these addresses (see "docker network ls" and "docker network inspect"): remove it';
  }
  return undefined;
}
