/**
 * Clients that register and leave, again and again, through any master: the load of the simulation. Each keeps its
 * answers, repeats what was not answered, and now and then sends something late on purpose.
 */

import { MasterError, type RegisterRequest } from '#agent/master-api.js';
import type { History } from '#cluster-test/simulation/checks/history.js';
import { MasterLink } from '#cluster-test/simulation/world/master-link.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SimulatedNetwork } from '#cluster-test/simulation/world/simulated-network.js';
import { Machine, SimulatedProcess } from '#cluster-test/simulation/world/world.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';

type Client = {
  readonly agentId: string;
  readonly nodeIp: string;
  readonly instanceId: string;
  sequence: number;
  epoch: number | undefined;
  /** Of the lease before. */
  formerEpoch: number | undefined;
  request: RegisterRequest | undefined;
  busy: boolean;
};

export class Storm {
  readonly process: SimulatedProcess;
  readonly #random: SeededRandom;
  readonly #history: History;
  readonly #links: readonly MasterLink[];
  readonly #clients: readonly Client[];
  readonly #meanMs: number;

  constructor(parts: {
    readonly network: SimulatedNetwork;
    readonly masters: () => readonly SimulatedMaster[];
    readonly history: History;
    readonly clients: number;
    readonly meanMs: number;
  }) {
    const { world } = parts.network;
    this.process = new SimulatedProcess(new Machine(world, 'storm', 1), 'storm');
    this.#random = world.random('storm');
    this.#history = parts.history;
    this.#meanMs = parts.meanMs;
    const { network, masters } = parts;
    const connection = (): string => 'storm:4000';
    this.#links = [0, 1, 2].map(
      (first) => new MasterLink({ network, process: this.process, masters, first, connection }),
    );
    this.#clients = Array.from({ length: parts.clients }, (_, at) => ({
      agentId: `s${at}`,
      nodeIp: `10.1.0.${at + 1}`,
      instanceId: `s${at}-1`,
      sequence: 0,
      epoch: undefined,
      formerEpoch: undefined,
      request: undefined,
      busy: false,
    }));
  }

  start(): void {
    this.#later();
  }

  #later(): void {
    this.process.clock.after(1 + this.#random.below(2 * this.#meanMs), () => {
      const client = this.#clients[this.#random.below(this.#clients.length)];
      if (client !== undefined && !client.busy) this.#act(client);
      this.#later();
    });
  }

  #act(client: Client): void {
    const link = this.#links[this.#random.below(this.#links.length)];
    if (link === undefined) return;
    const chance = this.#random.below(100);
    client.busy = true;
    const done = (): void => {
      client.busy = false;
    };
    if (client.epoch !== undefined && chance < 40) this.#leave(client, link, client.epoch).finally(done);
    // A late one, which must be refused.
    else if (client.formerEpoch !== undefined && chance < 50) {
      this.#leave(client, link, client.formerEpoch).finally(done);
    } else this.#register(client, link).finally(done);
  }

  async #register(client: Client, link: MasterLink): Promise<void> {
    if (client.request === undefined) {
      client.sequence += 1;
      const { agentId, nodeIp, instanceId, sequence } = client;
      const networkConfig = { enableIpv6: false };
      client.request = { agentId, nodeIp, instanceId, sequence, hostname: agentId, networkConfig };
    }
    const { request } = client;
    const asked = this.#history.asked();
    try {
      const response = await link.register(request);
      client.request = undefined;
      this.#history.granted(request, response, asked);
      const epoch = response.lease?.epoch ?? undefined;
      if (epoch !== client.epoch) client.formerEpoch = client.epoch ?? client.formerEpoch;
      client.epoch = epoch;
    } catch (error) {
      if (!(error instanceof MasterError)) throw error;
      // Anything but "ask again" is an answer.
      if (error.kind !== 'unavailable') client.request = undefined;
    }
  }

  async #leave(client: Client, link: MasterLink, epoch: number): Promise<void> {
    const { agentId, instanceId } = client;
    try {
      await link.leave({ agentId, instanceId, epoch });
      if (client.epoch !== epoch) return;
      client.formerEpoch = epoch;
      client.epoch = undefined;
    } catch (error) {
      if (!(error instanceof MasterError)) throw error;
      if (error.kind === 'aborted' && client.epoch === epoch) client.epoch = undefined;
    }
  }
}
