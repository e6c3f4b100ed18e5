/** Ranges of addresses as packet filters print them. */
import { AddressError } from '#address/brand.js';
import { last4, networkOf4, parseInterface4 } from '#address/cidr4.js';
import { last6, networkOf6, parseInterface6 } from '#address/cidr6.js';
import { familyOf, parseIp } from '#address/ip.js';
import type { AddressRange } from '#host/filter/filter-table.js';

/** Reads `10.0.0.1`, `10.0.0.0/8` (host bits are dropped) and `10.0.0.1-10.0.0.9`; undefined for anything else. */
export function readAddressRange(text: string): AddressRange | undefined {
  try {
    const [from = '', to, ...more] = text.split('-');
    if (more.length > 0) return undefined;
    if (to !== undefined) return between(from, to);
    if (!text.includes('/')) return between(text, text);
    if (text.includes(':')) {
      const network = networkOf6(parseInterface6(text));
      return { family: 6, first: network.address, last: last6(network) };
    }
    const network = networkOf4(parseInterface4(text));
    return { family: 4, first: BigInt(network.address), last: BigInt(last4(network)) };
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

function between(from: string, to: string): AddressRange | undefined {
  const [first, last] = [parseIp(from), parseIp(to)];
  if (familyOf(first) !== familyOf(last) || first > last) return undefined;
  return { family: familyOf(first), first: BigInt(first), last: BigInt(last) };
}

/** Whether each address of `inner` is in `outer`; undefined when some are and some are not. */
export function covers(outer: AddressRange, inner: AddressRange): boolean | undefined {
  if (outer.family !== inner.family || inner.last < outer.first || inner.first > outer.last) return false;
  return inner.first >= outer.first && inner.last <= outer.last ? true : undefined;
}
