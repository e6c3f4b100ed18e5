/**
 * Node addresses that their holders have left: an agent that asks for another address is no longer at its recorded one,
 * also while the other one is refused. So hosts whose addresses were shuffled get what they ask for after one round of
 * requests, though each of these addresses is on record for a live agent. The leader's account, in its memory only.
 */
import type { Ip } from '#address/ip.js';
import type { AgentId } from '#ipam/identity.js';
import type { LeaseRef, PlacedLease } from '#ipam/ipam.js';
import type { Clock } from '#replica/ports/clock.js';

/** A refused agent asks again more often than this, in ms; one that asks no more may be back at its address. */
export const leftMs = 60_000;

export class LeftAddresses {
  readonly #clock: Clock;
  /** One for each lease at most. */
  readonly #left = new Map<AgentId, { readonly nodeIp: Ip; readonly at: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The process that has the lease asks for `nodeIp`. */
  asked({ agentId, nodeIp: present }: PlacedLease, nodeIp: Ip): void {
    if (nodeIp === present) this.#left.delete(agentId);
    else this.#left.set(agentId, { nodeIp: present, at: this.#clock.now() });
  }

  /** Whether the agent has left this address, which is on record for it. */
  has({ agentId }: LeaseRef, nodeIp: Ip): boolean {
    const left = this.#left.get(agentId);
    return left?.nodeIp === nodeIp && this.#clock.now() - left.at < leftMs;
  }

  forget(agentId: AgentId): void {
    this.#left.delete(agentId);
  }

  clear(): void {
    this.#left.clear();
  }
}
