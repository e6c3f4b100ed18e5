/**
 * The values that commands and records have in common, between their branded form and the one on disk. Reading checks
 * everything again: what does not fit is a damaged store or another program's data, never a valid state.
 */

import { AddressError } from '#address/brand.js';
import { type Cidr4, cidr4 } from '#address/cidr4.js';
import { type Cidr6, cidr6 } from '#address/cidr6.js';
import { type Cidr, type Ip, isCidr4, isIpv4 } from '#address/ip.js';
import { ipBytes } from '#address/ip-bytes.js';
import { type Ipv4, ipv4 } from '#address/ipv4.js';
import { type Ipv6, ipv6 } from '#address/ipv6.js';
import { mac, oui } from '#address/mac.js';
import { assertNever } from '#errors/invariant.js';
import { IdentityError, parseAgentId } from '#ipam/identity.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { FieldError, parseNodeIp } from '#ipam/registration-fields.js';
import type { ReservedFor } from '#ipam/space/usage.js';
import type { NetworkConfig, OverlayStatus } from '#ipam/view/full-agent.js';
import { sublet } from '#proto/sublet.js';

const store = sublet.store.v1;

/** Bytes that are no command or record of this plan. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

type Maybe<T> = T | null | undefined;

/**
 * Decodes bytes and makes a value of what is in them. Whatever is wrong with them becomes a `RecordError` that says
 * what was being read; errors that are not about the bytes pass.
 */
export function reading<Stored, T>(what: string, decode: () => Stored, convert: (stored: Stored) => T): T {
  let stored: Stored;
  try {
    stored = decode();
  } catch (error) {
    // protobufjs has no error type of its own: RangeError, TypeError and Error all mean bad bytes.
    throw unreadable(what, error);
  }
  try {
    return convert(stored);
  } catch (error) {
    const wrong = error instanceof AddressError || error instanceof IdentityError || error instanceof FieldError;
    if (wrong) throw unreadable(what, error);
    throw error;
  }
}

function unreadable(what: string, error: unknown): RecordError {
  return new RecordError(`${what} can't be read: ${error instanceof Error ? error.message : error}`, { cause: error });
}

/** The value, which must be there. */
export function present<T>(value: Maybe<T>, field: string): T {
  if (value === undefined || value === null) throw new RecordError(`${field} is missing`);
  return value;
}

/** The value or undefined. */
export function optional<T>(value: Maybe<T>): T | undefined {
  return value ?? undefined;
}

