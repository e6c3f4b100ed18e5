/** What the benchmarks let: an overlay of a /8 in /24s, VTEPs from a /12, and agents to ask for them. */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import type { sublet } from '#proto/sublet.js';

/** Writes a master's configuration into a new temporary folder, for use with `--config`. */
export function benchConfig(): string {
  const file = join(mkdtempSync(join(tmpdir(), 'sublet-bench-')), 'master.json');
  const network = {
    vtep_subnet: '44.128.0.0/12',
    vtep_mac_oui: '70:B3:D5:00:00:00',
    overlays: [{ name: 'bench', subnet: '9.0.0.0/8', prefix: 24 }],
  };
  writeFileSync(file, JSON.stringify({ network }));
  return file;
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
