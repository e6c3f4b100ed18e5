/** Free ports on a loopback address, each asked of the kernel. */
import { once } from 'node:events';
import { createServer } from 'node:net';

/** `count` different ports that were free a moment ago. All are held at once, so that none is given twice. */
export async function freePorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  try {
    return await Promise.all(
      servers.map(async (server) => {
        server.listen(0, host);
        await once(server, 'listening');
        const address = server.address();
        if (address === null || typeof address === 'string') throw new TypeError(`no port in ${address}`);
        return address.port;
      }),
    );
  } finally {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}
