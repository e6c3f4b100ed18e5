/**
 * Many agents in one process, each with connections of its own to real masters, as on hosts of their own; only what they
 * keep is in memory, and their hosts do nothing.
 */
import { randomUUID } from 'node:crypto';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { Agent } from '#agent/agent.js';
import { GrpcMasterApi } from '#agent/grpc-master-api.js';
import { systemBootClock } from '#agent/state/boot-clock.js';
import { FakeHost } from '#agent/testing/fake-host.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import { MasterClient } from '#api/master-client.js';
import { registration } from '#cluster-test/bench/plan.js';
import { defaultHostSettings } from '#host/input.js';
import { systemClock } from '#replica/ports/system-clock.js';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export class AgentCrowd implements AsyncDisposable {
  readonly agents: readonly Agent[];
  readonly #clients: readonly MasterClient[];

  /** Starts `count` agents, numbered from `first`; number n begins at master n modulo their count, with the credentials of its number. */
  constructor(
    count: number,
    masters: readonly string[],
    credentialsOf: (number: number) => ChannelCredentials = () => credentials.createInsecure(),
    first = 0,
  ) {
    const numbers = Array.from({ length: count }, (_, at) => first + at);
    this.#clients = numbers.map((number) => {
      const own = number % masters.length;
      return new MasterClient({
        masters: [...masters.slice(own), ...masters.slice(0, own)],
        credentials: credentialsOf(number),
      });
    });
    this.agents = this.#clients.map((client, at) => start(first + at, client));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.agents.map((agent) => agent.stop()));
    for (const client of this.#clients) client.close();
  }
}

function start(number: number, client: MasterClient): Agent {
  const { agentId, nodeIp, hostname } = registration(number);
  const agent = new Agent({
    agentId: agentId ?? '',
    hostname: hostname ?? '',
    networkConfig: {},
    takeover: false,
    settings: defaultHostSettings,
    nodeIp: async () => nodeIp ?? '',
    api: new GrpcMasterApi(client),
    host: new FakeHost(),
    store: new MemoryStore(),
    clock: systemClock,
    bootClock: systemBootClock(),
    random: Math.random,
    newInstanceId: randomUUID,
    newRunId: randomUUID,
    log: silent,
    failed: (error) => {
      throw error;
    },
  });
  agent.start();
  return agent;
}
