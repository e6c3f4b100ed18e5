/** Small questions to addresses in text form, which is how the host's tools take and print them. */
import { firstHost4, last4, parseCidr4 } from '#address/cidr4.js';
import { firstHost6, last6, parseCidr6 } from '#address/cidr6.js';
import { formatIp } from '#address/ip.js';
import { ipv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';

export function isIpv6Text(text: string): boolean {
  return text.includes(':');
}

/** `44.128.0.1` of `44.128.0.1/20`. */
export function addressOf(cidr: string): string {
  const slash = cidr.indexOf('/');
  return slash < 0 ? cidr : cidr.slice(0, slash);
}

export function prefixOf(cidr: string): number {
  return Number(cidr.slice(cidr.indexOf('/') + 1));
}

/** A route's destination as `ip` prints it: a full-length prefix is left off. */
export function hostRoute(cidr: string): string {
  return prefixOf(cidr) === (isIpv6Text(cidr) ? 128 : 32) ? addressOf(cidr) : cidr;
}

/** The gateway of a bridge's range: its first host. Throws `AddressError` for what is not a network. */
export function firstAddress(cidr: string): string {
  return isIpv6Text(cidr) ? formatIp(firstHost6(parseCidr6(cidr))) : formatIp(firstHost4(parseCidr4(cidr)));
}

/** An address near the end of a subnet, which is no gateway's: those are the first of each half. */
export function addressBehind(subnet: string): string {
  if (isIpv6Text(subnet)) {
    const last = last6(parseCidr6(subnet));
    return formatIp(ipv6(last - 1n));
  }
  return formatIp(ipv4(last4(parseCidr4(subnet)) - 1));
}
