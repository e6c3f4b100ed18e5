/**
 * The watch as server-sent events, for the page of the plan: each event is one WatchResponse in base64, with peers in their
 * short form, as the hub has encoded it for all watchers.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { RefusedError } from '#api/refusal.js';
import type { HttpAnswer } from '#http/bounded-server.js';
import type { Admission } from '#master/access/admission.js';
import { parseBranchText } from '#master/server/refusal-mapping.js';
import type { WatchHub } from '#master/watch/watch-hub.js';
import type { Caller } from '#tls/caller.js';

export type WatchEventsOptions = {
  readonly hub: Pick<WatchHub, 'watch'>;
  readonly admission: Admission;
  readonly clusterId: string;
  /** Why this master can not answer for the plan yet; undefined: it can. */
  readonly closed: () => string | undefined;
};

const type = 'text/event-stream';
/** Each keeps a connection of the HTTP port. */
const streamsMax = 64;

export class WatchEvents {
  readonly #options: WatchEventsOptions;
  #open = 0;

  constructor(options: WatchEventsOptions) {
    this.#options = options;
  }

  /** `?cluster=ID&revision=N&branch=TEXT` goes on after that revision; without them it begins anew. @throws RefusedError */
  answer({ url = '', method }: IncomingMessage, caller: Caller): HttpAnswer {
    const { admission, closed, hub } = this.#options;
    const query = new URL(url, 'http://localhost').searchParams;
    const revision = query.get('revision') ?? '0';
    if (!/^\d{1,15}$/.test(revision)) {
      throw new RefusedError(
        'invalid-argument',
        `revision: ${JSON.stringify(revision)} is not a number of 1 to 15 digits`,
      );
    }
    const start = {
      clusterId: query.get('cluster') ?? '',
      fromRevision: Number(revision),
      branch: parseBranchText(query.get('branch') ?? ''),
      view: 'short',
      // A page of another site can have a browser ask for this, and a reader must not change anything.
      testifies: false,
    } as const;
    const why = closed();
    if (why !== undefined) throw new RefusedError('unavailable', why);
    if (this.#open >= streamsMax) {
      throw new RefusedError(
        'overloaded',
        `${streamsMax} pages follow this master already: open one at another master`,
      );
    }
    if (method === 'HEAD') return { code: 200, type, body: '' };
    admission.enter('stream', caller);
    this.#open += 1;
    const stream = (response: ServerResponse): void => {
      const unwatch = hub.watch(start, {
        send: (message, sent) => {
          response.write(`data: ${message.toString('base64')}\n\n`, () => sent());
        },
        end: ({ message }) => response.end(`event: end\ndata: ${JSON.stringify(message)}\n\n`),
      });
      response.once('close', () => {
        unwatch();
        this.#open -= 1;
        admission.leave('stream', caller);
      });
    };
    return { code: 200, type, body: '', stream };
  }
}
