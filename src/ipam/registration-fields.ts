/**
 * What an agent says of itself, in the form that the plan takes it. Each value is parsed once, where it enters: from a
 * request, or from the log. Commands carry the parsed values, and what applies them checks them against the plan alone.
 */
import type { Brand } from '#address/brand.js';
import { unreachableRemedy, unreachableUse } from '#address/host-address.js';
import { formatIp, type Ip } from '#address/ip.js';
import { mtuMax, mtuMin, mtuMin6, statusErrorLengthMax } from '#ipam/limits.js';
import type { NetworkConfig } from '#ipam/view/full-agent.js';
import { hostnameForm } from '#text/name-form.js';

/** What the agent's host is called: up to 253 characters of printable ASCII without spaces. */
export type Hostname = Brand<string, 'Hostname'>;

/** Rises with each changed request of an instance: 0 to 2^53 − 1. */
export type Sequence = Brand<number, 'Sequence'>;

/** Settings that go together. */
export type CheckedNetworkConfig = Brand<NetworkConfig, 'CheckedNetworkConfig'>;

/** At most 1024 characters. */
export type StatusError = Brand<string, 'StatusError'>;

declare const reachable: unique symbol;

/** An address that can be the underlay address of a host: other hosts reach it, and it is this host's alone. */
export type NodeIp = Ip & { readonly [reachable]: true };

/** A value that is not allowed in its field. The message names the field, the value and the limit. */
export class FieldError extends Error {
  override readonly name = 'FieldError';
  /** As requests spell it: `network_config.overlay_mtu`. */
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** @throws FieldError */
export function parseHostname(hostname: string): Hostname {
  const { lengthMax, pattern, allowed } = hostnameForm;
  if (hostname.length > lengthMax) {
    const shown = `hostname "${hostname.slice(0, 32)}…" has ${hostname.length} characters`;
    throw new FieldError('hostname', `${shown}: ${lengthMax} at most are allowed`);
  }
  // It is shown on terminals and in logs, where a control character could do harm.
  if (!pattern.test(hostname)) {
    const shown = `hostname ${JSON.stringify(hostname)} has characters that no host name has`;
    throw new FieldError('hostname', `${shown}: ${allowed} is allowed`);
  }
  return hostname as Hostname; // Brand constructor: checked.
}

/** @throws FieldError */
export function parseSequence(sequence: number): Sequence {
  if (Number.isSafeInteger(sequence) && sequence >= 0) return sequence as Sequence; // Brand constructor: checked.
  throw new FieldError('sequence', `sequence is beyond ${Number.MAX_SAFE_INTEGER}, the largest number allowed`);
}

/** @throws FieldError */
export function parseNodeIp(nodeIp: Ip): NodeIp {
  const use = unreachableUse(nodeIp);
  if (use === undefined) return nodeIp as NodeIp; // Brand constructor: checked.
  throw new FieldError('node_ip', `node_ip ${formatIp(nodeIp)} is ${use}: ${unreachableRemedy} (--node-ip)`);
}

/** @throws FieldError */
export function parseNetworkConfig(config: NetworkConfig): CheckedNetworkConfig {
  const { overlayMtu, enableIpv6, mesosBridge, dockerBridge, split } = config;
  const least = enableIpv6 ? mtuMin6 : mtuMin;
  if (!Number.isInteger(overlayMtu) || overlayMtu < least || overlayMtu > mtuMax) {
    const field = 'network_config.overlay_mtu';
    const allowed = `${least} to ${mtuMax} is allowed${enableIpv6 ? ' with IPv6' : ''}`;
    throw new FieldError(field, `${field} is ${overlayMtu}: ${allowed}`);
  }
  if (!split && mesosBridge && dockerBridge) {
    const field = 'network_config.split';
    const allowed = 'it is allowed with one of mesos_bridge and docker_bridge, and both are true';
    throw new FieldError(field, `${field} is false: ${allowed}`);
  }
  return config as CheckedNetworkConfig; // Brand constructor: checked.
}

/** @throws FieldError */
export function parseStatusError(error: string): StatusError {
  if (error.length <= statusErrorLengthMax) return error as StatusError; // Brand constructor: checked.
  const field = 'overlays.state.error';
  throw new FieldError(field, `${field} has ${error.length} characters: ${statusErrorLengthMax} at most are allowed`);
}

/** The text, or the beginning of one that is too long: what matters is there, and it must not get lost. */
export function clippedStatusError(error: string): StatusError {
  const clipped = error.length <= statusErrorLengthMax ? error : `${error.slice(0, statusErrorLengthMax - 1)}…`;
  return clipped as StatusError; // Brand constructor: cut to its length.
}
