/**
 * A stream of registrations that goes on while operators do their work, and an account of it kept apart from the masters:
 * what was acknowledged, how long the longest wait was, and whether the masters still know all of it.
 */
import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { MasterClient } from '#api/master-client.js';
import { agentService, operatorService } from '#api/services.js';
import { registration } from '#cluster-test/bench/plan.js';

export type StormOptions = {
  /** API addresses, asked anew for each call: the masters come and go. */
  readonly addresses: () => readonly string[];
  /** Registrations at a time. */
  readonly clients: number;
  /** Between two of one client, in ms; 0 for as fast as it goes. */
  readonly pauseMs: number;
  /** Number of the first agent; default 0. */
  readonly first?: number;
};

const callTimeoutMs = 5_000;
const retryAfterMs = 20;
const pageSize = 1_000;

export class Storm implements AsyncDisposable {
  readonly #options: StormOptions;
  /** VTEP address by agent id, as acknowledged. */
  readonly #acknowledged = new Map<string, string>();
  readonly #workers: readonly Promise<void>[];
  #next: number;
  #running = true;
  #longestWaitMs = 0;
  #refusals = 0;
  #lastRefusal = '';

  constructor(options: StormOptions) {
    this.#options = options;
    this.#next = options.first ?? 0;
    this.#workers = Array.from({ length: options.clients }, (_, worker) => this.#work(worker));
  }

  get acknowledged(): number {
    return this.#acknowledged.size;
  }

  /** From a registration's first attempt to its acknowledgement, retries and all. */
  get longestWaitMs(): number {
    return this.#longestWaitMs;
  }

  /** Attempts that failed and were made again. */
  get refusals(): number {
    return this.#refusals;
  }

  get lastRefusal(): string {
    return this.#lastRefusal;
  }

  /** Waits until the calls in flight have ended. */
  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#workers);
  }

  /** Fails unless the masters know every acknowledged agent with its address, and no address has two holders. */
  async check(addresses: readonly string[]): Promise<void> {
    const held = await holders(addresses);
    for (const [agentId, vtepIp] of this.#acknowledged) assert.equal(held.get(agentId), vtepIp, agentId);
    assert.equal(new Set(held.values()).size, held.size, 'an address is in two hands');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #work(worker: number): Promise<void> {
    let client: { readonly of: string; readonly calls: MasterClient } | undefined;
    while (this.#running) {
      const number = this.#next++;
      const begin = performance.now();
      for (let done = false; !done && this.#running; ) {
        const addresses = this.#options.addresses();
        if (client?.of !== addresses.join()) {
          client?.calls.close();
          client = { of: addresses.join(), calls: clientOf(addresses, worker) };
        }
        done = await this.#register(number, client.calls);
      }
      this.#longestWaitMs = Math.max(this.#longestWaitMs, performance.now() - begin);
      await delay(this.#options.pauseMs);
    }
    client?.calls.close();
  }

  async #register(number: number, client: MasterClient): Promise<boolean> {
    try {
      const { agent } = await client.call(agentService.register, registration(number), { idempotent: true });
      this.#acknowledged.set(agent?.agentId ?? '', agent?.vxlan?.vtepIp ?? '');
      return true;
    } catch (error) {
      this.#refusals += 1;
      this.#lastRefusal = String(error);
      client.next();
      await delay(retryAfterMs);
      return false;
    }
  }
}

/** Clients begin with different masters. */
function clientOf(addresses: readonly string[], worker: number): MasterClient {
  const first = worker % addresses.length;
  const masters = [...addresses.slice(first), ...addresses.slice(0, first)];
  return new MasterClient({ masters, timeoutMs: callTimeoutMs });
}

/** VTEP address by agent id, as the masters have it now. */
export async function holders(addresses: readonly string[]): Promise<Map<string, string>> {
  const client = new MasterClient({ masters: addresses, timeoutMs: callTimeoutMs });
  try {
    const held = new Map<string, string>();
    let pageToken = '';
    do {
      const page = await client.call(operatorService.listAgents, { pageSize, pageToken }, { idempotent: true });
      for (const { agentId, vxlan } of page.agents) held.set(agentId ?? '', vxlan?.vtepIp ?? '');
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    return held;
  } finally {
    client.close();
  }
}
