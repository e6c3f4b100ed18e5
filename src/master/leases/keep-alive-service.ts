/**
 * KeepAlive streams. An agent's keep-alive is judged by the leader; a follower collects those of its agents and
 * passes them on, one batch a second. A stream has one keep-alive under way: the next is read when it is answered.
 */
import type { ServerDuplexStream, UntypedHandleCall } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { agentService } from '#api/services.js';
import type { AgentId } from '#ipam/identity.js';
import type { Admission } from '#master/access/admission.js';
import { checkSelf } from '#master/access/authorization.js';
import { forwardMethods, refusedByPeer } from '#master/forward/forward-method.js';
import { type ClaimedIncarnation, checkIncarnation, type OwnIncarnation } from '#master/leader/incarnation-check.js';
import type { Leadership } from '#master/leader/leadership.js';
import { type KeepAliveOutcome, type LeaseKeeper, parseKeepAlive } from '#master/leases/lease-keeper.js';
import { PacedRounds } from '#master/leases/paced-rounds.js';
import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import { type KeepAliveSource, type StreamReport, StreamReports } from '#master/leases/stream-reports.js';
import { type CallerOf, type StreamMethod, streamError } from '#master/server/api-server.js';
import type { CallRouter } from '#master/server/call-router.js';
import { decode, type Endpoint, endpoint } from '#master/server/endpoint.js';
import { toRefusedError } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import { byAddress, type Caller, noCaller } from '#tls/caller.js';

type KeepAliveStream = Pick<ReceivedKeepAlive, 'stream' | 'connection'>;
type Stream = ServerDuplexStream<Buffer, Uint8Array>;

export type KeepAliveServiceOptions = {
  readonly office: Pick<LeaseKeeper, 'keepAlive' | 'streams'>;
  readonly plan: OwnIncarnation;
  readonly leadership: Pick<Leadership, 'seat' | 'onChange'>;
  readonly router: Pick<CallRouter, 'serve'>;
  readonly admission: Admission;
  readonly callerOf?: CallerOf;
  readonly clock: Clock;
  /** Names this process among those of all masters. */
  readonly via: string;
  readonly report: (error: unknown) => void;
  /** An agent names the incarnation of its lease, before it is refused where that is another one. */
  readonly foreign: (agentId: AgentId, claimed: ClaimedIncarnation) => void;
};

const relayIntervalMs = 1_000;
const relayedWaitingMax = 131_072;
/** Keep-alives in one message to the leader: about half a megabyte. */
const relayedAtOnceMax = 4_096;

/** The leader's side of what followers pass on. */
function keepAlivesEndpoint(office: Pick<LeaseKeeper, 'keepAlive'>, report: (error: unknown) => void): Endpoint {
  const judge = async (
    request: sublet.v1.KeepAliveRequest.$Properties,
    stream: sublet.peer.v1.KeepAliveStream.$Properties,
  ): Promise<sublet.peer.v1.KeepAliveResult.$Properties> => {
    try {
      const outcome = await office.keepAlive(parseKeepAlive(request, streamOf(stream)));
      return outcome instanceof RefusedError ? refusedResult(outcome) : { response: outcome };
    } catch (error) {
      return refusedResult(toRefusedError(error, report));
    }
  };
  return endpoint(
    forwardMethods.keepAlives,
    { place: 'leader', idempotent: true },
    async ({ keepAlives, streams }) => ({
      results: await Promise.all(keepAlives.map((keepAlive, at) => judge(keepAlive, streams[at] ?? {}))),
    }),
  );
}

/** And of what they tell of their streams. */
function streamsEndpoint(office: Pick<LeaseKeeper, 'streams'>): Endpoint {
  return endpoint(forwardMethods.reportStreams, { place: 'leader', idempotent: true }, ({ streams }) => {
    office.streams(
      streams.map(({ stream, keepAlive, closed }) => ({
        keepAlive: parseKeepAlive(keepAlive ?? {}, streamOf(stream ?? {})),
        closed: closed ?? false,
      })),
    );
    return {};
  });
}

function streamOf({ name, connection }: sublet.peer.v1.KeepAliveStream.$Properties): KeepAliveStream {
  return { stream: name ?? '', connection: connection ?? '' };
}

export class KeepAliveService {
  readonly #options: KeepAliveServiceOptions;
  readonly #relay: PacedRounds<ReceivedKeepAlive, KeepAliveOutcome>;
  readonly #endpoints: readonly [Endpoint, Endpoint];
  readonly #streams: StreamReports;
  readonly #unsubscribe: () => void;
  /** Ends each open stream with the refusal. */
  readonly #open = new Set<(refused: RefusedError) => void>();

