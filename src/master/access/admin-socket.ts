/**
 * A Unix socket in the data directory of a master, for its user and root alone. A caller on it is an admin without a
 * certificate: it is the way back when no certificate is accepted any more.
 */

import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server as SocketServer } from 'node:net';
import { join } from 'node:path';
import { type Server, ServerCredentials, type ServerInterceptor } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { errorText } from '#errors/unknown-error.js';
import { authorize } from '#master/access/authorization.js';
import { refusing } from '#master/access/authorizing.js';
import type { MasterLog } from '#master/master-log.js';
import type { Caller } from '#tls/caller.js';

/** In `data_dir`. */
export const adminSocketName = 'admin.sock';
const connectionsMax = 16;

export type AdminSocketOptions = {
  readonly dataDir: string;
  /** Of this master. */
  readonly name: string;
  /** Made with `interceptors` and `callerOf`. */
  readonly server: Server;
  readonly logger: MasterLog;
};

/**
 * The identity of the callers. Only the user of the master and root can connect; which of them it was is not known. No
 * certificate can have an id with a slash.
 */
const admin = { role: 'admin', id: `local/uid-${process.getuid?.() ?? 0}` } as const;

/** The callers of the socket of master `name`. */
export function adminCallerOf(name: string): () => Caller {
  const caller = { principal: admin, address: `${name}:0` };
  return () => caller;
}

/** Callers may call what an admin may. */
export function adminInterceptors(): readonly ServerInterceptor[] {
  const judge = (_from: string, path: string): RefusedError | undefined => {
    try {
      authorize(admin, path);
      return undefined;
    } catch (error) {
      if (error instanceof RefusedError) return error;
      throw error;
    }
  };
  return [refusing(judge, () => undefined)];
}

export class AdminSocket {
  readonly path: string;
  readonly #options: AdminSocketOptions;
  #listener: SocketServer | undefined;

  constructor(options: AdminSocketOptions) {
    this.#options = options;
    this.path = join(options.dataDir, adminSocketName);
  }

  /** Listens. A master goes on without it, and logs why. */
  async open(): Promise<void> {
    const { server, logger } = this.#options;
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    const listener = createServer((socket) => injector.injectConnection(socket));
    listener.maxConnections = connectionsMax;
    try {
      // Of an earlier process: the store is locked, so none of them is running.
      await rm(this.path, { force: true });
      await new Promise<void>((resolve, reject) => {
        listener.once('error', reject);
        listener.listen({ path: this.path }, resolve);
      });
      await chmod(this.path, 0o600);
    } catch (error) {
      const why = errorText(error);
      logger.warn({ path: this.path }, `there is no admin socket: can't listen on ${this.path}: ${why}`);
      listener.close();
      return;
    }
    listener.on('error', (error) => logger.error({ err: error }, `the admin socket failed: ${error.message}`));
    this.#listener = listener;
  }

  /** Ends its connections, and removes the socket. */
  close(): void {
    this.#options.server.forceShutdown();
    this.#listener?.close();
  }
}
