/** Memory and processor time of a process, from /proc (Linux). */
import { readFileSync } from 'node:fs';

export type ProcessMemory = { readonly residentMb: number; readonly peakMb: number };
/** In ms: of the process itself, all threads; and of its children, theirs, and those that have ended. */
export type ProcessorTime = { readonly ownMs: number; readonly toolsMs: number };

/** Clock ticks per second in /proc/PID/stat: 100 on every Linux that Node runs on. */
const ticksPerSecond = 100;
const msPerTick = 1000 / ticksPerSecond;

/** VmRSS and VmHWM of `pid`, in MB of 10^6 bytes. */
export function memoryOf(pid: number): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return { residentMb: field(text, 'VmRSS'), peakMb: field(text, 'VmHWM') };
}

/** User and system time that `pid` has used so far, all threads, in ms. */
export function cpuMsOf(pid: number): number {
  return timesOf(pid).ownMs;
}

/** What `pid` and all that it started have used so far. */
export function processorTime(pid: number): ProcessorTime {
  const { ownMs, endedMs } = timesOf(pid);
  return { ownMs, toolsMs: endedMs + childrenOf(pid).reduce((sum, child) => sum + treeMsOf(child), 0) };
}

function treeMsOf(pid: number): number {
  try {
    const { ownMs, toolsMs } = processorTime(pid);
    return ownMs + toolsMs;
  } catch {
    return 0; // It ended since it was listed; its parent counts it then.
  }
}

function timesOf(pid: number): { readonly ownMs: number; readonly endedMs: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The second field is the program's name in parentheses and may hold anything; the times are fields 14 to 17.
  const [user, system, endedUser, endedSystem] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number);
  if (user === undefined || system === undefined || endedUser === undefined || endedSystem === undefined) {
    throw new Error(`/proc/${pid}/stat has no times`);
  }
  return { ownMs: (user + system) * msPerTick, endedMs: (endedUser + endedSystem) * msPerTick };
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // Likewise.
  }
}

function field(text: string, name: string): number {
  const kibibytes = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1];
  if (kibibytes === undefined) throw new Error(`no ${name} in /proc/PID/status`);
  return (Number(kibibytes) * 1024) / 1e6;
}