  constructor(options: KeepAliveServiceOptions) {
    this.#options = options;
    const { office, report, via, leadership } = options;
    this.#endpoints = [keepAlivesEndpoint(office, report), streamsEndpoint(office)];
    this.#streams = new StreamReports({ via, deliver: (reports) => this.#report(reports) });
    this.#unsubscribe = leadership.onChange(({ seat }) => {
      if (seat.kind === 'here' || seat.kind === 'member') this.#streams.leaderChanged();
    });
    this.#relay = new PacedRounds({
      clock: options.clock,
      intervalMs: relayIntervalMs,
      waitingMax: relayedWaitingMax,
      round: (keepAlives) => this.#passOn(keepAlives),
    });
  }

  /** What followers call. */
  get endpoints(): readonly Endpoint[] {
    return this.#endpoints;
  }

  get method(): StreamMethod {
    const handle: UntypedHandleCall = (stream: Stream) => this.#accept(stream);
    return { path: agentService.keepAlive.path, requestStream: true, handle };
  }

  /** Ends every stream: its agent turns to another master. */
  stop(): void {
    this.#unsubscribe();
    this.#relay.stop();
    // Its agents turn to other masters: to tell the leader that they are gone would be wrong.
    this.#streams.stop();
    for (const end of [...this.#open]) end(new RefusedError('unavailable', 'this master is stopping'));
  }

  /** Begins a stream of a caller. */
  open(caller: Caller): KeepAliveSource {
    return this.#streams.open(caller);
  }

  /** The caller has ended the stream, or its connection has. */
  close(source: KeepAliveSource): void {
    this.#streams.close(source);
  }

  /** @throws RefusedError, ProposeError */
  async keepAlive(
    request: sublet.v1.KeepAliveRequest.$Properties,
    source: KeepAliveSource,
  ): Promise<sublet.v1.KeepAliveResponse.$Properties> {
    const { leadership, office, plan } = this.#options;
    const keepAlive = parseKeepAlive(request, source);
    const action = `keep-alive of agent_id "${keepAlive.agentId}"`;
    checkSelf(action, source.principal, keepAlive.agentId);
    this.#options.foreign(keepAlive.agentId, request);
    checkIncarnation(action, request, plan);
    source.last = keepAlive;
    const outcome = await (leadership.seat.kind === 'here' ? office.keepAlive(keepAlive) : this.#relay.add(keepAlive));
    if (outcome instanceof RefusedError) throw outcome;
    return outcome;
  }

  async #passOn(keepAlives: readonly ReceivedKeepAlive[]): Promise<readonly KeepAliveOutcome[]> {
    const parts: Promise<readonly KeepAliveOutcome[]>[] = [];
    for (let at = 0; at < keepAlives.length; at += relayedAtOnceMax) {
      parts.push(this.#passOnPart(keepAlives.slice(at, at + relayedAtOnceMax)));
    }
    return (await Promise.all(parts)).flat();
  }

  async #passOnPart(keepAlives: readonly ReceivedKeepAlive[]): Promise<readonly KeepAliveOutcome[]> {
    const { keepAlives: method } = forwardMethods;
    const streams = keepAlives.map(({ stream: name, connection }) => ({ name, connection }));
    const request = method.request.encode({ keepAlives: keepAlives.map(requestOf), streams }).finish();
    // Without a deadline of its own: the router bounds how long it waits for a leader.
    const context = { caller: noCaller, deadline: Number.POSITIVE_INFINITY, forwarded: false };
    const { results } = method.response.decode(await this.#options.router.serve(this.#endpoints[0], request, context));
    return results.map(
      ({ response, reason, message, details }) => response ?? refusedByPeer(reason ?? '', message ?? '', details ?? {}),
    );
  }

  /** Without a leader, or one that knows of this, the reports are dropped: the leader's clock does their work, later. */
  async #report(reports: readonly StreamReport[]): Promise<void> {
    const { leadership, office, router } = this.#options;
    if (leadership.seat.kind === 'here') {
      office.streams(reports);
      return;
    }
    const streams = reports.map(({ keepAlive, closed }) => {
      const { stream: name, connection } = keepAlive;
      return { stream: { name, connection }, keepAlive: requestOf(keepAlive), closed };
    });
    const request = forwardMethods.reportStreams.request.encode({ streams }).finish();
    const context = { caller: noCaller, deadline: Number.POSITIVE_INFINITY, forwarded: false };
    try {
      await router.serve(this.#endpoints[1], request, context);
    } catch (error) {
      if (!(error instanceof RefusedError)) throw error;
    }
  }

  #accept(stream: Stream): void {
    const { admission } = this.#options;
    const caller = (this.#options.callerOf ?? byAddress)(stream.getPeer());
    let open = true;
    const source = this.#streams.open(caller);
    const fail = (error: unknown): void => {
      // Ended by this master, not by the caller, which may be about to open another one.
      source.last = undefined;
      if (open) stream.emit('error', streamError(toRefusedError(error, this.#options.report)));
    };
    try {
      admission.enter('stream', caller);
    } catch (error) {
      this.#streams.close(source);
      fail(error);
      return;
    }
    this.#open.add(fail);
    const close = (): void => {
      if (!open) return;
      open = false;
      this.#open.delete(fail);
      this.#streams.close(source);
      admission.leave('stream', caller);
    };
    stream.on('data', (bytes: Buffer) => {
      stream.pause();
      this.#answer(bytes, source).then((response) => {
        if (open) stream.write(response);
        stream.resume();
      }, fail);
    });
    // Whatever ends the stream (the agent, its connection, a refusal above) closes it.
    stream.on('end', () => stream.end());
    stream.on('cancelled', close);
    stream.on('close', close);
  }

  async #answer(bytes: Buffer, source: KeepAliveSource): Promise<Uint8Array> {
    const { path, request, response } = agentService.keepAlive;
    return response.encode(await this.keepAlive(decode(path, request, bytes), source)).finish();
  }
}

function refusedResult({ reason, message, details }: RefusedError): sublet.peer.v1.KeepAliveResult.$Properties {
  return { reason, message, details };
}

function requestOf(keepAlive: ReceivedKeepAlive): sublet.v1.KeepAliveRequest.$Properties {
  const { agentId, instanceId, epoch, runId = '', clusterId, revision, branch } = keepAlive;
  return { agentId, instanceId, epoch, runId, clusterId, revision, branch };
}
