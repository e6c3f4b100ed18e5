/** The plan of the benchmarks: an overlay of a /8 in /24s, VTEPs from a /12, and agents to ask for them. */
import { Client, credentials } from '@grpc/grpc-js';
import { agentService } from '#api/services.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { sublet } from '#proto/sublet.js';

/** How long a registration may take, in ms: it ends a bench whose masters hang. */
const timeoutMs = 30_000;
/** Of the clients that are measured. */
export const channelOptions = {
  'grpc.use_local_subchannel_pool': 1,
  // As `MasterClient` has it.
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
};
const same = (bytes: Buffer): Buffer => bytes;

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

/** What a registration was answered with, as it came: a message RegisterResponse. */
export type Answer = Buffer;

/**
 * One connection to each master, all in this process. It shares the processors with the masters that it measures, so it does
 * no more than the echo's client: answers stay bytes, and are looked into once the time is taken.
 */
export class Registrar implements Disposable {
  readonly #clients: readonly Client[];

  constructor(addresses: readonly string[]) {
    this.#clients = addresses.map((address) => new Client(address, credentials.createInsecure(), channelOptions));
  }

  /** Registers agent `number` through master `number` modulo their count. @throws ServiceError */
  register(number: number): Promise<Answer> {
    const client = this.#clients[number % this.#clients.length];
    if (client === undefined) throw new RangeError('a registrar needs an address');
    const { path, encodeRequest } = agentService.register;
    const options = { deadline: Date.now() + timeoutMs };
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(path, encodeRequest, same, registration(number), options, (error, answer) =>
        answer === undefined ? reject(error) : resolve(answer),
      );
    });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}

/** The agent that an answer is about. @throws when the answer has none */
export function agentOf(answer: Answer): sublet.v1.Agent.$Properties {
  const { agent } = sublet.v1.RegisterResponse.decode(answer);
  if (agent == null) throw new Error('a registration was answered without an agent');
  return agent;
}

/** How many answers name a VTEP address, a MAC or a subnet that another one names, or none. */
export function notLetOnce(answers: readonly Answer[]): number {
  const taken = new Set<string>();
  let wrong = 0;
  for (const { vxlan, overlays } of answers.map(agentOf)) {
    const names = [vxlan?.vtepIp, vxlan?.vtepMac, ...(overlays ?? []).map(({ subnet }) => subnet)];
    if (names.length < 3 || names.some((name) => !name || taken.has(name))) wrong += 1;
    for (const name of names) taken.add(name ?? '');
  }
  return wrong;
}
