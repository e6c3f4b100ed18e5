/** Memory and processor time of a process, from /proc (Linux). */
import { readFileSync } from 'node:fs';

export type ProcessMemory = { readonly residentMb: number; readonly peakMb: number };

/** Clock ticks per second in /proc/PID/stat: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;

/** VmRSS and VmHWM of `pid`, in MB of 10^6 bytes. */
export function memoryOf(pid: number): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { residentMb: field(text, 'VmRSS'), peakMb: field(text, 'VmHWM') };
}

/** User and system time that `pid` has used so far, all threads, in ms. */
export function cpuMsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses and may hold anything; the times are fields 14 and 15.
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  if (user === undefined || system === undefined) throw new Error(`/proc/${pid}/stat has no times`);
  return ((user + system) * 1000) / ticksPerSecond;
}

function field(text: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return (Number(kibibytes) * 1024) / 1e6;
}
