/**
 * The page of the plan under `/ui/`: its files, the states of the blocks of an overlay, and the watch as server-sent events.
 * It only looks. Everything else that it shows it asks for by calls of the API.
 */
import { readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { RefusedError } from '#api/refusal.js';
import { agentService, operatorService } from '#api/services.js';
import { type HttpAnswer, text } from '#http/bounded-server.js';
import { pacedAnswer } from '#http/paced-answer.js';
import type { BlockRun } from '#ipam/space/usage.js';
import type { HttpCallers } from '#master/access/http-callers.js';
import { WatchEvents, type WatchEventsOptions } from '#master/page/watch-events.js';
import type { PlanClient } from '#master/services/plan-client.js';

export type PlanPageOptions = Omit<WatchEventsOptions, 'clusterId'> & {
  readonly plan: PlanClient;
  readonly callers: Pick<HttpCallers, 'admit'>;
};

const files = new URL('../../../page/', import.meta.url);
const runsMax = 200_000;
const letters: Readonly<Record<BlockRun['state'], string>> = { excluded: 'e', quarantined: 'q', reserved: 'r' };

/** Nothing from elsewhere, nothing inline, and no other page may frame it. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
const pageHeaders = {
  'content-security-policy': policy,
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
};

const shell = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sublet</title>
<link rel="stylesheet" href="/ui/app.css">
<link rel="icon" href="/ui/icon.svg">
<script type="module" src="/ui/app.js"></script>
</head>
<body><noscript>The page of the plan needs JavaScript. The command line shows the same: sublet status</noscript></body>
</html>
`;
const icon =
  '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><path fill="#2f6fd6" d="M1 1h6v6H1zM9 9h6v6H9z"/><path fill="#8fb4ee" d="M9 1h6v6H9zM1 9h6v6H1z"/></svg>';

export class PlanPage {
  readonly #options: PlanPageOptions;
  readonly #events: WatchEvents;
  readonly #loaded = new Map<string, Buffer>();
  /** By overlay and family. */
  readonly #blocks = new Map<string, () => Promise<Buffer>>();

  constructor(options: PlanPageOptions) {
    this.#options = options;
    this.#events = new WatchEvents({ ...options, clusterId: options.plan.clusterId });
  }

  /** By verb and path. */
  get routes(): readonly (readonly [string, (request: IncomingMessage) => Promise<HttpAnswer> | HttpAnswer])[] {
    return [
      ['GET /', () => ({ ...text(307, 'the page of the plan is at /ui/'), headers: { location: '/ui/' } })],
      ['GET /ui/', () => file('text/html; charset=utf-8', shell)],
      ['GET /ui/icon.svg', () => file('image/svg+xml', icon)],
      ['GET /ui/app.js', () => this.#file('app.js', 'text/javascript; charset=utf-8')],
      ['GET /ui/app.css', () => this.#file('app.css', 'text/css; charset=utf-8')],
      ['GET /ui/blocks', (request) => this.#blocksOf(request)],
      [
        'GET /ui/events',
        (request) => this.#events.answer(request, this.#options.callers.admit(request, agentService.watch.path)),
      ],
    ];
  }

  #file(name: string, type: string): HttpAnswer {
    let bytes = this.#loaded.get(name);
    if (bytes === undefined) {
      bytes = readFileSync(new URL(name, files));
      this.#loaded.set(name, bytes);
    }
    return file(type, bytes);
  }

  /** `?overlay=NAME&family=v4`: runs of blocks that are not held and not free, as [first, count, state]. */
  async #blocksOf(request: IncomingMessage): Promise<HttpAnswer> {
    const { callers, plan } = this.#options;
    callers.admit(request, operatorService.listReservations.path);
    const query = new URL(request.url ?? '', 'http://localhost').searchParams;
    const overlay = query.get('overlay') ?? '';
    const family = query.get('family') === 'v6' ? 'v6' : 'v4';
    if (plan.ipam.overlay(overlay)?.[family] === undefined) {
      throw new RefusedError(
        'not-found',
        `overlay: there is no overlay ${JSON.stringify(overlay)} of family ${family}`,
      );
    }
    const key = `${overlay} ${family}`;
    let answer = this.#blocks.get(key);
    if (answer === undefined) {
      this.#forgetRemoved();
      // A quarantine ends without a revision of its own: what is answered is a second old at most.
      const version = (): string => `${plan.incarnation} ${plan.ipam.revision} ${Math.floor(plan.time / 1_000)}`;
      answer = pacedAnswer(version, async () => this.#runs(overlay, family));
      this.#blocks.set(key, answer);
    }
    return { code: 200, type: 'application/json', body: await answer() };
  }

  #forgetRemoved(): void {
    for (const key of this.#blocks.keys()) {
      if (this.#options.plan.ipam.overlay(key.split(' ')[0] ?? '') === undefined) this.#blocks.delete(key);
    }
  }

  #runs(overlay: string, family: 'v4' | 'v6'): Buffer {
    const { plan } = this.#options;
    const runs = plan.ipam.setAside(overlay, family, plan.time, runsMax) ?? [];
    const each = runs.map(({ first, count, state }) => `[${first},${count},"${letters[state]}"]`);
    return Buffer.from(`{"revision":${plan.ipam.revision},"runs":[${each.join(',')}]}`);
  }
}

function file(type: string, body: string | Buffer): HttpAnswer {
  return { code: 200, type, body, headers: pageHeaders };
}
