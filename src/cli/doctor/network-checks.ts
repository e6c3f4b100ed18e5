/** Whether ports are open, and peers are reached. */
import { connect } from 'node:net';
import { formatHostPort, type HostPort } from '#config/host-port.js';
import type { CheckFinding } from '#host/host-status.js';
import { formatTime } from '#text/duration.js';

const connectMs = 3_000;

export type Reach = { readonly ms: number } | { readonly error: string };

const tries = 3;

/** The quickest of a few connections: one alone may wait for this process. @param monotonic ms that never go back */
export async function reach(at: HostPort, monotonic: () => number): Promise<Reach> {
  let best: Reach = { error: '' };
  for (let each = 0; each < tries; each++) {
    const found = await connected(at, monotonic);
    if ('error' in found) return found;
    if ('error' in best || found.ms < best.ms) best = found;
  }
  return best;
}

/** Opens a TCP connection and ends it. */
function connected({ host, port }: HostPort, monotonic: () => number): Promise<Reach> {
  return new Promise((resolve) => {
    const begin = monotonic();
    const socket = connect({ host, port });
    const done = (result: Reach): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(connectMs, () => done({ error: `no answer within ${formatTime(connectMs)}` }));
    socket.once('connect', () => done({ ms: monotonic() - begin }));
    socket.once('error', (error: NodeJS.ErrnoException) =>
      done({ error: error.code === 'ECONNREFUSED' ? 'nothing listens there' : error.message }),
    );
  });
}

/** A port of this machine's own process. */
export async function portFinding(what: string, at: HostPort, monotonic: () => number): Promise<CheckFinding> {
  const any = at.host === '0.0.0.0' || at.host === '::';
  const found = await reach(any ? { host: at.host === '::' ? '::1' : '127.0.0.1', port: at.port } : at, monotonic);
  const says = `${what} ${formatHostPort(at)}`;
  if ('ms' in found) return { severity: 'ok', what: 'port', says: `${says} is open` };
  return {
    severity: 'error',
    what: 'port',
    says: `${says}: ${found.error}`,
    todo: 'start the service, or look why it does not start: journalctl -u sublet-master -n 50',
  };
}

/** Round trips that an election timeout of 1 s and heartbeats of 100 ms stand well. */
const slowMs = 50;

export async function peerFinding(name: string, at: HostPort, monotonic: () => number): Promise<CheckFinding> {
  const found = await reach(at, monotonic);
  const says = `${name} at ${formatHostPort(at)}`;
  if ('error' in found) {
    return {
      severity: 'error',
      what: 'peer',
      says: `${says}: ${found.error}`,
      todo: `start ${name}, or open port ${at.port} between the masters`,
    };
  }
  const time = `${says} answers within ${formatTime(found.ms)}`;
  if (found.ms <= slowMs) return { severity: 'ok', what: 'peer', says: time };
  return {
    severity: 'warning',
    what: 'peer',
    says: `${time}: each change of the plan waits for most of the masters`,
    todo: 'raise raft.heartbeat_ms and raft.election_ms on all masters',
  };
}
