/**
 * The plan's values as bytes of the API, each made once: a registered agent goes out in the answer and to every
 * watcher, and the network in every answer, as the same bytes.
 */
import type { Agent } from '#ipam/agent.js';
import type { Network } from '#ipam/network.js';
import { agentMessage, networkMessage } from '#master/plan-message.js';
import { sublet } from '#proto/sublet.js';

export class PlanEncoding {
  readonly #agents = new WeakMap<Agent, Uint8Array>();
  readonly #networks = new WeakMap<Network, Uint8Array>();

  /** An encoded `sublet.v1.Agent`, without presence. `reclaimMs` is the network's at the agent's revision. */
  agent(agent: Agent, reclaimMs: number | undefined): Uint8Array {
    const known = this.#agents.get(agent);
    if (known !== undefined) return known;
    const bytes = sublet.v1.Agent.encode(agentMessage(agent, reclaimMs)).finish();
    this.#agents.set(agent, bytes);
    return bytes;
  }

  /** An encoded `sublet.v1.Network`. */
  network(network: Network): Uint8Array {
    const known = this.#networks.get(network);
    if (known !== undefined) return known;
    const bytes = sublet.v1.Network.encode(networkMessage(network)).finish();
    this.#networks.set(network, bytes);
    return bytes;
  }
}
