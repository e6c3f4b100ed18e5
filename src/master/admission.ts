/**
 * How much one client, and all together, may have under way at a master. A client is an address without its port:
 * all agents of one host count together.
 */
import { RefusedError } from '#api/refusal.js';

export type AdmissionLimits = {
  /** Unary calls under way, of one client and in total. */
  readonly callsPerClient: number;
  readonly calls: number;
  /** Open streams (keep-alives, watches), of one client and in total. */
  readonly streamsPerClient: number;
  readonly streams: number;
};

/** A master serves 65,000 agents, each with a watch and a keep-alive; behind one address there may be many. */
export const defaultAdmissionLimits: AdmissionLimits = {
  callsPerClient: 2_048,
  calls: 8_192,
  streamsPerClient: 20_000,
  streams: 140_000,
};

export type Admitted = 'call' | 'stream';
type Use = { calls: number; streams: number };

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clients = new Map<string, Use>();
  readonly #total: Use = { calls: 0, streams: 0 };
  #refused = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get total(): Readonly<Use> {
    return this.#total;
  }

  /** Calls and streams refused so far. */
  get refused(): number {
    return this.#refused;
  }

  /** Counts one more; `leave` must follow with the same arguments. @throws RefusedError `overloaded` */
  enter(what: Admitted, peer: string): void {
    const client = clientOf(peer);
    const use = this.#clients.get(client) ?? { calls: 0, streams: 0 };
    const { callsPerClient, calls, streamsPerClient, streams } = this.#limits;
    if (what === 'call') {
      this.#check(use.calls < callsPerClient, `calls under way of ${client}`, use.calls, callsPerClient);
      this.#check(this.#total.calls < calls, 'calls under way of all clients', this.#total.calls, calls);
    } else {
      this.#check(use.streams < streamsPerClient, `open streams of ${client}`, use.streams, streamsPerClient);
      this.#check(this.#total.streams < streams, 'open streams of all clients', this.#total.streams, streams);
    }
    this.#add(use, what, 1);
    this.#clients.set(client, use);
  }

  leave(what: Admitted, peer: string): void {
    const client = clientOf(peer);
    const use = this.#clients.get(client);
    if (use === undefined) throw new RangeError(`${client} left without having entered`);
    this.#add(use, what, -1);
    if (use.calls === 0 && use.streams === 0) this.#clients.delete(client);
  }

  #add(use: Use, what: Admitted, change: 1 | -1): void {
    for (const counted of [use, this.#total]) {
      if (what === 'call') counted.calls += change;
      else counted.streams += change;
    }
  }

  #check(fits: boolean, what: string, has: number, limit: number): void {
    if (fits) return;
    this.#refused += 1;
    throw new RefusedError(
      'overloaded',
      `${what}: ${has}, and ${limit} are allowed; try again later or at another master`,
    );
  }
}

/** `10.0.0.1:4711` → `10.0.0.1`. */
export function clientOf(peer: string): string {
  const colon = peer.lastIndexOf(':');
  return colon === -1 ? peer : peer.slice(0, colon);
}
