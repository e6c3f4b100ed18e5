/**
 * The agent's HTTP for other machines: TLS with the agent's certificate, and answers for callers with the certificate of a
 * viewer, operator or admin, or with the token. An agent knows no revocations: it goes by the dates of a certificate.
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import { createServer, type Server as Listener } from 'node:net';
import type { AgentLog } from '#agent/agent-log.js';
import { type AccessRules, accessRefusal, type Token } from '#http/access.js';
import { boundedServer, defaultServerLimits, type HttpAnswer, healthPaths } from '#http/bounded-server.js';
import { systemClock } from '#replica/ports/system-clock.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TlsGate } from '#tls/tls-gate.js';

export type SecuredHttpOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  /** Its bearer may read. */
  readonly token: Token | undefined;
  readonly certificate: CertificateReloader;
  readonly hosts: readonly string[];
  readonly answer: (method: string, path: string) => Promise<HttpAnswer>;
  readonly log: AgentLog;
};

/** How often connections are looked through for certificates that have ended, in ms. */
const expiryEveryMs = 60_000;
const advice = 'show the certificate of a viewer, operator or admin, or send the token of http_token_file';

export class SecuredHttp {
  readonly #options: SecuredHttpOptions;
  readonly #gate: TlsGate;
  readonly #server: Server;
  readonly #listener: Listener;
  #cancelExpiry: () => void = () => undefined;

  constructor(options: SecuredHttpOptions) {
    this.#options = options;
    const { certificate, token, hosts, answer, log } = options;
    const gate = new TlsGate({
      material: certificate.material,
      protocol: 'http/1.1',
      allowed: ['viewer', 'operator', 'admin'],
      anonymous: true,
      refused: ({ from, message }) => log.debug({ from }, `https: a connection from ${from} was refused: ${message}`),
    });
    certificate.onReload((next) => gate.setMaterial(next));
    const rules: AccessRules = {
      open: 'nothing',
      token,
      byCertificate: ({ remoteAddress, remotePort }) =>
        gate.principalAt(`${remoteAddress}:${remotePort}`) === undefined ? undefined : 'read',
      advice,
    };
    const server = boundedServer({
      hosts,
      answer: (request, method, path) =>
        (healthPaths.includes(path) ? undefined : accessRefusal(request, 'read', rules)) ?? answer(method, path),
    });
    gate.onSecured((socket) => server.emit('connection', socket));
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => gate.take(socket));
    this.#listener.maxConnections = defaultServerLimits.connections;
    this.#gate = gate;
    this.#server = server;
  }

  /** Rejects when the address can't be listened at. */
  async open(): Promise<void> {
    const { host, port } = this.#options.listen;
    this.#listener.listen(port, host);
    await once(this.#listener, 'listening');
    // The server watches over the time that requests take from then on.
    this.#server.emit('listening');
    this.#watchExpiry();
  }

  get port(): number {
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.listen.port;
  }

  close(): void {
    this.#cancelExpiry();
    this.#listener.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #watchExpiry(): void {
    this.#cancelExpiry = systemClock.after(expiryEveryMs, () => {
      this.#gate.endExpired();
      this.#watchExpiry();
    });
  }
}
