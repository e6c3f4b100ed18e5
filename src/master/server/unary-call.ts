/** How a unary call is carried out for every front end: admitted, routed, and counted once with what came of it. */
import { RefusedError } from '#api/refusal.js';
import type { Admission } from '#master/access/admission.js';
import type { CallRouter } from '#master/server/call-router.js';
import type { Endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatDuration } from '#text/duration.js';
import type { Caller } from '#tls/caller.js';

/** Called for each unary call when it is over. */
export type CallObserver = (path: string, milliseconds: number, refused: RefusedError | undefined) => void;

export type UnaryCallOptions = {
  readonly router: Pick<CallRouter, 'serve'>;
  readonly admission: Admission;
  readonly observe: CallObserver;
  readonly report: (error: unknown) => void;
};

/** A call as it came in: `deadline` is of the master's monotonic clock, in ms. */
export type IncomingCall = { readonly request: Uint8Array; readonly caller: Caller; readonly deadline: number };

/** `refused` is undefined when there is a response. Called once. */
export type CallEnd = (refused: RefusedError | undefined, response: Uint8Array | null) => void;

export function unaryCall(
  endpoint: Endpoint,
  { request, caller, deadline }: IncomingCall,
  { router, admission, observe, report }: UnaryCallOptions,
  end: CallEnd,
): void {
  const begin = performance.now();
  const refuse = (error: unknown): void => {
    const refused = toRefusedError(error, report);
    observe(endpoint.path, performance.now() - begin, refused);
    end(refused, null);
  };
  try {
    admission.enter('call', caller);
  } catch (error) {
    refuse(error);
    return;
  }
  router.serve(endpoint, request, { caller, deadline, forwarded: false }).then(
    (response) => {
      admission.leave('call', caller);
      observe(endpoint.path, performance.now() - begin, undefined);
      end(undefined, response);
    },
    (error: unknown) => {
      admission.leave('call', caller);
      refuse(error);
    },
  );
}

/** The unary methods of the API by their paths, for a front end that waits for one call at a time. */
export class UnaryCalls {
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #options: UnaryCallOptions;
  readonly #clock: Pick<Clock, 'now' | 'after'>;

  constructor(endpoints: Iterable<Endpoint>, options: UnaryCallOptions, clock: Pick<Clock, 'now' | 'after'>) {
    this.#endpoints = new Map([...endpoints].map((each) => [each.path, each]));
    this.#options = options;
    this.#clock = clock;
  }

  has(path: string): boolean {
    return this.#endpoints.has(path);
  }

  /** Resolves with the encoded response. A call that takes longer is refused, and its outcome stays unknown. @throws RefusedError */
  call(path: string, request: Uint8Array, caller: Caller, timeoutMs: number): Promise<Uint8Array> {
    const endpoint = this.#endpoints.get(path);
    if (endpoint === undefined) throw new RefusedError('unimplemented', `this master has no method ${path}`);
    return new Promise((resolve, reject) => {
      const cancel = this.#clock.after(timeoutMs, () =>
        reject(new RefusedError('deadline', `${path}: not done within ${formatDuration(timeoutMs)}`)),
      );
      const deadline = this.#clock.now() + timeoutMs;
      unaryCall(endpoint, { request, caller, deadline }, this.#options, (refused, response) => {
        cancel();
        if (response === null) reject(refused);
        else resolve(response);
      });
    });
  }
}
