/**
 * Cluster time: milliseconds that the cluster has been at work, as its leaders counted them. A leader starts from the
 * last applied time and adds its own monotonic time in office; each command carries the result, so all members agree on
 * it. It stands still while there is no leader, and no wall clock reaches it.
 *
 * An entry's data are 8 bytes of cluster time (big-endian) and the command. Empty data are a new leader's own entry,
 * which carries neither.
 */
import type { Clock } from '#replica/ports/clock.js';
import { readUint64, uint64Bytes, writeUint64 } from '#replica/uint64.js';

export class ClusterTime {
  readonly #clock: Clock;
  #base = 0;
  #officeStartMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** This member begins to lead; `lastTime` is the cluster time of the last applied entry. */
  beginOffice(lastTime: number): void {
    this.#base = lastTime;
    this.#officeStartMs = this.#clock.now();
  }

  /** Cluster time now, on a leader in office: whole ms, never less than before. */
  now(): number {
    return this.#base + Math.max(0, Math.floor(this.#clock.now() - this.#officeStartMs));
  }
}

export type StampedCommand = { readonly time: number; readonly command: Uint8Array };

export function encodeStamped({ time, command }: StampedCommand): Uint8Array {
  const data = Buffer.allocUnsafe(uint64Bytes + command.byteLength);
  writeUint64(data, 0, time);
  data.set(command, uint64Bytes);
  return data;
}

/** The command is a view into `data`. @throws RangeError when `data` is shorter than its time */
export function decodeStamped(data: Uint8Array): StampedCommand {
  return { time: readUint64(data, 0), command: data.subarray(uint64Bytes) };
}
