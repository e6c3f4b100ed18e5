/**
 * The replicated plan as the services use it: propose a change and get its answer or a refusal, read it at a
 * linearizable point or as it is.
 */

import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { Command } from '#ipam/commands/command.js';
import type { Answer } from '#ipam/commands/result.js';
import type { Ipam } from '#ipam/ipam.js';
import type { Network } from '#ipam/network.js';
import type { IpamMachine, PlanOutcome } from '#master/ipam-machine.js';
import { refusedByPlan } from '#master/server/refusal-mapping.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Applied, ReplicatedLog } from '#replica/ports/replicated-log.js';

export type PlanOptions = {
  readonly log: ReplicatedLog<PlanOutcome>;
  readonly machine: IpamMachine;
  readonly clock: Clock;
  readonly clusterId: string;
};

export class PlanClient {
  readonly clusterId: string;
  readonly #log: ReplicatedLog<PlanOutcome>;
  readonly #machine: IpamMachine;
  readonly #clock: Clock;
  #appliedAt: number;
  #incarnation = noIncarnation;

  constructor({ log, machine, clock, clusterId }: PlanOptions) {
    this.clusterId = clusterId;
    this.#log = log;
    this.#machine = machine;
    this.#clock = clock;
    this.#appliedAt = clock.now();
    log.onApplied(() => {
      this.#appliedAt = clock.now();
    });
    log.onRestored(() => {
      this.#appliedAt = clock.now();
    });
  }

  /** Which incarnation of the cluster it is of; empty as long as this master does not know, or if none was drawn. */
  get incarnation(): string {
    // It never changes, and a status is made anew each time.
    if (this.#incarnation === noIncarnation) this.#incarnation = this.#log.status().membership.incarnation;
    return this.#incarnation;
  }

  /** As it is now on this master. */
  get ipam(): Ipam {
    return this.#machine.ipam;
  }

  get network(): Network | undefined {
    return this.#machine.network;
  }

  /** Cluster time now, by the last command and the clock since, in ms. It may lag behind the leader's. */
  get time(): number {
    return this.#machine.time + Math.max(0, this.#clock.now() - this.#appliedAt);
  }

  /**
   * Carries out a change. Leader only.
   * @throws RefusedError as the plan refused it; ProposeError
   */
  change(command: Command): Promise<Answer> {
    return this.#log.propose(encodeCommand(command)).then(answerOf);
  }

  /** The plan at or after everything acknowledged before the call; `stale`: as it is. @throws ProposeError */
  async read(stale: boolean): Promise<Ipam> {
    if (!stale) await this.#log.readBarrier();
    return this.#machine.ipam;
  }
}

function answerOf({ output: { result } }: Applied<PlanOutcome>): Answer {
  if (result.kind === 'refused') throw refusedByPlan(result);
  return result;
}
