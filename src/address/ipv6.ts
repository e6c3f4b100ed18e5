/**
 * IPv6 addresses as 128-bit integers. Reads every text form of RFC 4291 §2.2, writes the one of RFC 5952.
 * Zone identifiers (`%eth0`) are not addresses and are refused.
 */
import { AddressError, type Brand } from '#address/brand.js';
import { formatIpv4, ipv4, readIpv4 } from '#address/ipv4.js';

/** An IPv6 address: 0 … 2^128 − 1, network byte order read as one integer. */
export type Ipv6 = Brand<bigint, 'Ipv6'>;

const maxIpv6 = (1n << 128n) - 1n;

/** The address with this number; throws `AddressError` outside 0 … 2^128 − 1. */
export function ipv6(value: bigint): Ipv6 {
  if (value < 0n || value > maxIpv6) {
    throw new AddressError(String(value), 'is not an IPv6 address: a whole number from 0 to 2^128 − 1 is allowed');
  }
  return value as Ipv6; // Brand constructor: checked.
}

/** Reads `fd01:b::1`, `::ffff:10.0.0.1` and the like; throws `AddressError` for anything else. */
export function parseIpv6(text: string): Ipv6 {
  const value = readIpv6(text);
  if (value === undefined) {
    throw new AddressError(
      text,
      'is not an IPv6 address: up to eight groups of 1–4 hexadecimal digits, like fd01:b::1',
    );
  }
  return value;
}

/** As `parseIpv6`, but `undefined` for what is not an IPv6 address. */
export function readIpv6(text: string): Ipv6 | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const left = groups(head, tail === undefined);
  const right = tail === undefined ? [] : groups(tail, true);
  if (left === undefined || right === undefined) return undefined;
  const missing = 8 - left.length - right.length;
  // "::" stands for one group or more (RFC 4291 §2.2).
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of [...left, ...new Array<number>(missing).fill(0), ...right]) {
    value = (value << 16n) | BigInt(group);
  }
  return ipv6(value);
}

/** The 16-bit groups of one side of `::`; a dotted IPv4 address may end the text. */
function groups(text: string, endsText: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const result: number[] = [];
  for (const [position, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      result.push(Number.parseInt(part, 16));
    } else {
      const dotted = endsText && position === parts.length - 1 ? readIpv4(part) : undefined;
      if (dotted === undefined) return undefined;
      result.push(dotted >>> 16, dotted & 0xffff);
    }
  }
  return result;
}

/** The canonical text of RFC 5952: lower case, the longest run of zeros as `::`, IPv4-mapped addresses dotted. */
export function formatIpv6(address: Ipv6): string {
  if (address >> 32n === 0xffffn) return `::ffff:${formatIpv4(ipv4(Number(address & 0xffffffffn)))}`;
  const words: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) words.push(Number((address >> shift) & 0xffffn));
  const run = longestZeroRun(words);
  const hex = (part: number[]) => part.map((word) => word.toString(16)).join(':');
  // A single zero group is not shortened (RFC 5952 §4.2.2).
  if (run.length < 2) return hex(words);
  return `${hex(words.slice(0, run.start))}::${hex(words.slice(run.start + run.length))}`;
}

/** The first of the longest runs of zero groups (RFC 5952 §4.2.3). */
function longestZeroRun(words: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (const [position, word] of words.entries()) {
    if (word !== 0) start = position + 1;
    else if (position + 1 - start > best.length) best = { start, length: position + 1 - start };
  }
  return best;
}
