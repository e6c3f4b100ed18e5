/** The state machine of a simulated master: the real one, and the checks that look on. */
import type { ConsensusChecks } from '#cluster-test/simulation/checks/consensus-checks.js';
import type { PlanChecks } from '#cluster-test/simulation/checks/plan-checks.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import type { ApplyPosition, RecordChange, StateMachine, StateRecord } from '#replica/ports/state-machine.js';

export type WatchedBy = { readonly consensus: ConsensusChecks; readonly plan: PlanChecks };

/** The address plan as the replica drives it, with the checks looking on. */
export class WatchedMachine implements StateMachine<PlanOutcome> {
  readonly real = new IpamMachine();
  readonly #name: string;
  readonly #checks: WatchedBy;
  /** In this process. */
  #appliedIndex = 0;

  constructor(name: string, checks: WatchedBy) {
    this.#name = name;
    this.#checks = checks;
  }

  apply(
    command: Uint8Array,
    at: ApplyPosition,
  ): { readonly output: PlanOutcome; readonly changes: readonly RecordChange[] } {
    this.#goOn(at.index);
    const applied = this.real.apply(command, at);
    this.#checks.consensus.applied(this.#name, at.index, at.term);
    this.#checks.plan.applied(this.#name, command, at, applied.output, this.real.ipam);
    return applied;
  }

  async restore(records: AsyncIterable<readonly StateRecord[]>, at: ApplyPosition): Promise<void> {
    await this.real.restore(records, at);
    this.#goOn(at.index);
    this.#checks.plan.restored(this.#name, at.index, this.real.ipam);
  }

  #goOn(index: number): void {
    this.#checks.consensus.appliedAfter(this.#name, this.#appliedIndex, index);
    this.#appliedIndex = index;
  }
}
