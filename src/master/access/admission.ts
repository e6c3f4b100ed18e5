/**
 * How much one client, and all together, may have under way at a master. With TLS a client is an identity. Without it, it is
 * an address without its port: all agents of one host count together.
 */
import { RefusedError } from '#api/refusal.js';
import { type Caller, hasEnded } from '#tls/caller.js';
import { formatPrincipal, type Role } from '#tls/principal.js';

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

type OfClient = Pick<AdmissionLimits, 'callsPerClient' | 'streamsPerClient'>;

/**
 * An agent has a watch and a keep-alive. After a cut of the network a master finds out within 50 s that the former ones are
 * gone, and meanwhile the agent may have come back several times.
 */
const agentLimits: OfClient = { callsPerClient: 8, streamsPerClient: 16 };
const operatorLimits: OfClient = { callsPerClient: 64, streamsPerClient: 16 };
/** Of all calls and streams, what is kept for operators and admins. */
const reservedPart = 0.1;

export type Admitted = 'call' | 'stream';
type Use = { calls: number; streams: number };
type Client = { readonly name: string; readonly role: Role | undefined };

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
  enter(what: Admitted, caller: Caller): void {
    if (hasEnded(caller)) throw new RefusedError('unavailable', 'the connection of this call has ended');
    const client = clientOf(caller);
    const { name } = client;
    const use = this.#clients.get(name) ?? { calls: 0, streams: 0 };
    const { callsPerClient, streamsPerClient } = this.#ofClient(client);
    const { calls, streams } = this.#ofAll(client);
    if (what === 'call') {
      this.#check(use.calls < callsPerClient, `calls under way of ${name}`, use.calls, callsPerClient);
      this.#check(this.#total.calls < calls, 'calls under way of all clients', this.#total.calls, calls);
    } else {
      this.#check(use.streams < streamsPerClient, `open streams of ${name}`, use.streams, streamsPerClient);
      this.#check(this.#total.streams < streams, 'open streams of all clients', this.#total.streams, streams);
    }
    this.#add(use, what, 1);
    this.#clients.set(name, use);
  }

  leave(what: Admitted, caller: Caller): void {
    const { name } = clientOf(caller);
    const use = this.#clients.get(name);
    if (use === undefined) throw new RangeError(`${name} left without having entered`);
    this.#add(use, what, -1);
    if (use.calls === 0 && use.streams === 0) this.#clients.delete(name);
  }

  #ofClient({ role }: Client): OfClient {
    if (role === undefined) return this.#limits;
    return role === 'agent' ? agentLimits : operatorLimits;
  }

  /** Without TLS nothing tells operators from others, and nothing is kept for them. */
  #ofAll({ role }: Client): Pick<AdmissionLimits, 'calls' | 'streams'> {
    if (role === undefined || role === 'operator' || role === 'admin') return this.#limits;
    const { calls, streams } = this.#limits;
    return { calls: Math.floor(calls * (1 - reservedPart)), streams: Math.floor(streams * (1 - reservedPart)) };
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

/** By its identity, `agent/host-7`; without TLS by its address, `10.0.0.1`. */
export function clientOf({ principal, address }: Caller): Client {
  if (principal !== undefined) return { name: formatPrincipal(principal), role: principal.role };
  const colon = address.lastIndexOf(':');
  return { name: colon === -1 ? address : address.slice(0, colon), role: undefined };
}