export function ipOf(bytes: Maybe<Uint8Array>): Ip {
  if (bytes?.length === 16) return ipv6Of(bytes);
  if (bytes?.length !== 4) throw new RecordError(`an address has ${bytes?.length ?? 0} bytes: 4 or 16`);
  return ipv4(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
}

/** A reservation's agent id or node address. */
export function toReservedFor({ agentId, nodeIp }: ReservedFor): { agentId: string; nodeIp: Uint8Array | null } {
  return { agentId: agentId ?? '', nodeIp: nodeIp === undefined ? null : ipBytes(nodeIp) };
}

export function reservedForIn({
  agentId,
  nodeIp,
}: Readonly<{ agentId?: Maybe<string>; nodeIp?: Maybe<Uint8Array> }>): ReservedFor {
  return nodeIp == null ? { agentId: parseAgentId(agentId ?? '') } : { nodeIp: parseNodeIp(ipOf(nodeIp)) };
}

export function ipv6Of(bytes: Uint8Array): Ipv6 {
  if (bytes.length !== 16) throw new RecordError(`an IPv6 address has ${bytes.length} bytes: 16`);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return ipv6((view.getBigUint64(0) << 64n) | view.getBigUint64(8));
}

export function ipv4Of(value: Maybe<number>): Ipv4 | undefined {
  return value === undefined || value === null ? undefined : ipv4(value);
}

export function toCidr(network: Cidr): sublet.store.v1.Cidr.$Properties {
  return { address: ipBytes(network.address), prefix: network.prefix };
}

export function toCidrMaybe(network: Cidr | undefined): sublet.store.v1.Cidr.$Properties | null {
  return network === undefined ? null : toCidr(network);
}

export function cidrOf(stored: Maybe<sublet.store.v1.Cidr.$Properties>): Cidr {
  const network = present(stored, 'subnet');
  const address = ipOf(network.address);
  return isIpv4(address) ? cidr4(address, network.prefix ?? 0) : cidr6(address, network.prefix ?? 0);
}

export function cidr4Of(stored: Maybe<sublet.store.v1.Cidr.$Properties>): Cidr4 | undefined {
  if (stored === undefined || stored === null) return undefined;
  const network = cidrOf(stored);
  if (!isCidr4(network)) throw new RecordError('an IPv4 network has an IPv6 address');
  return network;
}

export function cidr6Of(stored: Maybe<sublet.store.v1.Cidr.$Properties>): Cidr6 | undefined {
  if (stored === undefined || stored === null) return undefined;
  const network = cidrOf(stored);
  if (isCidr4(network)) throw new RecordError('an IPv6 network has an IPv4 address');
  return network;
}

export function toSettings(settings: NetworkSettings): sublet.store.v1.Settings.$Properties {
  return {
    vtepSubnet: toCidr(settings.vtepSubnet),
    vtepSubnet6: toCidrMaybe(settings.vtepSubnet6),
    vtepMacOui: settings.vtepMacOui,
    vtepMtu: settings.vtepMtu,
    vni: settings.vni,
    vtepName: settings.vtepName,
    vxlanPort: settings.vxlanPort,
    quarantineMs: settings.quarantineMs,
    reclaimMs: settings.reclaimMs ?? null,
  };
}

export function settingsOf(stored: Maybe<sublet.store.v1.Settings.$Properties>): NetworkSettings {
  const settings = present(stored, 'settings');
  return {
    vtepSubnet: present(cidr4Of(settings.vtepSubnet), 'vtep_subnet'),
    vtepSubnet6: cidr6Of(settings.vtepSubnet6),
    vtepMacOui: oui(mac(settings.vtepMacOui ?? 0)),
    vtepMtu: settings.vtepMtu ?? 0,
    vni: settings.vni ?? 0,
    vtepName: settings.vtepName ?? '',
    vxlanPort: settings.vxlanPort ?? 0,
    quarantineMs: settings.quarantineMs ?? 0,
    reclaimMs: optional(settings.reclaimMs),
  };
}

export function toOverlay(overlay: Overlay): sublet.store.v1.Overlay.$Properties {
  return {
    name: overlay.name,
    subnet: toCidrMaybe(overlay.v4?.subnet),
    prefix: overlay.v4?.prefix ?? null,
    subnet6: toCidrMaybe(overlay.v6?.subnet),
    prefix6: overlay.v6?.prefix ?? null,
    enabled: overlay.enabled,
    draining: overlay.draining ?? null,
  };
}

export function overlayOf(stored: Maybe<sublet.store.v1.Overlay.$Properties>): Overlay {
  const overlay = present(stored, 'overlay');
  const subnet = cidr4Of(overlay.subnet);
  const subnet6 = cidr6Of(overlay.subnet6);
  return {
    name: overlay.name ?? '',
    v4: subnet === undefined ? undefined : { subnet, prefix: overlay.prefix ?? 0 },
    v6: subnet6 === undefined ? undefined : { subnet: subnet6, prefix: overlay.prefix6 ?? 0 },
    enabled: overlay.enabled ?? false,
    ...(overlay.draining === true && { draining: true as const }),
  };
}

export function toNetworkConfig(config: NetworkConfig): sublet.store.v1.NetworkConfig.$Properties {
  // The names agree; the log must not carry what else the object may have.
  const { allocateSubnet, mesosBridge, dockerBridge, enableIpv6, overlayMtu, split } = config;
  return { allocateSubnet, mesosBridge, dockerBridge, enableIpv6, overlayMtu, unsplit: !split };
}

export function networkConfigOf(stored: Maybe<sublet.store.v1.NetworkConfig.$Properties>): NetworkConfig {
  const config = present(stored, 'network_config');
  return {
    allocateSubnet: config.allocateSubnet ?? false,
    mesosBridge: config.mesosBridge ?? false,
    dockerBridge: config.dockerBridge ?? false,
    enableIpv6: config.enableIpv6 ?? false,
    overlayMtu: config.overlayMtu ?? 0,
    split: config.unsplit !== true,
  };
}

export function toStatus(status: OverlayStatus): sublet.store.v1.OverlayStatus {
  switch (status) {
    case 'none':
      return store.OverlayStatus.OVERLAY_STATUS_UNSPECIFIED;
    case 'ok':
      return store.OverlayStatus.OVERLAY_STATUS_OK;
    case 'failed':
      return store.OverlayStatus.OVERLAY_STATUS_FAILED;
    case 'configuring':
      return store.OverlayStatus.OVERLAY_STATUS_CONFIGURING;
    case 'planned':
      return store.OverlayStatus.OVERLAY_STATUS_PLANNED;
    default:
      return assertNever(status);
  }
}

const statuses: readonly OverlayStatus[] = ['none', 'ok', 'failed', 'configuring', 'planned'];

export function overlayStatusOf(stored: Maybe<sublet.store.v1.OverlayStatus>): OverlayStatus {
  const status = statuses[stored ?? 0];
  if (status === undefined) throw new RecordError(`overlay status ${stored} is not known`);
  return status;
}
