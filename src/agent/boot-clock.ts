/**
 * Time since the host booted, time asleep included. A lease with a TTL is counted by it: a monotonic clock stands
 * still while the host is suspended, and a wall clock can be set back; both would let a lease outlive its end.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

export interface BootClock {
  /** Differs after each boot; times of different boots can't be compared. */
  readonly bootId: string;
  /** ms since boot, suspended time included. */
  now(): number;
}

/** The kernel's: `/proc/uptime` counts CLOCK_BOOTTIME, and that is what `os.uptime` reads. */
export function systemBootClock(): BootClock {
  return { bootId: readBootId(), now: () => uptime() * 1000 };
}

function readBootId(): string {
  // Elsewhere than on Linux every process counts as a boot of its own: what it wrote down proves nothing to the next.
  if (process.platform !== 'linux') return randomUUID();
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
