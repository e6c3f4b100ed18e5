/** Addresses and networks in network byte order: 4 bytes of IPv4, 16 of IPv6; a network has one more, its prefix length. */
import { AddressError } from '#address/brand.js';
import { cidr4 } from '#address/cidr4.js';
import { cidr6 } from '#address/cidr6.js';
import { type Cidr, type Ip, isIpv4 } from '#address/ip.js';
import { ipv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';

export function ipBytes(address: Ip): Uint8Array {
  return isIpv4(address) ? number4(address, 4) : number6(address, 16);
}

/** @throws AddressError for another length than 4 or 16 bytes */
export function ipOfBytes(bytes: Uint8Array): Ip {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length === 4) return ipv4(view.getUint32(0));
  if (bytes.length === 16) return ipv6((view.getBigUint64(0) << 64n) | view.getBigUint64(8));
  throw new AddressError(hex(bytes), `is not an IP address: it has ${bytes.length} bytes, and 4 or 16 are allowed`);
}

export function cidrBytes({ address, prefix }: Cidr): Uint8Array {
  const bytes = isIpv4(address) ? number4(address, 5) : number6(address, 17);
  bytes[bytes.length - 1] = prefix;
  return bytes;
}

/** @throws AddressError for another length than 5 or 17 bytes, a prefix beyond the address, or host bits */
export function cidrOfBytes(bytes: Uint8Array): Cidr {
  if (bytes.length !== 5 && bytes.length !== 17) {
    throw new AddressError(hex(bytes), `is not a network: it has ${bytes.length} bytes, and 5 or 17 are allowed`);
  }
  const address = ipOfBytes(bytes.subarray(0, -1));
  const prefix = bytes.at(-1) ?? 0;
  return isIpv4(address) ? cidr4(address, prefix) : cidr6(address, prefix);
}

function number4(address: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint32(0, address);
  return bytes;
}

function number6(address: bigint, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, address >> 64n);
  view.setBigUint64(8, address & 0xffff_ffff_ffff_ffffn);
  return bytes;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 32)).toString('hex');
}
