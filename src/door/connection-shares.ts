/**
 * How many connections a master takes, from its limit of open files (RLIMIT_NOFILE). The rest is kept for the store, for
 * connections to other masters and for what the runtime opens. Each listener has a share of its own, so that clients
 * can't take what the other masters need.
 */
import { readFileSync } from 'node:fs';
import { ExpectedError } from '#errors/expected-error.js';

export type ConnectionShares = { readonly api: number; readonly peer: number; readonly http: number };

/** On the port for joining: each is for one call. Taken from what is kept, where the limit is small. */
export const joinConnectionsMax = 64;

/** Below it a master can't serve: what it keeps for itself is more than half. */
export const openFilesMin = 128;
/** Kept of a limit that is large: this many, or a fifth of it. Of a smaller one, half. */
const keptMin = 256;
const keptPart = 1 / 5;
/** A peer has three connections here at a time: messages, calls that it hands on, a snapshot. */
const peerMax = 64;
const httpMax = 512;
/** Where the system has no such limit, or does not tell. */
const withoutLimit: ConnectionShares = { api: 131_072, peer: peerMax, http: httpMax };

/** The limit of open files of this process is too low. */
export class OpenFilesError extends ExpectedError {
  override readonly name = 'OpenFilesError';
}

/** @throws OpenFilesError when `openFiles` is too low to serve at all */
export function connectionShares(openFiles: number | undefined): ConnectionShares {
  if (openFiles === undefined) return withoutLimit;
  if (openFiles < openFilesMin) {
    throw new OpenFilesError(
      `the limit of open files (RLIMIT_NOFILE) is ${openFiles}, and a master needs ${openFilesMin} at least: raise it ` +
        '(ulimit -n, or LimitNOFILE in the unit), to one for each agent and 256 more',
    );
  }
  const kept = Math.max(openFiles * keptPart, Math.min(keptMin, openFiles / 2));
  const total = Math.floor(openFiles - kept);
  const peer = Math.min(peerMax, Math.floor(total / 4));
  const http = Math.min(httpMax, Math.floor(total / 8));
  return { api: Math.min(withoutLimit.api, total - peer - http), peer, http };
}

/** The soft limit in force; undefined: none, or the system does not tell. Node raises it to the hard one when it starts. */
export function openFilesLimit(limits: () => string = procLimits): number | undefined {
  try {
    const [, soft] = /^Max open files\s+(\d+)\s/m.exec(limits()) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    // No /proc: not Linux, or not mounted. The connections are bounded all the same.
    return undefined;
  }
}

function procLimits(): string {
  return readFileSync('/proc/self/limits', 'utf8');
}
