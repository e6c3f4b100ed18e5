/**
 * An address or network of either family, for what may be both: a node's underlay address, a looked-up address.
 * The family is in the type of the value: IPv4 is a number, IPv6 a bigint.
 */
import { AddressError } from '#address/brand.js';
import { type Cidr4, contains4, covers4, formatCidr4, parseCidr4 } from '#address/cidr4.js';
import { type Cidr6, contains6, covers6, formatCidr6, parseCidr6 } from '#address/cidr6.js';
import { formatIpv4, type Ipv4, readIpv4 } from '#address/ipv4.js';
import { formatIpv6, type Ipv6, readIpv6 } from '#address/ipv6.js';

export type Ip = Ipv4 | Ipv6;
export type Cidr = Cidr4 | Cidr6;
export type Family = 4 | 6;

export function isIpv4(address: Ip): address is Ipv4 {
  return typeof address === 'number';
}

export function isCidr4(network: Cidr): network is Cidr4 {
  return typeof network.address === 'number';
}

export function familyOf(address: Ip): Family {
  return isIpv4(address) ? 4 : 6;
}

/** Reads an address of either family; throws `AddressError` for anything else. */
export function parseIp(text: string): Ip {
  const address = readIpv4(text) ?? readIpv6(text);
  if (address === undefined) {
    throw new AddressError(text, 'is not an IP address: one like 10.0.0.1 or fd00::1 is allowed');
  }
  return address;
}

export function formatIp(address: Ip): string {
  return isIpv4(address) ? formatIpv4(address) : formatIpv6(address);
}

/** Reads a network of either family, without host bits; throws `AddressError` for anything else. */
export function parseCidr(text: string): Cidr {
  return text.includes(':') ? parseCidr6(text) : parseCidr4(text);
}

export function formatCidr(network: Cidr): string {
  return isCidr4(network) ? formatCidr4(network) : formatCidr6(network);
}

/** Whether the address is in the network; false across families. */
export function containsIp(network: Cidr, address: Ip): boolean {
  if (isCidr4(network)) return isIpv4(address) && contains4(network, address);
  return !isIpv4(address) && contains6(network, address);
}

/** Whether `inner` lies wholly in `outer`; a network covers itself. False across families. */
export function coversCidr(outer: Cidr, inner: Cidr): boolean {
  if (isCidr4(outer)) return isCidr4(inner) && covers4(outer, inner);
  return !isCidr4(inner) && covers6(outer, inner);
}

/** Whether they have an address in common. False across families. */
export function overlapsCidr(a: Cidr, b: Cidr): boolean {
  return coversCidr(a, b) || coversCidr(b, a);
}
