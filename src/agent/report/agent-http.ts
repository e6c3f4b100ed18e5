/**
 * The agent's HTTP: `/overlay-agent/overlay` for scripts made for DC/OS, `/status` for people, `/metrics`, `/healthz`
 * and `/readyz`. It only looks; nothing can be changed through it.
 */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Registry } from 'prom-client';
import type { Agent } from '#agent/agent.js';
import type { AgentLog } from '#agent/agent-log.js';
import { agentMetrics } from '#agent/report/agent-metrics.js';
import { agentStatus, notReady } from '#agent/report/agent-status.js';
import { overlayInfo } from '#agent/report/overlay-info.js';
import type { ReaderRevocations } from '#agent/report/reader-revocations.js';
import { SecuredHttp } from '#agent/report/secured-http.js';
import { ExpectedError } from '#errors/expected-error.js';
import { errorText } from '#errors/unknown-error.js';
import { Token } from '#http/access.js';
import { boundedServer, type HttpAnswer, text } from '#http/bounded-server.js';
import type { Clock } from '#replica/ports/clock.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';

export type AgentHttpOptions = {
  readonly agent: Agent;
  readonly networkMode: string;
  readonly listen: { readonly host: string; readonly port: number };
  /** Names under which it is asked, besides those of loopback and of this machine. */
  readonly hosts: readonly string[];
  /** Of the agent; undefined: without TLS. */
  readonly certificate?: CertificateReloader | undefined;
  /** Where the same is answered with TLS, to callers with a certificate or the token; undefined: nowhere. */
  readonly secured?: Secured | undefined;
  readonly log: AgentLog;
};

type Secured = {
  readonly listen: AgentHttpOptions['listen'];
  readonly tokenFile: string | undefined;
  readonly revocations: ReaderRevocations;
  readonly clock: Clock;
};

/** `https_listen` can't be served: there is no certificate, or no token that can be read. */
export class HttpsError extends ExpectedError {
  override readonly name = 'HttpsError';
}

export class AgentHttp {
  readonly #options: AgentHttpOptions;
  readonly #metrics: Registry;
  readonly #server: Server;
  readonly #secured: SecuredHttp | undefined;

  private constructor(options: AgentHttpOptions) {
    this.#options = options;
    this.#metrics = agentMetrics(options.agent, options.certificate);
    this.#server = boundedServer({
      hosts: options.hosts,
      answer: (_, method, path) => this.#answer(method, path),
    });
    const { secured, certificate, hosts, log } = options;
    if (secured === undefined) return;
    if (certificate === undefined) {
      throw new HttpsError('https_listen: this agent is without TLS and has no certificate: set tls or join');
    }
    const answer = (method: string, path: string) => this.#answer(method, path);
    const { tokenFile, ...rest } = secured;
    this.#secured = new SecuredHttp({ ...rest, token: tokenOf(tokenFile), certificate, hosts, log, answer });
  }

  /** Rejects when the address can't be listened at. */
  static async listen(options: AgentHttpOptions): Promise<AgentHttp> {
    const http = new AgentHttp(options);
    http.#server.listen(options.listen.port, options.listen.host);
    await once(http.#server, 'listening');
    try {
      await http.#secured?.open();
    } catch (error) {
      await http.close();
      throw error;
    }
    return http;
  }

  /** The port with TLS; undefined: there is none. */
  get securedPort(): number | undefined {
    return this.#secured?.port;
  }

  /** The port that it listens at: the one asked for, or the system's choice for 0. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.listen.port;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    this.#secured?.close();
    await closed;
  }

  async #answer(method: string, path: string): Promise<HttpAnswer> {
    if (method !== 'GET') return text(405, `${method} is not allowed: GET is`);
    const { agent, networkMode, certificate } = this.#options;
    switch (path) {
      case '/healthz':
        return text(200, 'ok');
      case '/readyz': {
        const reasons = notReady(agent);
        return reasons.length === 0 ? text(200, 'ready') : text(503, reasons.join('\n'));
      }
      case '/status':
        return json(agentStatus(agent, networkMode, certificate));
      case '/metrics':
        return { code: 200, type: this.#metrics.contentType, body: await this.#metrics.metrics() };
      case '/overlay-agent/overlay':
        return this.#overlay();
      default:
        return text(404, `no ${path} here: /overlay-agent/overlay, /status, /metrics, /healthz and /readyz are`);
    }
  }

  #overlay(): HttpAnswer {
    const { agent } = this.#options;
    const { lease, network, options } = agent;
    if (lease === undefined || network === undefined) return text(503, 'this agent is not registered yet');
    const takesSubnets = options.networkConfig.allocateSubnet ?? true;
    return json(overlayInfo({ lease, network, host: options.host.status(), takesSubnets }));
  }
}

/** @throws HttpsError */
function tokenOf(file: string | undefined): Token | undefined {
  try {
    return file === undefined ? undefined : Token.read('http_token_file', file);
  } catch (error) {
    throw new HttpsError(errorText(error));
  }
}

function json(value: unknown): HttpAnswer {
  return { code: 200, type: 'application/json', body: `${JSON.stringify(value, undefined, 2)}\n` };
}
