/**
 * Time since the host booted, time asleep included. A lease with a TTL is counted by it: a monotonic clock stands still
 * while the host is suspended, and a wall clock can be set back; by either a lease would outlive its end.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';

export type BootClock = {
  /** Differs after each boot; times of different boots can't be compared. */
  readonly bootId: string;
  /** ms since boot, suspended time included. Never goes back, and never runs slower than the monotonic clock. */
  now(): number;
};

/**
 * The kernel's: `/proc/uptime` counts CLOCK_BOOTTIME, and that is what `os.uptime` reads. In a container lxcfs makes that
 * file up: it begins anew with the container, and has gone back under running processes.
 */
export function systemBootClock(): BootClock {
  return new CheckedBootClock({
    bootId: readBootId(),
    uptimeMs: () => uptime() * 1000,
    monotonicMs: () => performance.now(),
  });
}

export type BootClockParts = {
  readonly bootId: string;
  /** What the system says of the time since the boot. */
  readonly uptimeMs: () => number;
  readonly monotonicMs: () => number;
};

/** The two clocks of one host differ by their resolution, 10 ms. An uptime that lags by more has stood still or gone back. */
const lagMaxMs = 1_000;

export class CheckedBootClock implements BootClock {
  readonly bootId: string;
  readonly #uptimeMs: () => number;
  readonly #monotonicMs: () => number;
  /** What the uptime has lost since the start of the process. */
  #lostMs = 0;
  /** By how much this clock is ahead of the monotonic one; it only grows, by what the host sleeps. */
  #aheadMs: number;

  constructor({ bootId, uptimeMs, monotonicMs }: BootClockParts) {
    this.bootId = bootId;
    this.#uptimeMs = uptimeMs;
    this.#monotonicMs = monotonicMs;
    this.#aheadMs = uptimeMs() - monotonicMs();
  }

  now(): number {
    const monotonicMs = this.#monotonicMs();
    const aheadMs = this.#uptimeMs() + this.#lostMs - monotonicMs;
    if (aheadMs > this.#aheadMs) this.#aheadMs = aheadMs;
    else if (this.#aheadMs - aheadMs > lagMaxMs) this.#lostMs += this.#aheadMs - aheadMs;
    return monotonicMs + this.#aheadMs;
  }
}

function readBootId(): string {
  // Elsewhere than on Linux every process counts as a boot of its own: what it wrote down proves nothing to the next.
  if (process.platform !== 'linux') return randomUUID();
  const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  // The kernel's id stays when a container is started anew; its uptime, where it has one of its own, does not.
  return hasOwnUptime(readFileSync('/proc/self/mountinfo', 'utf8'))
    ? `${bootId}/${startOf(readFileSync('/proc/1/stat', 'utf8'))}`
    : bootId;
}

/** Whether a file system is mounted over `/proc/uptime`, as lxcfs is. The mount point is the fifth field of a line. */
export function hasOwnUptime(mountinfo: string): boolean {
  return mountinfo.split('\n').some((line) => line.split(' ')[4] === '/proc/uptime');
}

/** When a process began, in ticks of the kernel's boot: field 22 of its `stat`. The second field may have blanks. */
export function startOf(stat: string): string {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}
