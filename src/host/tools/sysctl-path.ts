/** Where the kernel settings that we care for are, under /proc/sys. */

export const forwardPath = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const;

/** Reverse path filter of one device: 2 is loose (RFC 3704 §2.4). */
export function reversePathFilter(device: string): string {
  return `net/ipv4/conf/${device}/rp_filter`;
}

/** 1: the device has no IPv6. `default` is what new devices get. */
export function disableIpv6Path(device: string): string {
  return `net/ipv6/conf/${device}/disable_ipv6`;
}
