/**
 * The plan's values as bytes of the API. The network goes out in every answer and every snapshot as the same bytes. An
 * agent's bytes are not remembered: kept for as long as an event waits for a watcher, each would hold on to the pool
 * that Node carved it from, many times its own size.
 */

import type { Network } from '#ipam/network.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import { agentMessage, networkMessage, peerMessage } from '#master/services/plan-message.js';
import { sublet } from '#proto/sublet.js';

export class PlanEncoding {
  readonly #networks = new WeakMap<Network, Uint8Array>();

  /** An encoded `sublet.v1.Agent`, without presence. `reclaimMs` is the network's at the agent's revision. */
  agent(agent: FullAgent, reclaimMs: number | undefined): Uint8Array {
    return sublet.v1.Agent.encode(agentMessage(agent, reclaimMs)).finish();
  }

  /** An encoded `sublet.v1.Peer`. */
  peer(agent: FullAgent): Uint8Array {
    return sublet.v1.Peer.encode(peerMessage(agent)).finish();
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
