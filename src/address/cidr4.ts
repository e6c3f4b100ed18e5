/**
 * IPv4 networks (`9.0.0.0/24`, no host bits) and interface addresses (`44.128.0.1/20`), and the arithmetic of cutting
 * networks into equal pieces. A `Cidr4` can be used wherever an `Interface4` is wanted, not the other way round.
 */
import { AddressError, type Brand } from '#address/brand.js';
import { formatIpv4, type Ipv4, ipv4, readIpv4 } from '#address/ipv4.js';

/** An address with the prefix length of its network; host bits may be set. */
export type Interface4 = { readonly address: Ipv4; readonly prefix: number };

/** A network: no bit beyond `prefix` (0 … 32) is set in `address`. */
export type Cidr4 = Brand<Interface4, 'Cidr4'>;

/** The network of this address and prefix; throws `AddressError` for host bits or a prefix outside 0 … 32. */
export function cidr4(address: Ipv4, prefix: number): Cidr4 {
  if (!isPrefix(prefix)) throw badPrefix(`${formatIpv4(address)}/${prefix}`, prefix);
  const network = networkAddress(address, prefix);
  if (network !== address) {
    const given = `${formatIpv4(address)}/${prefix}`;
    throw new AddressError(given, `has host bits: ${formatIpv4(network)}/${prefix} is the network`);
  }
  return { address, prefix } as Cidr4; // Brand constructor: checked.
}

/** Reads `9.0.0.0/8`; throws `AddressError` for host bits and for anything that is not a network. */
export function parseCidr4(text: string): Cidr4 {
  const { address, prefix } = parseInterface4(text);
  return cidr4(address, prefix);
}

/** Reads `44.128.0.1/20`, host bits allowed; throws `AddressError` for anything else. */
export function parseInterface4(text: string): Interface4 {
  const match = /^([^/]*)\/(\d{1,3})$/.exec(text);
  const address = match === null ? undefined : readIpv4(match[1] ?? '');
  const digits = match?.[2] ?? '';
  if (address === undefined || (digits.length > 1 && digits.startsWith('0'))) {
    throw new AddressError(
      text,
      'is not an IPv4 network: an address, a slash and a prefix from 0 to 32, like 9.0.0.0/8',
    );
  }
  const prefix = Number(digits);
  if (!isPrefix(prefix)) throw badPrefix(text, prefix);
  return { address, prefix };
}

function isPrefix(prefix: number): boolean {
  return Number.isInteger(prefix) && prefix >= 0 && prefix <= 32;
}

function badPrefix(text: string, prefix: number): AddressError {
  return new AddressError(text, `has a prefix of ${prefix}: 0 to 32 is allowed`);
}

function networkAddress(address: Ipv4, prefix: number): Ipv4 {
  return ipv4(prefix === 0 ? 0 : (address & (-1 << (32 - prefix))) >>> 0);
}

/** `9.0.0.0/24`, `44.128.0.1/20`. */
export function formatCidr4({ address, prefix }: Interface4): string {
  return `${formatIpv4(address)}/${prefix}`;
}

/** The network that an interface address is in. */
export function networkOf4({ address, prefix }: Interface4): Cidr4 {
  return cidr4(networkAddress(address, prefix), prefix);
}

/** How many addresses the network has: 1 … 2^32. */
export function size4({ prefix }: Cidr4): number {
  return 2 ** (32 - prefix);
}

/** The highest address: the broadcast address of a subnet. */
export function last4(network: Cidr4): Ipv4 {
  return ipv4(network.address + size4(network) - 1);
}

export function contains4(network: Cidr4, address: Ipv4): boolean {
  return address >= network.address && address <= last4(network);
}

/** Whether `inner` lies wholly in `outer`; a network covers itself. */
export function covers4(outer: Cidr4, inner: Cidr4): boolean {
  return outer.prefix <= inner.prefix && contains4(outer, inner.address);
}

export function overlaps4(a: Cidr4, b: Cidr4): boolean {
  return covers4(a, b) || covers4(b, a);
}

export function equals4(a: Interface4, b: Interface4): boolean {
  return a.address === b.address && a.prefix === b.prefix;
}

/** The address at `offset` from the network's own; throws `AddressError` when that is outside. */
export function addressAt4(network: Cidr4, offset: number): Ipv4 {
  if (!Number.isInteger(offset) || offset < 0 || offset >= size4(network)) {
    throw new AddressError(formatCidr4(network), `has no address at offset ${offset}: 0 to ${size4(network) - 1}`);
  }
  return ipv4(network.address + offset);
}

/** How far the address is from the network's own; throws `AddressError` when it is outside. */
export function offsetOf4(network: Cidr4, address: Ipv4): number {
  if (!contains4(network, address)) {
    throw new AddressError(formatIpv4(address), `is not in ${formatCidr4(network)}`);
  }
  return address - network.address;
}

/** The gateway of a subnet: the address after the network's own. */
export function firstHost4(network: Cidr4): Ipv4 {
  return addressAt4(network, 1);
}

/** Lower and upper half; throws `AddressError` for a single address. */
export function halves4(network: Cidr4): readonly [Cidr4, Cidr4] {
  return [subnetAt4(network, network.prefix + 1, 0), subnetAt4(network, network.prefix + 1, 1)];
}

/** How many pieces of `prefix` the network has; 0 when the pieces would be larger than it. */
export function subnetCount4(network: Cidr4, prefix: number): number {
  return prefix < network.prefix ? 0 : 2 ** (prefix - network.prefix);
}

/** The `n`th piece (from 0) of `prefix`; throws `AddressError` when there is none. */
export function subnetAt4(network: Cidr4, prefix: number, n: number): Cidr4 {
  if (!isPrefix(prefix)) throw badPrefix(formatCidr4(network), prefix);
  const count = subnetCount4(network, prefix);
  if (!Number.isInteger(n) || n < 0 || n >= count) {
    throw new AddressError(formatCidr4(network), `has no subnet ${n} of prefix ${prefix}: it has ${count}`);
  }
  return cidr4(ipv4(network.address + n * 2 ** (32 - prefix)), prefix);
}
