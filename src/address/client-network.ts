/** The network that stands for a caller of which nothing but its address is known, where callers get equal shares. */
import { formatIpv4, ipv4, readIpv4 } from '#address/ipv4.js';
import { formatIpv6, ipv6, readIpv6 } from '#address/ipv6.js';

/** Of an IPv6 network that one host may have as a whole. */
const hostBits = 64n;

/**
 * An IPv4 address itself, also one in IPv6 form (`::ffff:10.0.0.1`); of an IPv6 address its /64, since one host may have all
 * addresses of it. A text that is no address stands for itself.
 *
 * @param address without a port; an IPv6 one with or without brackets, and without regard to its zone
 */
export function clientNetwork(address: string): string {
  const bare = address.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  const four = readIpv4(bare);
  if (four !== undefined) return formatIpv4(four);
  const six = readIpv6(bare);
  if (six === undefined) return bare;
  return mapped(six) ?? `${formatIpv6(ipv6((six >> hostBits) << hostBits))}/64`;
}

/** RFC 4291 §2.5.5.2. */
function mapped(address: bigint): string | undefined {
  return address >> 32n === 0xffffn ? formatIpv4(ipv4(Number(address & 0xffffffffn))) : undefined;
}
