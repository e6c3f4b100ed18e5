/**
 * This host's address on the underlay, when none is configured: the source address of the route to the masters. A
 * connected UDP socket makes the kernel choose it; nothing is sent.
 */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';

/** A master, as far as routes are concerned. */
export type Destination = { readonly host: string; readonly port: number };

/** No master is reachable by any route. */
export class NoRouteError extends Error {
  override readonly name = 'NoRouteError';
}

/**
 * The source address towards the first of the masters that there is a route to.
 * @throws NoRouteError with what is wrong for each
 */
export async function sourceAddress(masters: readonly Destination[]): Promise<string> {
  const problems: string[] = [];
  for (const { host, port } of masters) {
    try {
      const { address } = await lookup(host);
      return await sourceTowards(address, port);
    } catch (error) {
      problems.push(`${host}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new NoRouteError(`this host has no route to any master (${problems.join('; ')}); set node_ip`);
}

function sourceTowards(address: string, port: number): Promise<string> {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  return new Promise<string>((resolve, reject) => {
    socket.once('error', reject);
    socket.connect(port, address, (error?: Error) => {
      if (error !== undefined) {
        reject(error);
        return;
      }
      const source = socket.address().address;
      if (source.includes('%')) reject(new Error(`the route leaves from the link-local address ${source}`));
      else resolve(source);
    });
  }).finally(() => socket.close());
}
