/**
 * IPv4 addresses as 32-bit unsigned numbers, and their dotted text. The parser is strict: four decimal parts,
 * no leading zeros (which some systems read as octal), nothing around them.
 */
import { AddressError, type Brand } from '#address/brand.js';

/** An IPv4 address: 0 … 2^32 − 1, network byte order read as one number. */
export type Ipv4 = Brand<number, 'Ipv4'>;

const maxIpv4 = 0xffffffff;

/** The address with this number; throws `AddressError` outside 0 … 2^32 − 1. */
export function ipv4(value: number): Ipv4 {
  if (!Number.isInteger(value) || value < 0 || value > maxIpv4) {
    throw new AddressError(String(value), 'is not an IPv4 address: a whole number from 0 to 4294967295 is allowed');
  }
  return value as Ipv4; // Brand constructor: checked.
}

/** Reads `9.0.0.1`; throws `AddressError` for anything else. */
export function parseIpv4(text: string): Ipv4 {
  const value = readIpv4(text);
  if (value === undefined) {
    throw new AddressError(
      text,
      'is not an IPv4 address: four numbers from 0 to 255 without leading zeros, like 9.0.0.1',
    );
  }
  return value;
}

/** As `parseIpv4`, but `undefined` for what is not an IPv4 address. */
export function readIpv4(text: string): Ipv4 | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (match === null) return undefined;
  let value = 0;
  for (const part of match.slice(1)) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256 + Number(part);
  }
  return ipv4(value);
}

/** Dotted decimal text: `9.0.0.1`. */
export function formatIpv4(address: Ipv4): string {
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}
