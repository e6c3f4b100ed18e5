/** Addresses of the plan as the page counts with them: bytes in network order, numbers of blocks, and texts. */
import { type Cidr, formatIp, isCidr4, parseCidr } from '#address/ip.js';
import { ipv4, readIpv4 } from '#address/ipv4.js';
import { ipv6, readIpv6 } from '#address/ipv6.js';

export type MapFamily = 'v4' | 'v6';

/** An address space in blocks, as the map shows it. */
export type BlockSpace = {
  readonly subnet: Cidr;
  /** Length of a block's prefix. */
  readonly prefix: number;
  /** Blocks shown: all of them, or the first `shownMax`. */
  readonly count: number;
  readonly isWhole: boolean;
};

/** 2^24: as many as the largest IPv4 overlay has of /32. */
export const shownMax = 16_777_216;

export function blockSpace(subnet: string, prefix: number): BlockSpace {
  const cidr = parseCidr(subnet);
  const bits = prefix - cidr.prefix;
  return { subnet: cidr, prefix, count: Math.min(2 ** bits, shownMax), isWhole: 2 ** bits <= shownMax };
}

/** The number of the block at an address; undefined: it is none of those shown. */
export function blockAt({ subnet, prefix, count }: BlockSpace, address: bigint): number | undefined {
  const shift = BigInt((isCidr4(subnet) ? 32 : 128) - prefix);
  const block = (address >> shift) - (BigInt(subnet.address) >> shift);
  return block >= 0n && block < BigInt(count) ? Number(block) : undefined;
}

/** `9.0.7.0/24` */
export function blockText({ subnet, prefix }: BlockSpace, block: number): string {
  const shift = BigInt((isCidr4(subnet) ? 32 : 128) - prefix);
  const address = BigInt(subnet.address) + (BigInt(block) << shift);
  return `${formatIp(isCidr4(subnet) ? ipv4(Number(address)) : ipv6(address))}/${prefix}`;
}

/** 4 or 16 bytes, and whatever follows them is left out. */
export function addressNumber(bytes: Uint8Array, length: number): bigint {
  let address = 0n;
  for (const byte of bytes.subarray(0, length)) address = address * 256n + BigInt(byte);
  return address;
}

/** Of 4 or 16 bytes; empty for others. */
export function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  return bytes.length === 16 ? formatIp(ipv6(addressNumber(bytes, 16))) : '';
}

/** Of an address and one more byte with the length of the prefix; empty for others. */
export function subnetText(bytes: Uint8Array): string {
  const address = addressText(bytes.subarray(0, -1));
  return address === '' ? '' : `${address}/${bytes.at(-1)}`;
}

/** The address of `9.0.7.0/24` or `9.0.7.1`; undefined for a text that is neither. */
export function parsedAddress(text: string): bigint | undefined {
  const [address = ''] = text.split('/');
  const found = readIpv4(address) ?? readIpv6(address);
  return found === undefined ? undefined : BigInt(found);
}
