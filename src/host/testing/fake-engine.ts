/** A Docker engine for specs: an HTTP server on a Unix socket. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export type Handle = (request: IncomingMessage, response: ServerResponse) => void;

export const json =
  (value: unknown, status = 200): Handle =>
  (_, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
/** An engine that answers as the table says, by `METHOD /path`; other calls get a 404 in the engine's form. */
export class FakeEngine {
  readonly asked: string[] = [];
  readonly bodies: string[] = [];
  readonly #server: Server;
  readonly #folder = mkdtempSync(join(tmpdir(), 'sublet-engine-'));
  answers: Readonly<Record<string, Handle>> = {};

  constructor() {
    this.#server = createServer((request, response) => {
      const call = `${request.method} ${request.url}`;
      this.asked.push(call);
      let body = '';
      request.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      request.on('end', () => {
        this.bodies.push(body);
        const handle = this.answers[call] ?? json({ message: 'page not found' }, 404);
        handle(request, response);
      });
    });
  }

  get host(): string {
    return `unix://${join(this.#folder, 'docker.sock')}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve) => this.#server.listen(join(this.#folder, 'docker.sock'), resolve));
  }

  /** As an engine that ends; it can listen again. */
  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async stop(): Promise<void> {
    await this.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
