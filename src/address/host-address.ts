/** Which addresses can be the underlay address of a host: one that other hosts reach, and that is this host's alone. */
import { type Ip, isIpv4, parseIp } from '#address/ip.js';

const loopbackUse = 'a loopback address';

/** What an address is, if other hosts can't reach one host by it; undefined: nothing is against it. */
export function unreachableUse(address: Ip): string | undefined {
  return isIpv4(address) ? unreachable4(address) : unreachable6(address);
}

function unreachable4(address: number): string | undefined {
  if (address >>> 24 === 0) return 'unspecified';
  if (address >>> 24 === 127) return loopbackUse;
  if (address >>> 16 === 0xa9fe) return 'a link-local address';
  if (address >>> 28 === 14) return 'a multicast address';
  return address === 0xffffffff ? 'the broadcast address' : undefined;
}

function unreachable6(address: bigint): string | undefined {
  if (address === 0n) return 'unspecified';
  if (address === 1n) return loopbackUse;
  if (address >> 118n === 0x3fan) return 'a link-local address';
  if (address >> 120n === 0xffn) return 'a multicast address';
  // The same host could otherwise be registered under two spellings of its address.
  if (address >> 32n === 0xffffn || address >> 32n === 0n) return 'an IPv4 address in IPv6 form';
  return undefined;
}

/** The end of an error about such an address: why it is refused, and the way out. */
export const unreachableRemedy = 'other hosts can’t reach this one by it; give an address that they reach';

/**
 * Whether only this machine can reach `host`, a name or an address, an IPv6 one with or without brackets: 127.0.0.0/8, ::1, or
 * the name `localhost` (RFC 6761 §6.3).
 */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  try {
    return unreachableUse(parseIp(host.replace(/^\[(.*)\]$/, '$1'))) === loopbackUse;
  } catch {
    return false;
  }
}
