/** Whether this process may change the network of its host. */
import { readFileSync } from 'node:fs';

/** CAP_NET_ADMIN, as a bit of the masks in /proc/self/status. */
const capNetAdmin = 1n << 12n;

export function mayChangeNetwork(): boolean {
  if (process.platform !== 'linux') return process.geteuid?.() === 0;
  return hasNetAdmin(readFileSync('/proc/self/status', 'utf8'));
}

/** By the effective capabilities: root in a container may lack them, another user may have them. */
export function hasNetAdmin(status: string): boolean {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  return mask !== undefined && (BigInt(`0x${mask}`) & capNetAdmin) !== 0n;
}
