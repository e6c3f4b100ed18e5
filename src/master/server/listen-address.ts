/** Addresses to listen on, HOST:PORT with an IPv6 host in brackets: from where they can be reached. */
import { hostOf } from '#address/host-and-port.js';

/**
 * Where others reach what listens on `address`. When that is every address of the machine, they reach it where they reach
 * the same machine's `peer` address, HOST:PORT; empty when that is not known either.
 */
export function advertised(address: string, peer: string): string {
  if (!['0.0.0.0', '[::]'].includes(hostOf(address))) return address;
  const host = hostOf(peer);
  return host === '' ? '' : `${host}${address.slice(address.lastIndexOf(':'))}`;
}
