/** Whether ports can be had, asked before anything is started: better one clear word than six processes that die. */

import { once } from 'node:events';
import { createServer } from 'node:net';
import { exitCodes, Failure } from '#cli/failure.js';
import { errorText } from '#errors/unknown-error.js';

/** @throws Failure naming the first port on 127.0.0.1 that is taken */
export async function needPorts(ports: readonly number[]): Promise<void> {
  for (const port of ports) {
    const server = createServer();
    try {
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    } catch (error) {
      const why = errorText(error);
      throw new Failure(exitCodes.refused, `port ${port} can’t be had: ${why}`, [
        'Is another `sublet dev` running? This one can take other ports and its own data: --base-port 8070 --data-dir DIR.',
      ]);
    } finally {
      server.close();
    }
  }
}
