/**
 * One address space that is allocated in blocks: an overlay in one family, or the VTEP subnet. Turns addresses into
 * block numbers and back, so that the pool beneath need not know of families.
 */
import { type Cidr4, cidr4, last4, size4 } from '#address/cidr4.js';
import { type Cidr6, cidr6, size6 } from '#address/cidr6.js';
import { type Cidr, containsIp, type Family, formatCidr, type Ip, isCidr4, isIpv4 } from '#address/ip.js';
import { ipv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import { BlockPool } from '#ipam/space/block-pool.js';

export type Space = {
  /** Undefined: the VTEP subnet. */
  readonly overlay: string | undefined;
  readonly family: Family;
  readonly subnet: Cidr;
  /** Length of a block's prefix. */
  readonly prefix: number;
  readonly pool: BlockPool;
};

/** The numbers of the lettable blocks: [first, end). */
export type BlockRange = { readonly first: bigint; readonly end: bigint };

/** Every piece of an overlay's subnet. */
export function overlaySpace(overlay: string, subnet: Cidr, prefix: number): Space {
  const { first, end } = blockRange(subnet, prefix);
  return { overlay, family: isCidr4(subnet) ? 4 : 6, subnet, prefix, pool: new BlockPool(first, end) };
}

/** Every address of the VTEP subnet but its own and the broadcast address. */
export function vtepSpace(subnet: Cidr4): Space {
  const { first, end } = vtepRange(subnet);
  return { overlay: undefined, family: 4, subnet, prefix: 32, pool: new BlockPool(first, end) };
}

/** The same space over a supernet of its subnet; the pool is shared and grown. */
export function grownSpace(space: Space, subnet: Cidr): Space {
  const isVtep = space.overlay === undefined && isCidr4(subnet);
  const { first, end } = isVtep ? vtepRange(subnet) : blockRange(subnet, space.prefix);
  space.pool.grow(first, end);
  return { ...space, subnet };
}

/** The addresses of the VTEP subnet that are allocated. */
export function vtepRange(subnet: Cidr4): BlockRange {
  return { first: BigInt(subnet.address) + 1n, end: BigInt(last4(subnet)) };
}

/** The numbers of the blocks of this prefix that a network consists of. */
export function blockRange(network: Cidr, prefix: number): BlockRange {
  const shift = BigInt((isCidr4(network) ? 32 : 128) - prefix);
  const first = BigInt(network.address) >> shift;
  const size = isCidr4(network) ? BigInt(size4(network)) : size6(network);
  return { first, end: first + (size >> shift) };
}

/** The number of the block that contains the address; it may lie outside the space. */
export function blockOf(space: Space, address: Ip): bigint {
  assertInvariant(isIpv4(address) === (space.family === 4), 'an address of the other family');
  if (isIpv4(address)) return BigInt(Math.floor(address / 2 ** (32 - space.prefix)));
  return address >> BigInt(128 - space.prefix);
}

export function blockCidr(space: Space, block: bigint): Cidr4 | Cidr6 {
  if (space.family === 4) return cidr4(ipv4(Number(block) * 2 ** (32 - space.prefix)), space.prefix);
  return cidr6(ipv6(block << BigInt(128 - space.prefix)), space.prefix);
}

export function blockAddress(space: Space, block: bigint): Ip {
  return blockCidr(space, block).address;
}

/** The block that is exactly this network and lettable; undefined if there is none. */
export function exactBlock(space: Space, network: Cidr): bigint | undefined {
  if (network.prefix !== space.prefix || !containsIp(space.subnet, network.address)) return undefined;
  const block = blockOf(space, network.address);
  return space.pool.contains(block) ? block : undefined;
}

/** `overlay "dcos" (9.0.0.0/8)` or `the VTEP subnet 44.128.0.0/20`. */
export function describeSpace(space: Space): string {
  return describeSubnet(space.overlay, space.subnet);
}

/** As `describeSpace`; `overlay` undefined: the VTEP subnet. */
export function describeSubnet(overlay: string | undefined, subnet: Cidr): string {
  const text = formatCidr(subnet);
  return overlay === undefined ? `the VTEP subnet ${text}` : `overlay "${overlay}" (${text})`;
}
