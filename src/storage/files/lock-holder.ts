/**
 * The process that holds a POSIX record lock on a file, from /proc/locks. The file is never opened: closing any
 * descriptor of it would drop the lock of our own process.
 */
import { readFile, stat } from 'node:fs/promises';

/** Enough of a command line to know it by. */
const commandLengthMax = 100;

/**
 * Like `process 4711 (node dist/…)`; undefined when it can't be found: another system, another pid namespace, or a
 * process that has just ended.
 */
export async function lockHolder(path: string): Promise<string | undefined> {
  try {
    const { ino } = await stat(path);
    const locks = await readFile('/proc/locks', 'utf8');
    for (const line of locks.split('\n')) {
      const held = /POSIX\s+ADVISORY\s+WRITE\s+(\d+)\s+\S+:\S+:(\d+)\s/.exec(line);
      if (held !== null && Number(held[2]) === ino) return await describeProcess(Number(held[1]));
    }
    return undefined;
  } catch {
    // A nicety of an error message: without /proc the message does without it.
    return undefined;
  }
}

async function describeProcess(pid: number): Promise<string> {
  const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replace(/[\0\s]+/g, ' ').trim();
  return `process ${pid} (${command.slice(0, commandLengthMax)})`;
}
