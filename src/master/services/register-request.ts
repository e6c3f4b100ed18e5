/** A RegisterRequest as the command it asks for: every field parsed and bounded here, once. */

import { parseCidr4, parseInterface4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { parseIp } from '#address/ip.js';
import { type Ipv4, readIpv4 } from '#address/ipv4.js';
import { RefusedError } from '#api/refusal.js';
import type { HeldLease, Register } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import { defaultOverlayMtu, mtuMax, mtuMin, overlaysMax } from '#ipam/limits.js';
import type { NetworkConfig } from '#ipam/view/full-agent.js';
import { parseBranchText, parseField, safeInteger } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import { hostnameForm } from '#text/name-form.js';

/** All of a registration but what the leader judges. */
export type ParsedRegister = Omit<Register, 'heldUnconfirmed' | 'holders'>;

/** @throws RefusedError `invalid-argument`, naming the field */
export function parseRegister(request: sublet.v1.RegisterRequest): ParsedRegister {
  return {
    kind: 'register',
    agentId: parseField('agent_id', request.agentId, parseAgentId),
    instanceId: parseField('instance_id', request.instanceId, parseInstanceId),
    runId: request.runId === '' ? undefined : parseField('run_id', request.runId, parseRunId),
    sequence: safeInteger('sequence', request.sequence),
    nodeIp: parseField('node_ip', request.nodeIp, parseIp),
    hostname: parseHostname(request.hostname),
    networkConfig: parseNetworkConfig(request.networkConfig ?? {}),
    takeover: request.takeover,
    held: request.held == null ? undefined : parseHeld(request.held),
  };
}

function parseHostname(hostname: string): string {
  if (hostname.length > hostnameForm.lengthMax) {
    throw new RefusedError(
      'invalid-argument',
      `hostname "${hostname.slice(0, 32)}…" has ${hostname.length} characters: ${hostnameForm.lengthMax} at most are allowed`,
    );
  }
  // It is shown on terminals and in logs, where a control character could do harm.
  if (!hostnameForm.pattern.test(hostname)) {
    throw new RefusedError(
      'invalid-argument',
      `hostname ${JSON.stringify(hostname)} has characters that no host name has: ${hostnameForm.allowed} is allowed`,
    );
  }
  return hostname;
}

function parseNetworkConfig(config: sublet.v1.NetworkConfig.$Properties): NetworkConfig {
  const overlayMtu = config.overlayMtu ?? defaultOverlayMtu;
  if (overlayMtu < mtuMin || overlayMtu > mtuMax) {
    throw new RefusedError(
      'invalid-argument',
      `network_config.overlay_mtu is ${overlayMtu}: ${mtuMin} to ${mtuMax} is allowed`,
    );
  }
  return {
    allocateSubnet: config.allocateSubnet ?? true,
    mesosBridge: config.mesosBridge ?? true,
    dockerBridge: config.dockerBridge ?? true,
    enableIpv6: config.enableIpv6 ?? true,
    overlayMtu,
    split: config.split ?? true,
  };
}

function parseHeld(held: sublet.v1.HeldLease.$Properties): HeldLease {
  const subnets = held.subnets ?? [];
  if (subnets.length > overlaysMax) {
    throw new RefusedError(
      'invalid-argument',
      `held.subnets has ${subnets.length} entries: ${overlaysMax} at most are allowed`,
    );
  }
  safeInteger('held.epoch', held.epoch ?? 0);
  safeInteger('held.revision', held.revision ?? 0);
  parseBranchText(held.branch ?? '');
  return {
    vtepIp: held.vtepIp ? parseField('held.vtep_ip', held.vtepIp, parseVtepIp) : undefined,
    subnets: subnets.map(({ overlay, subnet, subnet6 }) => ({
      overlay: overlay ?? '',
      subnet: subnet ? parseField('held.subnets.subnet', subnet, parseCidr4) : undefined,
      subnet6: subnet6 ? parseField('held.subnets.subnet6', subnet6, parseCidr6) : undefined,
    })),
  };
}

/** As the lease spells it, 44.128.0.1/20, or the address alone. */
function parseVtepIp(text: string): Ipv4 {
  return readIpv4(text) ?? parseInterface4(text).address;
}
