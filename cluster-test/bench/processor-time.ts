/** Processor time of a process with all that it started (Linux). */
import { readFileSync } from 'node:fs';

const ticksPerSecond = 100;

export type ProcessorTime = { readonly own: number; readonly tools: number };

/** Seconds: of the process itself; and of its children, theirs, and those that have ended. */
export function processorTime(pid: number): ProcessorTime {
  const [own, ended] = timesOf(pid);
  return { own, tools: ended + childrenOf(pid).reduce((sum, child) => sum + whole(child), 0) };
}

function whole(pid: number): number {
  const { own, tools } = processorTime(pid);
  return own + tools;
}

/** utime + stime, and cutime + cstime, of /proc/PID/stat. */
function timesOf(pid: number): readonly [own: number, ended: number] {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .map(Number);
    const at = (field: number): number => (fields[field] ?? 0) / ticksPerSecond;
    return [at(11) + at(12), at(13) + at(14)];
  } catch {
    return [0, 0]; // It ended since it was listed; its parent counts it then.
  }
}

function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // Likewise.
  }
}
