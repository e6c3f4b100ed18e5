/** Parts of HOST:PORT, of which it is known that it is one: an IPv6 host has brackets, or none where a socket names it. */

/** `127.0.0.1:7070` → `127.0.0.1`, `[::1]:7070` → `[::1]`; empty when there is no port. */
export function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':')));
}

/** Without the brackets of an IPv6 address: `[::1]:7070` → `::1`. */
export function bareHostOf(address: string): string {
  return hostOf(address).replace(/^\[(.*)\]$/, '$1');
}

/**
 * Of the other end of a socket. One that listens for both families shows an IPv4 address in IPv6 form:
 * `::ffff:10.0.0.1:40000` → `10.0.0.1`.
 */
export function remoteHostOf(address: string): string {
  return bareHostOf(address).replace(/^::ffff:(?=\d+\.\d+\.\d+\.\d+$)/, '');
}

/** `127.0.0.1:7070` → 7070. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}
