/** Changes of the plan, made one after the other, each only if nothing that it depends on has changed. */
import { status } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { isServiceError, type MasterClient } from '#api/master-client.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { masterFailure } from '#cli/operator/refusal-words.js';
import { readLivePlan } from '#cli/plan-file/live-plan.js';
import { makeCall, planCommandOf } from '#cli/plan-file/plan-calls.js';
import type { LivePlan, PlanChange, PlanDiff } from '#cli/plan-file/plan-changes.js';
import { plural } from '#cli/words.js';

/** What the plan is to become, and hints for when it can't. */
export type WantedPlan = {
  /** What is left to change. */
  diff(live: LivePlan): PlanDiff;
  /** 0: any. */
  readonly expectedRevision: number;
  /** How to look again after the plan has moved. */
  readonly look: string;
  /** How to go on after a failure. */
  readonly goOn: string;
  /** The same, where the masters would refuse the same again. */
  readonly mend: string;
};

/** How often other changes of the plan may come between. */
const overtakenMax = 100;

export class Application {
  readonly #client: MasterClient;
  readonly #wanted: WantedPlan;

  constructor(client: MasterClient, wanted: WantedPlan) {
    this.#client = client;
    this.#wanted = wanted;
  }

  /**
   * Each change is bound to the revision that it was found at. When another change came between, the plan is read again: if
   * the same changes are left, as after the registration of an agent, they are made at the new revision.
   * @returns the revision after the last one
   */
  async make({ revision: first }: LivePlan, changes: readonly PlanChange[]): Promise<number> {
    let revision = first;
    let overtaken = 0;
    for (let at = 0; at < changes.length; ) {
      const change = changes[at];
      if (change === undefined) break;
      try {
        revision = await makeCall(this.#client, change.call, revision);
        at++;
      } catch (error) {
        if (!isOvertaken(error)) throw this.#stopped(error, at, changes);
        overtaken++;
        if (overtaken > overtakenMax) throw this.#moved('changes all the time', at);
        revision = await this.#sameLeft(changes.slice(at), at);
      }
    }
    return revision;
  }

  /** The revision at which just these changes are left. @throws Failure if others are */
  async #sameLeft(left: readonly PlanChange[], made: number): Promise<number> {
    if (this.#wanted.expectedRevision !== 0) throw this.#moved('has changed since that revision', made);
    const live = await readLivePlan(this.#client);
    const { changes, impossible } = this.#wanted.diff(live);
    const commands = (of: readonly PlanChange[]): string => of.map(({ call }) => planCommandOf(call)).join('\n');
    if (impossible.length > 0 || commands(changes) !== commands(left)) throw this.#moved('has changed meanwhile', made);
    return live.revision;
  }

  #moved(how: string, made: number): Failure {
    return new Failure(exitCodes.refused, `the plan ${how}; ${madeSoFar(made)}`, [this.#wanted.look]);
  }

  #stopped(error: unknown, at: number, changes: readonly PlanChange[]): Failure {
    const { exitCode, message, hints } = masterFailure(error);
    const call = changes[at]?.call;
    const command = call === undefined ? '' : planCommandOf(call);
    const isRefusedAgain = isServiceError(error) && error.code === status.INVALID_ARGUMENT;
    return new Failure(
      exitCode,
      `${message}\n  in change ${at + 1} of ${changes.length}: ${command}; ${madeSoFar(at)}`,
      [...hints, isRefusedAgain ? this.#wanted.mend : this.#wanted.goOn],
    );
  }
}

function madeSoFar(made: number): string {
  return made === 0 ? 'nothing was changed' : `${plural(made, 'change')} ${made === 1 ? 'was' : 'were'} made before`;
}

function isOvertaken(error: unknown): boolean {
  return isServiceError(error) && reasonOf(error) === 'aborted';
}
