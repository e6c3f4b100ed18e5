/** What a machine offers a master or an agent: Node.js, open files, the clock, the disk. */
import { closeSync, fdatasyncSync, openSync, rmSync, statfsSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { errorText } from '#errors/unknown-error.js';
import type { CheckFinding } from '#host/host-status.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';
import { badNode, type Versions } from '#runtime/node-releases.js';
import { formatTime } from '#text/duration.js';
import { formatSize } from '#text/size.js';

export function nodeFinding(versions: Versions): CheckFinding {
  const bad = badNode(versions);
  if (bad === undefined) {
    return { severity: 'ok', what: 'Node.js', says: `${versions.node}, nghttp2 ${versions.nghttp2}` };
  }
  return {
    severity: 'error',
    what: 'Node.js',
    says: `${bad}; on it masters and agents listen on loopback only`,
    todo: 'install Sublet with the Node.js that its package brings',
  };
}

/** As the unit of masters has it; fewer bound how many agents may connect. */
const openFilesEnough = 131_072;

export function openFilesFinding(limit: number | undefined): CheckFinding {
  const what = 'open files';
  if (limit === undefined) return { severity: 'ok', what, says: 'no limit' };
  const says = `${limit} for a process that is started from here`;
  if (limit >= openFilesEnough) return { severity: 'ok', what, says };
  return {
    severity: 'warning',
    what,
    says: `${says}; a master keeps one for each connection`,
    todo: `LimitNOFILE=${openFilesEnough} in its unit, as the packaged one has it`,
  };
}

/** Whether the kernel's clock is kept by a time service. Sublet decides nothing by it; certificates and the history use it. */
export async function clockFinding(runner: Runner): Promise<CheckFinding> {
  const what = 'clock';
  try {
    const { code, stdout } = await runner.run('timedatectl', ['show', '-p', 'NTPSynchronized', '--value'], {
      timeoutMs: 3_000,
    });
    if (code === 0 && stdout.trim() === 'yes') return { severity: 'ok', what, says: 'synchronized' };
    if (code === 0) {
      return {
        severity: 'warning',
        what,
        says: 'not synchronized: certificates are valid by it, and the history shows it',
        todo: 'timedatectl set-ntp true',
      };
    }
  } catch (error) {
    if (!(error instanceof ToolMissingError)) throw error;
  }
  return {
    severity: 'warning',
    what,
    says: 'whether it is synchronized is not known: systemd does not answer here',
    todo: 'chronyc tracking',
  };
}

const probeWrites = 50;
const probeBytes = 4_096;
/** Every change of the plan waits for one such write on most of the masters. */
const syncSlowMs = 10;
const syncTooSlowMs = 100;

/** Durations of synced writes, in ms, in the order in which they were made. @throws Error of the file system */
export function probeDisk(folder: string, monotonic: () => number): readonly number[] {
  const file = join(folder, `.sublet-doctor-${process.pid}`);
  const block = Buffer.alloc(probeBytes, 0x5a);
  const handle = openSync(file, 'wx', 0o600);
  try {
    return Array.from({ length: probeWrites }, () => {
      const begin = monotonic();
      writeSync(handle, block);
      fdatasyncSync(handle);
      return monotonic() - begin;
    });
  } finally {
    closeSync(handle);
    rmSync(file);
  }
}

export function syncFinding(folder: string, times: readonly number[]): CheckFinding {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
  const [median, late] = [at(0.5), at(0.99)];
  const says = `${sorted.length} synced writes in ${folder}: half within ${formatTime(median)}, the slowest ${formatTime(late)}`;
  const what = 'disk speed';
  if (late <= syncSlowMs) return { severity: 'ok', what, says };
  const todo = 'put the data directory on a disk of its own, an SSD; see what else writes: iostat -x 1';
  const severity = median > syncTooSlowMs ? 'error' : 'warning';
  return { severity, what, says: `${says}; every change of the plan waits for one`, todo };
}

/** @param floor bytes below which a master does not lead */
export function spaceFinding(folder: string, floor: number): CheckFinding {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  const says = `${formatSize(free)} free in ${folder}`;
  const what = 'disk space';
  if (free >= 4 * floor) return { severity: 'ok', what, says };
  const todo = 'make room, or move the data directory to a larger disk';
  if (free >= floor) {
    return { severity: 'warning', what, says: `${says}; below ${formatSize(floor)} a master does not lead`, todo };
  }
  return { severity: 'error', what, says: `${says}: below ${formatSize(floor)} a master does not lead`, todo };
}

/** What a data directory is to its user and to others, and how fast it is. */
export function folderFindings(folder: string, floor: number, monotonic: () => number): readonly CheckFinding[] {
  const what = 'data directory';
  try {
    const { mode } = statSync(folder);
    const shown = (mode & 0o7777).toString(8).padStart(4, '0');
    const open = (mode & 0o077) !== 0;
    const modes: CheckFinding = open
      ? {
          severity: (mode & 0o022) === 0 ? 'warning' : 'error',
          what,
          says: `${folder} has mode ${shown}: other users may read or change it`,
          todo: `chmod 700 ${folder}`,
        }
      : { severity: 'ok', what, says: `${folder}, mode ${shown}` };
    return [modes, spaceFinding(folder, floor), syncFinding(folder, probeDisk(folder, monotonic))];
  } catch (error) {
    return [
      {
        severity: 'error',
        what,
        says: `${folder}: ${errorText(error)}`,
        todo: 'run it as the user of the service, or as root',
      },
    ];
  }
}
