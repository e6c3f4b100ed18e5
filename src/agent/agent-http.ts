/**
 * The agent's HTTP: `/overlay-agent/overlay` for scripts made for DC/OS, `/status` for people, `/metrics`, `/healthz`
 * and `/readyz`. It only looks; nothing can be changed through it.
 */
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { Registry } from 'prom-client';
import type { Agent } from '#agent/agent.js';
import { agentMetrics } from '#agent/agent-metrics.js';
import { agentStatus, notReady } from '#agent/agent-status.js';
import { overlayInfo } from '#agent/overlay-info.js';

const connectionsMax = 256;
const requestTimeoutMs = 10_000;

export type AgentHttpOptions = {
  readonly agent: Agent;
  readonly networkMode: string;
  readonly listen: { readonly host: string; readonly port: number };
};

type Answer = { readonly status: number; readonly type: string; readonly body: string };

export class AgentHttp {
  readonly #options: AgentHttpOptions;
  readonly #metrics: Registry;
  readonly #server: Server;

  private constructor(options: AgentHttpOptions) {
    this.#options = options;
    this.#metrics = agentMetrics(options.agent);
    this.#server = createServer({ requestTimeout: requestTimeoutMs }, (request, response) => {
      void this.#answer(request.method ?? '', request.url ?? '').then((answer) =>
        write(response, request.method, answer),
      );
    });
    this.#server.maxConnections = connectionsMax;
  }

  /** Rejects when the address can't be listened at. */
  static async listen(options: AgentHttpOptions): Promise<AgentHttp> {
    const http = new AgentHttp(options);
    http.#server.listen(options.listen.port, options.listen.host);
    await once(http.#server, 'listening');
    return http;
  }

  /** The port that it listens at: the one asked for, or the system's choice for 0. */
  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.listen.port;
  }

  async close(): Promise<void> {
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(method: string, url: string): Promise<Answer> {
    if (method !== 'GET' && method !== 'HEAD') return text(405, `${method} is not allowed: GET is\n`);
    const { agent, networkMode } = this.#options;
    const path = url.split('?', 1)[0] ?? '';
    switch (path) {
      case '/healthz':
        return text(200, 'ok\n');
      case '/readyz': {
        const reasons = notReady(agent);
        return reasons.length === 0 ? text(200, 'ready\n') : text(503, `${reasons.join('\n')}\n`);
      }
      case '/status':
        return json(agentStatus(agent, networkMode));
      case '/metrics':
        return { status: 200, type: this.#metrics.contentType, body: await this.#metrics.metrics() };
      case '/overlay-agent/overlay':
        return this.#overlay();
      default:
        return text(404, `no ${path} here: /overlay-agent/overlay, /status, /metrics, /healthz and /readyz are\n`);
    }
  }

  #overlay(): Answer {
    const { agent } = this.#options;
    const { lease, network, options } = agent;
    if (lease === undefined || network === undefined) return text(503, 'this agent is not registered yet\n');
    const takesSubnets = options.networkConfig.allocateSubnet ?? true;
    return json(overlayInfo({ lease, network, host: options.host.status(), takesSubnets }));
  }
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: `${JSON.stringify(value, undefined, 2)}\n` };
}

function write(response: ServerResponse, method: string | undefined, { status, type, body }: Answer): void {
  response.writeHead(status, {
    'content-type': type,
    'cache-control': 'no-store',
    'content-length': Buffer.byteLength(body),
  });
  response.end(method === 'HEAD' ? undefined : body);
}
