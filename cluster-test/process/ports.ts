/**
 * Free ports on a loopback address, from a range that the kernel takes no port of outgoing connections from: a port stays
 * free until its process binds it. Spec files that run at a time have ranges of their own.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

/** Below the kernel's own range, which begins at 32768. */
const rangeFrom = 10_000;
const rangeSize = 10_000;
/** Of mocha's processes that run at a time. */
const lane = Number(process.env.MOCHA_WORKER_ID ?? 0) % 2;
/** The next port to be tried, from the begin of the range: processes of other runs begin elsewhere. */
let next = (process.pid * 97) % rangeSize;

/** `count` different ports that were free a moment ago. All are held at once, so that none is given twice. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const held: { readonly port: number; readonly server: Server }[] = [];
  try {
    for (let tried = 0; held.length < count; tried += 1) {
      if (tried === rangeSize) throw new Error(`no ${count} ports are free on ${host}`);
      const port = rangeFrom + lane * rangeSize + next;
      next = (next + 1) % rangeSize;
      const server = await listening(port, host);
      if (server !== undefined) held.push({ port, server });
    }
    return held.map(({ port }) => port);
  } finally {
    await Promise.all(held.map(({ server }) => new Promise((resolve) => server.close(resolve))));
  }
}

/** Undefined: the port is in use. */
async function listening(port: number, host: string): Promise<Server | undefined> {
  const server = createServer();
  server.listen(port, host);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
    throw error;
  }
}
