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

/** By gRPC status, or `ended` with the connection. */
export type FloodOutcomes = ReadonlyMap<string, number>;

/** Calls that each has under way. */
const atOnce = 4;
const reportMs = 100;

export class CallFlood implements AsyncDisposable {
  readonly #worker: Worker;
  #outcomes: FloodOutcomes = new Map();

  constructor(options: CallFloodOptions) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: options });
    this.#worker.on('message', (outcomes: FloodOutcomes) => {
      this.#outcomes = outcomes;
    });
  }

  /** So far. */
  get outcomes(): FloodOutcomes {
    return this.#outcomes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#worker.terminate();
  }
}

function flood({ api, ca, identities }: CallFloodOptions): void {
  const outcomes = new Map<string, number>();
  setInterval(() => parentPort?.postMessage(outcomes), reportMs);
  const turn = async (identity: FloodIdentity): Promise<void> => {
    const register = agentService.register.request.encode(registration(identity.number)).finish();
    const kinds = [
      [agentService.register.path, register],
      [operatorService.listAgents.path, new Uint8Array()],
      ['/sublet.v1.AgentService/Nothing', new Uint8Array()],
    ] as const;
    for (;;) {
      const session = openSession(api, { ...identity, ca });
      const calls = async (first: number): Promise<void> => {
        for (let call = first; !session.destroyed && !session.closed; call++) {
          const [path, request] = kinds[call % kinds.length] ?? kinds[0];
          const outcome = await statusOf(session, path, request);
          outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
        }
      };
      await Promise.all(Array.from({ length: atOnce }, (_, at) => calls(at)));
      session.destroy();
    }
  };
  for (const identity of identities) void turn(identity);
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
