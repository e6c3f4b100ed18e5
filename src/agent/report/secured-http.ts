/**
 * The agent's HTTP for other machines: TLS with the agent's certificate, and answers for callers with the certificate of a
 * viewer, operator or admin that is not revoked, or with the token.
 */
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { createServer, type Server as Listener, type Socket } from 'node:net';
import type { AgentLog } from '#agent/agent-log.js';
import type { ReaderRevocations } from '#agent/report/reader-revocations.js';
import { type Access, type AccessRules, accessRefusal, type Token } from '#http/access.js';
import {
  boundedServer,
  defaultServerLimits,
  type HttpAnswer,
  healthPaths,
  type ServerLimits,
  text,
} from '#http/bounded-server.js';
import type { Clock } from '#replica/ports/clock.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';
import { TlsGate } from '#tls/tls-gate.js';

export type SecuredHttpOptions = {
  readonly listen: { readonly host: string; readonly port: number };
  /** Its bearer may read. */
  readonly token: Token | undefined;
  readonly certificate: CertificateReloader;
  /** Stopped with it. */
  readonly revocations: ReaderRevocations;
  readonly hosts: readonly string[];
  readonly answer: (method: string, path: string) => Promise<HttpAnswer>;
  readonly limits?: Partial<ServerLimits>;
  readonly clock: Pick<Clock, 'after'>;
  /** Ms since 1970, for the validity of certificates. */
  readonly wallClock?: () => number;
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
  readonly #rules: AccessRules;
  #cancelExpiry: () => void = () => undefined;

  constructor(options: SecuredHttpOptions) {
    this.#options = options;
    const { certificate, revocations, token, hosts, answer, limits, wallClock, log } = options;
    const gate = new TlsGate({
      material: certificate.material,
      protocol: 'http/1.1',
      allowed: ['viewer', 'operator', 'admin'],
      anonymous: true,
      ...(wallClock && { wallClock }),
      refused: ({ from, message }) => log.debug({ from }, `https: a connection from ${from} was refused: ${message}`),
    });
    certificate.onReload((next) => gate.setMaterial(next));
    revocations.onChange(() => gate.end((principal) => revocations.isRevoked(principal)));
    this.#rules = { open: 'nothing', token, byCertificate: (socket) => this.#allowed(socket), advice };
    const server = boundedServer({
      hosts,
      ...(limits && { limits }),
      answer: (request, method, path) =>
        (healthPaths.includes(path) ? undefined : this.#refusal(request)) ?? answer(method, path),
    });
    gate.onSecured((socket) => server.emit('connection', socket));
    this.#listener = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => gate.take(socket));
    this.#listener.maxConnections = limits?.connections ?? defaultServerLimits.connections;
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
    this.#options.revocations.start();
  }

  get port(): number {
    const address = this.#listener.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.listen.port;
  }

  close(): void {
    this.#cancelExpiry();
    this.#options.revocations.stop();
    this.#listener.close();
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #principalOf({ remoteAddress, remotePort }: Socket): Principal | undefined {
    return this.#gate.principalAt(`${remoteAddress}:${remotePort}`);
  }

  /** What the certificate of a connection allows; undefined: it has shown none. */
  #allowed(socket: Socket): Access | undefined {
    const { revocations } = this.#options;
    const principal = this.#principalOf(socket);
    if (principal === undefined) return undefined;
    return revocations.known && !revocations.isRevoked(principal) ? 'read' : 'nothing';
  }

  #refusal(request: IncomingMessage): HttpAnswer | undefined {
    const refused = accessRefusal(request, 'read', this.#rules);
    const principal = this.#principalOf(request.socket);
    if (refused === undefined || principal === undefined) return refused;
    if (this.#options.revocations.known) return text(403, `${formatPrincipal(principal)} is revoked`);
    return text(
      503,
      'no master has said yet which certificates are revoked: try again, or send the token of http_token_file',
    );
  }

  #watchExpiry(): void {
    this.#cancelExpiry = this.#options.clock.after(expiryEveryMs, () => {
      this.#gate.endExpired();
      this.#watchExpiry();
    });
  }
}
