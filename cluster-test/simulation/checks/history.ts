/**
 * The history of registrations and reads as their callers saw it. The log gives the order in which they took effect, so
 * linearizable means: what was answered is the state at the revision named, and no call that began after another was
 * answered has an earlier one.
 */

import { leaseOf } from '#agent/lease/lease.js';
import type { RegisterRequest, RegisterResponse } from '#agent/master-api.js';
import { type PlanChecks, sameBlocks } from '#cluster-test/simulation/checks/plan-checks.js';
import type { Asked, RegistrationWitness } from '#cluster-test/simulation/world/simulated-agent.js';
import type { World } from '#cluster-test/simulation/world/world.js';

export class History implements RegistrationWitness {
  readonly #world: World;
  /** Of each life of the cluster; the last one is the present one. */
  readonly #plans: PlanChecks[];
  /** Answers of before tell of a cluster that is lost. */
  #baseRevision = 0;
  /** The newest revision that any caller has seen. */
  #seen = 0;
  /** What other incarnations of the cluster have granted, by incarnation. */
  readonly apart = new Map<string, PlanChecks>();
  /** Calls that began in another life of the cluster say nothing of this one. */
  #life = 0;

  constructor(world: World, plan: PlanChecks) {
    this.#world = world;
    this.#plans = [plan];
  }

  /** How often the cluster began anew, or went back. */
  get life(): number {
    return this.#life;
  }

  /** The cluster is lost, and with it what was answered last; `begunAnew` says what counts again. */
  lost(): void {
    this.#baseRevision = Number.POSITIVE_INFINITY;
  }

  begunAnew(plan: PlanChecks): void {
    this.#plans.push(plan);
    this.#baseRevision = plan.base;
    this.#seen = plan.base;
    this.#life += 1;
  }

  /**
   * All disks were put back: what was answered since then is of another branch, and what was answered before still
   * holds.
   */
  wentBack(plan: PlanChecks): void {
    this.begunAnew(plan);
    this.#seen = plan.revision;
  }

  /** Before a call: what its answer must not be older than. */
  asked(): Asked {
    return { life: this.#life, seen: this.#seen };
  }

  answered(what: string, revision: number, { life, seen }: Asked): void {
    // A call that began in a former life may have been answered in it: its revision may be of a branch that is lost.
    if (revision < this.#baseRevision || life !== this.#life) return;
    const stale = () => `${what} was answered with revision ${revision}; ${seen} had been seen before it was asked`;
    this.#world.check(revision >= seen, 'linearizable history', stale);
    this.#seen = Math.max(this.#seen, revision);
  }

  granted(request: RegisterRequest, response: RegisterResponse, asked: Asked): void {
    const agentId = request.agentId ?? '';
    const { epoch, revision, instanceId, vxlan, overlays, clusterId, incarnation } = leaseOf(response);
    const apart = this.apart.get(incarnation);
    this.#world.count('registrations acknowledged');
    this.#world.trace('granted', epoch, () => `${agentId} at ${revision}`);
    if (apart === undefined) {
      this.answered(`registration of ${agentId}`, revision, asked);
      if (revision < this.#baseRevision) return;
    } else this.#world.count('mark: another incarnation granted what a host runs on');
    const subnets = overlays.flatMap(({ name, subnet }) => (subnet === '' ? [] : [`${name} ${subnet}`]));
    const blocks = [`vtep ${vxlan.vtepIp.replace(/\/\d+$/, '')}`, ...subnets];
    const isSame = (plan: PlanChecks): boolean => {
      const holding = plan.at(agentId, revision);
      if (holding?.epoch !== epoch || holding.instanceId !== instanceId) return false;
      return sameBlocks(holding.blocks, blocks);
    };
    // Of the life in which it was answered, which is that of the call or a later one.
    const plans = apart === undefined ? this.#plans.slice(asked.life) : [apart];
    const plan = plans.findLast(isSame);
    const what = () =>
      `${agentId} was told ${blocks.join(', ')} at epoch ${epoch}, revision ${revision}; the log has ${JSON.stringify(plans.at(-1)?.at(agentId, revision))}`;
    this.#world.check(plan !== undefined, 'acknowledged allocations survive', what);
    plan?.branches.granted(request, clusterId, revision);
    if (apart !== undefined) this.#checkApart(apart, request, blocks);
  }

  /** Of two incarnations of a cluster, restored from one plan, one at most may allocate; here the other one. */
  #checkApart(plan: PlanChecks, { agentId, held }: RegisterRequest, blocks: readonly string[]): void {
    const restored = plan.at(agentId ?? '', plan.base)?.blocks ?? [];
    const claimed = (held?.subnets ?? []).map(({ overlay, subnet }) => `${overlay} ${subnet}`);
    const known = new Set([...restored, ...claimed, `vtep ${held?.vtepIp?.replace(/\/\d+$/, '')}`]);
    const fresh = blocks.find((block) => !known.has(block));
    const what = () => `${agentId} got ${fresh}, which it did not have, while another incarnation runs`;
    this.#world.check(fresh === undefined, 'one incarnation allocates', what);
  }
}
