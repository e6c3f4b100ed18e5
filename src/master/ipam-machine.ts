/**
 * The address plan as the state machine that a replica replicates. It decodes, applies and restores, and keeps the plan
 * in memory for readers; it decides nothing.
 */
import { decodeCommand } from '#ipam/codec/command-codec.js';
import type { Event } from '#ipam/commands/event.js';
import { Ipam, type Outcome } from '#ipam/ipam.js';
import type { Network } from '#ipam/network.js';
import type { ApplyPosition, RecordChange, StateMachine, StateRecord } from '#replica/ports/state-machine.js';

/** What became of a command, and the network right after it if that changed (a reader may look much later). */
export type PlanOutcome = Pick<Outcome, 'result' | 'events'> & { readonly network: Network | undefined };

export class IpamMachine implements StateMachine<PlanOutcome> {
  #ipam = new Ipam();
  #time = 0;

  /** The plan as it is now; replaced as a whole by `restore`, so ask anew each time. */
  get ipam(): Ipam {
    return this.#ipam;
  }

  /** The same object until it changes. */
  get network(): Network | undefined {
    return this.#ipam.network;
  }

  /** Cluster time of the last command, in ms. */
  get time(): number {
    return this.#time;
  }

  apply(
    command: Uint8Array,
    at: ApplyPosition,
  ): { readonly output: PlanOutcome; readonly changes: readonly RecordChange[] } {
    const outcome = this.#ipam.apply(decodeCommand(command), { index: at.index, time: at.time });
    this.#time = at.time;
    const { result, events, changes } = outcome;
    const network = events.some(concernsNetwork) ? this.network : undefined;
    return { output: { result, events, network }, changes };
  }

  async restore(records: AsyncIterable<readonly StateRecord[]>, at: ApplyPosition): Promise<void> {
    const restoration = Ipam.restoration();
    for await (const batch of records) {
      for (const { key, value } of batch) restoration.add(key, value);
    }
    this.#ipam = restoration.finish();
    this.#time = at.time;
  }
}

/** Whether what all agents share has changed, rather than one agent. */
function concernsNetwork(event: Event): boolean {
  return event.kind === 'network-changed' || event.kind === 'overlay-changed' || event.kind === 'overlay-removed';
}
