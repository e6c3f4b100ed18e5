/** A port with `/healthz` and `/readyz` and nothing else, for probes that have no certificate and no token. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { boundedServer, type HttpAnswer, text } from '#http/bounded-server.js';

export type HealthServerOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  readonly ready: () => boolean;
};

/** Beyond them a newcomer takes the place of the oldest. */
const connectionsMax = 64;

/** Rejects when the address can't be listened at. The reasons for not being ready are for other ports. */
export async function listenForHealth({ listen, ready }: HealthServerOptions): Promise<Server> {
  const answer = (_: unknown, method: string, path: string): HttpAnswer => {
    if (method !== 'GET') return text(405, `${method} is not allowed: GET is`);
    if (path === '/healthz') return text(200, 'ok');
    if (path === '/readyz') return ready() ? text(200, 'ready') : text(503, 'not ready');
    return text(404, 'there are /healthz and /readyz here');
  };
  const server = boundedServer({ hosts: [], answer, limits: { connections: connectionsMax } });
  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  return server;
}
