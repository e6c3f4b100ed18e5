/**
 * KeepAlive streams. An agent's keep-alive is judged by the leader; a follower collects those of its agents and
 * passes them on, one batch a second. A stream has one keep-alive under way: the next is read when it is answered.
 */
import type { ServerDuplexStream, UntypedHandleCall } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import type { Admission } from '#master/admission.js';
import { type StreamMethod, streamError } from '#master/api-server.js';
import type { CallRouter } from '#master/call-router.js';
import { decode, type Endpoint, endpoint } from '#master/endpoint.js';
import { forwardMethods, refusedByPeer } from '#master/forward-method.js';
import { checkFounding, type OwnFounding } from '#master/founding-check.js';
import type { Leadership } from '#master/leadership.js';
import { type KeepAlive, type KeepAliveOutcome, type Office, parseKeepAlive } from '#master/office.js';
import { PacedRounds } from '#master/paced-rounds.js';
import { toRefusedError } from '#master/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/clock.js';

type Stream = ServerDuplexStream<Buffer, Uint8Array>;

export type KeepAliveServiceOptions = {
  readonly office: Pick<Office, 'keepAlive'>;
  readonly plan: OwnFounding;
  readonly leadership: Pick<Leadership, 'seat'>;
  readonly router: Pick<CallRouter, 'serve'>;
  readonly admission: Admission;
  readonly clock: Clock;
  readonly report: (error: unknown) => void;
};

const relayIntervalMs = 1_000;
const relayedWaitingMax = 131_072;
/** Keep-alives in one message to the leader: about half a megabyte. */
const relayedAtOnceMax = 4_096;

/** The leader's side of what followers pass on. */
export function keepAlivesEndpoint(office: Pick<Office, 'keepAlive'>, report: (error: unknown) => void): Endpoint {
  const judge = async (
    request: sublet.v1.KeepAliveRequest.$Properties,
  ): Promise<sublet.peer.v1.KeepAliveResult.$Properties> => {
    try {
      const outcome = await office.keepAlive(parseKeepAlive(request));
      return outcome instanceof RefusedError ? refusedResult(outcome) : { response: outcome };
    } catch (error) {
      return refusedResult(toRefusedError(error, report));
    }
  };
  return endpoint(forwardMethods.keepAlives, { place: 'leader', idempotent: true }, async ({ keepAlives }) => ({
    results: await Promise.all(keepAlives.map(judge)),
  }));
}

export class KeepAliveService {
  readonly #options: KeepAliveServiceOptions;
  readonly #relay: PacedRounds<KeepAlive, KeepAliveOutcome>;
  readonly #endpoint: Endpoint;
  /** Ends each open stream with the refusal. */
  readonly #open = new Set<(refused: RefusedError) => void>();

  constructor(options: KeepAliveServiceOptions) {
    this.#options = options;
    this.#endpoint = keepAlivesEndpoint(options.office, options.report);
    this.#relay = new PacedRounds({
      clock: options.clock,
      intervalMs: relayIntervalMs,
      waitingMax: relayedWaitingMax,
      round: (keepAlives) => this.#passOn(keepAlives),
    });
  }

  /** What followers call. */
  get endpoint(): Endpoint {
    return this.#endpoint;
  }

  get method(): StreamMethod {
    const handle: UntypedHandleCall = (stream: Stream) => this.#accept(stream);
    return { path: agentService.keepAlive.path, requestStream: true, handle };
  }

  /** Lets go of every stream: its agent turns to another master. */
  stop(): void {
    this.#relay.stop();
    for (const end of [...this.#open]) end(new RefusedError('unavailable', 'this master is stopping'));
  }

  /** @throws RefusedError, ProposeError */
  async keepAlive(request: sublet.v1.KeepAliveRequest.$Properties): Promise<sublet.v1.KeepAliveResponse.$Properties> {
    const { leadership, office, plan } = this.#options;
    const keepAlive = parseKeepAlive(request);
    checkFounding(`keep-alive of agent_id "${keepAlive.agentId}"`, request, plan);
    const outcome = await (leadership.seat.kind === 'here' ? office.keepAlive(keepAlive) : this.#relay.add(keepAlive));
    if (outcome instanceof RefusedError) throw outcome;
    return outcome;
  }

  async #passOn(keepAlives: readonly KeepAlive[]): Promise<readonly KeepAliveOutcome[]> {
    const parts: Promise<readonly KeepAliveOutcome[]>[] = [];
    for (let at = 0; at < keepAlives.length; at += relayedAtOnceMax) {
      parts.push(this.#passOnPart(keepAlives.slice(at, at + relayedAtOnceMax)));
    }
    return (await Promise.all(parts)).flat();
  }

  async #passOnPart(keepAlives: readonly KeepAlive[]): Promise<readonly KeepAliveOutcome[]> {
    const { keepAlives: method } = forwardMethods;
    const request = method.request.encode({ keepAlives: [...keepAlives] }).finish();
    // Without a deadline of its own: the router bounds how long it waits for a leader.
    const context = { caller: '', deadline: Number.POSITIVE_INFINITY, forwarded: false };
    const { results } = method.response.decode(await this.#options.router.serve(this.#endpoint, request, context));
    return results.map(({ response, reason, message }) => response ?? refusedByPeer(reason ?? '', message ?? ''));
  }

  #accept(stream: Stream): void {
    const { admission } = this.#options;
    const caller = stream.getPeer();
    let open = true;
    const fail = (error: unknown): void => {
      if (open) stream.emit('error', streamError(toRefusedError(error, this.#options.report)));
    };
    try {
      admission.enter('stream', caller);
    } catch (error) {
      fail(error);
      return;
    }
    this.#open.add(fail);
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#open.delete(fail);
      admission.leave('stream', caller);
    };
    stream.on('data', (bytes: Buffer) => {
      stream.pause();
      this.#answer(bytes).then((response) => {
        if (open) stream.write(response);
        stream.resume();
      }, fail);
    });
    // Whatever ends the stream (the agent, its connection, a refusal above) closes it.
    stream.on('end', () => stream.end());
    stream.on('cancelled', close);
    stream.on('close', close);
  }

  async #answer(bytes: Buffer): Promise<Uint8Array> {
    const { path, request, response } = agentService.keepAlive;
    return response.encode(await this.keepAlive(decode(path, request, bytes))).finish();
  }
}

function refusedResult({ reason, message }: RefusedError): sublet.peer.v1.KeepAliveResult.$Properties {
  return { reason, message };
}
