/** A RegisterRequest as the command it asks for: every field parsed and bounded here, once. */

import { parseCidr4, parseInterface4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { parseIp } from '#address/ip.js';
import { type Ipv4, readIpv4 } from '#address/ipv4.js';
import { RefusedError } from '#api/refusal.js';
import type { HeldLease, Register } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import { defaultOverlayMtu, overlaysMax } from '#ipam/limits.js';
import { parseHostname, parseNetworkConfig, parseNodeIp, parseSequence } from '#ipam/registration-fields.js';
import type { NetworkConfig } from '#ipam/view/full-agent.js';
import { parseBranchText, parseField, parseOverlayName, safeInteger } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';

/** All of a registration but what the leader judges. */
export type ParsedRegister = Omit<Register, 'heldUnconfirmed' | 'holders'>;

/** @throws RefusedError `invalid-argument`, naming the field */
export function parseRegister(request: sublet.v1.RegisterRequest): ParsedRegister {
  return {
    kind: 'register',
    agentId: parseField('agent_id', request.agentId, parseAgentId),
    instanceId: parseField('instance_id', request.instanceId, parseInstanceId),
    runId: request.runId === '' ? undefined : parseField('run_id', request.runId, parseRunId),
    sequence: parseField('sequence', request.sequence, parseSequence),
    nodeIp: parseField('node_ip', request.nodeIp, (text) => parseNodeIp(parseIp(text))),
    hostname: parseField('hostname', request.hostname, parseHostname),
    networkConfig: parseField('network_config', networkConfigOf(request.networkConfig ?? {}), parseNetworkConfig),
    takeover: request.takeover,
    held: request.held == null ? undefined : parseHeld(request.held),
  };
}

/** A setting that the request leaves out has its default. */
function networkConfigOf(config: sublet.v1.NetworkConfig.$Properties): NetworkConfig {
  return {
    allocateSubnet: config.allocateSubnet ?? true,
    mesosBridge: config.mesosBridge ?? true,
    dockerBridge: config.dockerBridge ?? true,
    enableIpv6: config.enableIpv6 ?? true,
    overlayMtu: config.overlayMtu ?? defaultOverlayMtu,
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
      overlay: parseOverlayName('held.subnets.overlay', overlay ?? ''),
      subnet: subnet ? parseField('held.subnets.subnet', subnet, parseCidr4) : undefined,
      subnet6: subnet6 ? parseField('held.subnets.subnet6', subnet6, parseCidr6) : undefined,
    })),
  };
}

/** As the lease spells it, 44.128.0.1/20, or the address alone. */
function parseVtepIp(text: string): Ipv4 {
  return readIpv4(text) ?? parseInterface4(text).address;
}
