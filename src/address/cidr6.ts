/**
 * IPv6 networks (`fd01:b::/64`, no host bits) and interface addresses (`fd01:a::1/64`), and the arithmetic of cutting
 * networks into equal pieces. A `Cidr6` can be used wherever an `Interface6` is wanted, not the other way round.
 * Sizes and offsets are bigints.
 */
import { AddressError, type Brand } from '#address/brand.js';
import { formatIpv6, type Ipv6, ipv6, readIpv6 } from '#address/ipv6.js';

/** An address with the prefix length of its network; host bits may be set. */
export type Interface6 = { readonly address: Ipv6; readonly prefix: number };

/** A network: no bit beyond `prefix` (0 … 128) is set in `address`. */
export type Cidr6 = Brand<Interface6, 'Cidr6'>;

/** The network of this address and prefix; throws `AddressError` for host bits or a prefix outside 0 … 128. */
export function cidr6(address: Ipv6, prefix: number): Cidr6 {
  if (!isPrefix(prefix)) throw badPrefix(`${formatIpv6(address)}/${prefix}`, prefix);
  const network = networkAddress(address, prefix);
  if (network !== address) {
    const given = `${formatIpv6(address)}/${prefix}`;
    throw new AddressError(given, `has host bits: ${formatIpv6(network)}/${prefix} is the network`);
  }
  return { address, prefix } as Cidr6; // Brand constructor: checked.
}

/** Reads `fd01:b::/64`; throws `AddressError` for host bits and for anything that is not a network. */
export function parseCidr6(text: string): Cidr6 {
  const { address, prefix } = parseInterface6(text);
  return cidr6(address, prefix);
}

/** Reads `fd01:a::1/64`, host bits allowed; throws `AddressError` for anything else. */
export function parseInterface6(text: string): Interface6 {
  const match = /^([^/]*)\/(\d{1,3})$/.exec(text);
  const address = match === null ? undefined : readIpv6(match[1] ?? '');
  const digits = match?.[2] ?? '';
  if (address === undefined || (digits.length > 1 && digits.startsWith('0'))) {
    throw new AddressError(
      text,
      'is not an IPv6 network: an address, a slash and a prefix from 0 to 128, like fd01:b::/64',
    );
  }
  const prefix = Number(digits);
  if (!isPrefix(prefix)) throw badPrefix(text, prefix);
  return { address, prefix };
}

function isPrefix(prefix: number): boolean {
  return Number.isInteger(prefix) && prefix >= 0 && prefix <= 128;
}

function badPrefix(text: string, prefix: number): AddressError {
  return new AddressError(text, `has a prefix of ${prefix}: 0 to 128 is allowed`);
}

function networkAddress(address: Ipv6, prefix: number): Ipv6 {
  const hostBits = BigInt(128 - prefix);
  return ipv6((address >> hostBits) << hostBits);
}

/** `fd01:b::/80`, `fd01:a::1/64`. */
export function formatCidr6({ address, prefix }: Interface6): string {
  return `${formatIpv6(address)}/${prefix}`;
}

/** The network that an interface address is in. */
export function networkOf6({ address, prefix }: Interface6): Cidr6 {
  return cidr6(networkAddress(address, prefix), prefix);
}

/** How many addresses the network has: 1 … 2^128. */
export function size6({ prefix }: Cidr6): bigint {
  return 1n << BigInt(128 - prefix);
}

/** The highest address. */
export function last6(network: Cidr6): Ipv6 {
  return ipv6(network.address + size6(network) - 1n);
}

export function contains6(network: Cidr6, address: Ipv6): boolean {
  const hostBits = BigInt(128 - network.prefix);
  return address >> hostBits === network.address >> hostBits;
}

/** Whether `inner` lies wholly in `outer`; a network covers itself. */
export function covers6(outer: Cidr6, inner: Cidr6): boolean {
  return outer.prefix <= inner.prefix && contains6(outer, inner.address);
}

export function overlaps6(a: Cidr6, b: Cidr6): boolean {
  return covers6(a, b) || covers6(b, a);
}

export function equals6(a: Interface6, b: Interface6): boolean {
  return a.address === b.address && a.prefix === b.prefix;
}

/** The address at `offset` from the network's own; throws `AddressError` when that is outside. */
export function addressAt6(network: Cidr6, offset: bigint): Ipv6 {
  if (offset < 0n || offset >= size6(network)) {
    throw new AddressError(formatCidr6(network), `has no address at offset ${offset}: 0 to ${size6(network) - 1n}`);
  }
  return ipv6(network.address + offset);
}

/** How far the address is from the network's own; throws `AddressError` when it is outside. */
export function offsetOf6(network: Cidr6, address: Ipv6): bigint {
  if (!contains6(network, address)) {
    throw new AddressError(formatIpv6(address), `is not in ${formatCidr6(network)}`);
  }
  return address - network.address;
}

/** The gateway of a subnet: the address after the network's own. */
export function firstHost6(network: Cidr6): Ipv6 {
  return addressAt6(network, 1n);
}

/** Lower and upper half; throws `AddressError` for a single address. */
export function halves6(network: Cidr6): readonly [Cidr6, Cidr6] {
  return [subnetAt6(network, network.prefix + 1, 0n), subnetAt6(network, network.prefix + 1, 1n)];
}

/** How many pieces of `prefix` the network has; 0 when the pieces would be larger than it. */
export function subnetCount6(network: Cidr6, prefix: number): bigint {
  return prefix < network.prefix ? 0n : 1n << BigInt(prefix - network.prefix);
}

/** The `n`th piece (from 0) of `prefix`; throws `AddressError` when there is none. */
export function subnetAt6(network: Cidr6, prefix: number, n: bigint): Cidr6 {
  if (!isPrefix(prefix)) throw badPrefix(formatCidr6(network), prefix);
  const count = subnetCount6(network, prefix);
  if (n < 0n || n >= count) {
    throw new AddressError(formatCidr6(network), `has no subnet ${n} of prefix ${prefix}: it has ${count}`);
  }
  return cidr6(ipv6(network.address + (n << BigInt(128 - prefix))), prefix);
}
