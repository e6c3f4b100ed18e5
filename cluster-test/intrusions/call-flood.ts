/**
 * Agents that call a master without pause, in a thread of their own, so that their work is not in what the spec measures:
 * registrations of their own, lists that are not for them, and methods that there are not. A connection that the master ends
 * is opened again.
 */
import type { ClientHttp2Session, IncomingHttpHeaders } from 'node:http2';
import { parentPort, Worker, workerData } from 'node:worker_threads';
import { agentService, operatorService } from '#api/services.js';
import { registration } from '#cluster-test/bench/plan.js';
import { callOn, openSession } from '#tls/testing/http2-session.js';

export type FloodIdentity = {
  /** Of its agent, as `registration` takes it. */
  readonly number: number;
  readonly cert: string;
  readonly key: string;
};

export type CallFloodOptions = {
  /** HOST:PORT. */
  readonly api: string;
  readonly ca: string;
  readonly identities: readonly FloodIdentity[];
};

/** Calls by gRPC status, or `ended` with the connection. */
export type FloodOutcomes = ReadonlyMap<string, number>;

/** What has come of one identity's calls. */
export type FlooderReport = {
  readonly number: number;
  readonly outcomes: FloodOutcomes;
  /** Connections that it has opened. */
  readonly connections: number;
  /** Since its first one. */
  readonly tookMs: number;
};

/** Calls that each has under way. */
export const callsAtOnce = 4;
const reportMs = 100;

export class CallFlood implements AsyncDisposable {
  readonly #worker: Worker;
  #reports: readonly FlooderReport[] = [];

  constructor(options: CallFloodOptions) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: options });
    this.#worker.on('message', (reports: readonly FlooderReport[]) => {
      this.#reports = reports;
    });
  }

  /** Of each identity, so far. */
  get reports(): readonly FlooderReport[] {
    return this.#reports;
  }

  /** Of all together, so far. */
  get outcomes(): FloodOutcomes {
    const all = new Map<string, number>();
    for (const { outcomes } of this.#reports) {
      for (const [status, count] of outcomes) all.set(status, (all.get(status) ?? 0) + count);
    }
    return all;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

function flood({ api, ca, identities }: CallFloodOptions): void {
  const flooders = identities.map((identity) => ({
    identity,
    outcomes: new Map<string, number>(),
    connections: 0,
    beganMs: performance.now(),
  }));
  setInterval(() => {
    const now = performance.now();
    const reports: readonly FlooderReport[] = flooders.map(({ identity, outcomes, connections, beganMs }) => ({
      number: identity.number,
      outcomes,
      connections,
      tookMs: now - beganMs,
    }));
    parentPort?.postMessage(reports);
  }, reportMs);
  const turn = async (flooder: (typeof flooders)[number]): Promise<void> => {
    const { identity, outcomes } = flooder;
    const register = agentService.register.request.encode(registration(identity.number)).finish();
    const kinds = [
      [agentService.register.path, register],
      [operatorService.listAgents.path, new Uint8Array()],
      ['/sublet.v1.AgentService/Nothing', new Uint8Array()],
    ] as const;
    for (;;) {
      const session = openSession(api, { ...identity, ca });
      flooder.connections += 1;
      const calls = async (first: number): Promise<void> => {
        for (let call = first; !session.destroyed && !session.closed; call++) {
          const [path, request] = kinds[call % kinds.length] ?? kinds[0];
          const outcome = await statusOf(session, path, request);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: callsAtOnce }, (_, at) => calls(at)));
      session.destroy();
    }
  };
  for (const flooder of flooders) void turn(flooder);
}

function statusOf(session: ClientHttp2Session, path: string, request: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    const stream = callOn(session, path, request);
    const look = ({ 'grpc-status': status }: IncomingHttpHeaders): void => {
      if (status !== undefined) resolve(String(status));
    };
    stream.on('response', look).on('trailers', look);
    stream.on('error', () => resolve('ended')).on('close', () => resolve('ended'));
    stream.resume();
  });
}

if (parentPort !== null) flood(workerData);
