/** Addresses to listen on, HOST:PORT with an IPv6 host in brackets: what they say of who can reach them. */

/** `127.0.0.1:7070` → `127.0.0.1`, `[::1]:7070` → `[::1]`. */
export function hostOf(address: string): string {
  return address.slice(0, Math.max(0, address.lastIndexOf(':')));
}

/** `127.0.0.1:7070` → 7070. */
export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

/**
 * Where others reach what listens on `address`. When that is every address of the machine, they reach it where they reach
 * the same machine's `peer` address, HOST:PORT; empty when that is not known either.
 */
export function advertised(address: string, peer: string): string {
  if (!['0.0.0.0', '[::]'].includes(hostOf(address))) return address;
  const host = hostOf(peer);
  return host === '' ? '' : `${host}${address.slice(address.lastIndexOf(':'))}`;
}
