/** Resident memory of a process, from /proc (Linux). */
import { readFileSync } from 'node:fs';

export type ProcessMemory = { readonly residentMb: number; readonly peakMb: number };

/** VmRSS and VmHWM of `pid`, in MB of 10^6 bytes. */
export function memoryOf(pid: number): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { residentMb: field(text, 'VmRSS'), peakMb: field(text, 'VmHWM') };
}

function field(text: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return (Number(kibibytes) * 1024) / 1e6;
}
