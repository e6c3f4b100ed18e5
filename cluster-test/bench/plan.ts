/** What the benchmarks let: an overlay of a /8 in /24s, VTEPs from a /12, and agents to ask for them. */
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { fixture } from '#cluster-test/process/fixture.js';
import type { sublet } from '#proto/sublet.js';

/** A master's configuration, for use with `--config`. */
export function benchConfig(): string {
  return fixture('bench-master.json');
}

/** The request of agent number 0 … 2^20 − 1, each with an id and a node address of its own. */
export function registration(number: number, sequence = 1): sublet.v1.RegisterRequest.$Properties {
  const [a, b, c] = [number >> 16, (number >> 8) & 255, number & 255];
  return {
    agentId: `agent-${number}`,
    instanceId: `instance-${number}`,
    sequence,
    nodeIp: `172.${16 + a}.${b}.${c}`,
    hostname: `host-${number}`,
  };
}

/** One client for each master, all in this process. */
export class Registrar implements Disposable {
  readonly #clients: readonly MasterClient[];

  constructor(addresses: readonly string[]) {
    this.#clients = addresses.map((address) => new MasterClient({ masters: [address], timeoutMs: 30_000 }));
  }

  /** Registers agent `number` through master `number` modulo their count. */
  register(number: number): Promise<sublet.v1.RegisterResponse> {
    const client = this.#clients[number % this.#clients.length];
    if (client === undefined) throw new RangeError('a registrar needs an address');
    return client.call(agentService.register, registration(number), { idempotent: true });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
