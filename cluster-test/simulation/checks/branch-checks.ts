/**
 * A plan that went back is found. All disks may be put back to an earlier moment; agents remember what they were
 * answered in the lost part of the history. The model follows the branch marks in the log. An agent that brings a
 * revision of another branch is granted nothing before an adoption has begun, and the epochs of that adoption are none
 * that the lost part can have granted.
 */
import type { RegisterRequest } from '#agent/master-api.js';
import type { World } from '#cluster-test/simulation/world/world.js';

/** Epochs are numbered from a base, a multiple of this. */
const epochStep = 2 ** 32;
/** A plan forgets older marks than so many. */
const marksMax = 256;

export class BranchChecks {
  readonly #world: World;
  #marks: { readonly index: number; readonly value: string }[] = [];
  /** When an adoption began or ended, by ascending index. */
  #adoptions: { readonly index: number; readonly adoption: boolean }[] = [];
  /** Epochs that were granted last, in steps. */
  #base = 0;

  constructor(world: World) {
    this.#world = world;
  }

  fork(): BranchChecks {
    const fork = new BranchChecks(this.#world);
    fork.#marks = [...this.#marks];
    fork.#adoptions = [...this.#adoptions];
    fork.#base = this.#base;
    return fork;
  }

  began(index: number, value: string): void {
    this.#marks.push({ index, value });
  }

  /** The plan after the command at `index`. */
  applied(index: number, adoption: boolean): void {
    if ((this.#adoptions.at(-1)?.adoption ?? false) !== adoption) this.#adoptions.push({ index, adoption });
  }

  /** A proof has begun an adoption: the epochs of all agents on record, before and after. */
  adopted(
    index: number,
    { before, after }: { readonly before: readonly number[]; readonly after: readonly number[] },
  ): void {
    this.#world.count('mark: an adoption began on a proof');
    const was = Math.max(this.#base, ...before.map(baseOf));
    // An agent that brought a later base raises it by more than one step.
    this.#base = after.length === 0 ? was + 1 : Math.min(...after.map(baseOf));
    const what = () => `epochs ${before.join(', ')} became ${after.join(', ')} at ${index}`;
    this.#world.check(this.#base > was, 'epochs of a lost branch are not granted again', what);
  }

  /** A registration was granted, and the plan had this revision then. */
  granted({ agentId, held }: RegisterRequest, clusterId: string, revision: number): void {
    const [base = '', index = '', value] = (held?.branch ?? '').split('.');
    const told = held?.revision ?? 0;
    if (held?.clusterId !== clusterId || value === undefined || this.#marks.length >= marksMax) return;
    const here = this.#marks.findLast((mark) => mark.index <= Math.min(told, revision));
    if (here === undefined || (here.value === value && here.index === Number(index))) return;
    this.#world.count('mark: an agent was told of a lost branch');
    const inAdoption = this.#adoptions.findLast((change) => change.index <= revision)?.adoption === true;
    const what = () =>
      `${agentId} has seen revision ${told} on branch ${held.branch}, and got a lease at ${revision}; no adoption had begun`;
    this.#world.check(inAdoption || Number(base) < this.#base, 'a plan that went back is found', what);
  }
}

function baseOf(epoch: number): number {
  return Math.floor(epoch / epochStep);
}
