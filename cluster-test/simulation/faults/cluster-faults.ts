/**
 * Trouble with a whole cluster: all of its masters but one are lost, all or most are put back to copies, or its plan is restored
 * on several machines. What is left begins anew, masters join it again, and an operator ends the adoption that follows.
 */

import type { Operator } from '#cluster-test/simulation/faults/operator.js';
import type { FaultKind } from '#cluster-test/simulation/faults/profile.js';
import type { StoreFaults } from '#cluster-test/simulation/faults/store-faults.js';
import type { Cluster } from '#cluster-test/simulation/world/cluster.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';

export class ClusterFaults {
  readonly #cluster: Cluster;
  readonly #operator: Operator;
  readonly #stores: StoreFaults;
  /** Switched off for a while; then all others are lost, or it comes back with the healing. */
  #away: SimulatedMaster | undefined;

  constructor(cluster: Cluster, operator: Operator, stores: StoreFaults) {
    this.#cluster = cluster;
    this.#operator = operator;
    this.#stores = stores;
  }

  /** Ends what is under way: the master that is away is back, and one cluster of the id is left. */
  heal(): void {
    this.#away?.start();
    const survivor = this.#stores.survivorAtLast;
    if (survivor !== undefined) this.#beginAnew(survivor);
    this.#dismissRivals();
  }

  /** Not while a master is away for good. */
  putAllBack(): void {
    if (this.#away === undefined) this.#stores.putAllBack();
  }

  /** Two of three go back; the third one comes again later, and knows better. */
  putMostBack(random: SeededRandom): void {
    if (this.#away !== undefined) return;
    const { leader } = this.#cluster;
    if (this.#cluster.lives > 0) {
      this.#growAgain();
      return;
    }
    if (leader !== undefined) this.#stores.putMostBack(random);
    const survivor = this.#stores.survivorOfContradiction(random);
    if (survivor !== undefined) this.#beginAnew(survivor);
  }

  /**
   * At some time all is lost but one store, which may have been away for a while, so that it lacks what was acknowledged
   * since. Then masters join again, one at a time, and an operator ends the adoption.
   */
  loseCluster(random: SeededRandom): void {
    const { lives, masters, leader } = this.#cluster;
    const work = leader?.work;
    if (work === undefined) return;
    const { membership } = work.replica.status();
    const isAble = ({ durable: { head, damaged } }: SimulatedMaster): boolean => {
      const isMember = membership.members.some(({ storeId }) => storeId === head?.storeId);
      return isMember && (head?.applied.index ?? 0) > 0 && !damaged;
    };
    if (lives === 0) {
      if (this.#away !== undefined) {
        // One that was removed while it was away is no survivor.
        if (isAble(this.#away)) this.#beginAnew(this.#away);
        else this.#away = undefined;
        return;
      }
      if (random.below(4) > 0) return;
      const able = masters.filter(isAble);
      const survivor = able[random.below(Math.max(1, able.length))];
      if (survivor === undefined) return;
      if (random.below(3) === 0 || survivor === leader) this.#beginAnew(survivor);
      else this.#takeAway(survivor, random);
      return;
    }
    this.#growAgain();
  }

  /** A cluster that began anew: masters join again, one at a time, and an operator ends the adoption. */
  #growAgain(): void {
    const { leader, allCameBack } = this.#cluster;
    const work = leader?.work;
    if (work === undefined) return;
    if (work.replica.status().membership.confState.voters.length < 3) this.#operator.changeMembership();
    if (allCameBack && work.machine.real.ipam.adoption) this.#operator.endAdoption();
  }

  /**
   * All are lost, and the plan of one store is restored on several machines. Each is a cluster of its own then, of the same
   * id. Later an operator has all but the first one join that, and installs the hosts anew that run on what another granted.
   */
  restoreTwice(random: SeededRandom): void {
    const { lives, masters, leader } = this.#cluster;
    if (lives > 0) {
      const rivals = masters.filter(({ apart }) => apart !== undefined);
      if (random.below(3) === 0) this.#reinstallOfOthers();
      if (rivals.length === 0 || !this.#alwaysSeen || random.below(4) === 0) this.#growAgain();
      else if (rivals.every(({ work }) => work?.others?.problem !== undefined)) {
        // Hosts that come meanwhile get nothing from either: each incarnation knows of another one.
        for (const rival of rivals) this.#operator.endAdoptionApart(rival);
        if (leader?.work?.others?.problem !== undefined) this.#operator.endAdoption();
      }
      return;
    }
    const storeIds = leader?.work?.replica.status().membership.members.map(({ storeId }) => storeId) ?? [];
    const able = masters.filter(
      ({ durable: { head, damaged } }) =>
        !damaged && head !== undefined && storeIds.includes(head.storeId) && head.applied.index > 0,
    );
    if (able.length < 2 || random.below(4) > 0) return;
    const survivor = able[random.below(able.length)];
    const rivals = able.filter((master) => master !== survivor).slice(0, 1 + random.below(2));
    if (survivor !== undefined) this.#beginAnew(survivor, rivals);
  }

  /** Whether masters of two incarnations that run can always ask one another. */
  get #alwaysSeen(): boolean {
    return [...this.#cluster.profile.faults].every((kind) => harmlessToMasters.has(kind));
  }

  /** Hosts that run on what a cluster granted that is gone, while the other one refuses them; their clones go for good. */
  #reinstallOfOthers(): void {
    const { agents, clones, masters } = this.#cluster;
    if (masters.some(({ apart }) => apart !== undefined)) return;
    for (const clone of clones.filter((one) => this.#cluster.holdsOfOther(one))) {
      clones.splice(clones.indexOf(clone), 1);
      clone.kill();
    }
    for (const agent of agents.filter((one) => this.#cluster.holdsOfOther(one))) {
      agent.reinstall();
      agent.takeover = true;
    }
  }

  /** When all trouble ends: no other cluster of the same id is left. */
  #dismissRivals(): void {
    const { masters, incarnation } = this.#cluster;
    if (incarnation === undefined) return;
    for (const master of masters) {
      if (master.apart === undefined) continue;
      master.lose('its operator has ended it');
      master.replaceDisk();
    }
    this.#reinstallOfOthers();
  }

  /** Meanwhile an agent gets fresh addresses, of which it does not know. */
  #takeAway(master: SimulatedMaster, random: SeededRandom): void {
    const { agents } = this.#cluster;
    this.#away = master;
    master.lose('it is away');
    for (let hosts = 0; hosts < freshHosts; hosts += 1) {
      const agent = agents[random.below(agents.length)];
      agent?.reinstall();
      if (agent !== undefined) agent.takeover = true;
      agent?.start();
    }
  }

  #beginAnew(survivor: SimulatedMaster, rivals: readonly SimulatedMaster[] = []): void {
    this.#stores.forget();
    this.#away = undefined;
    this.#cluster.beginAnew(survivor, rivals).catch((error: unknown) => {
      const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#cluster.world.fail('a cluster that begins anew', what);
    });
  }
}

/** Hosts that get fresh addresses while the survivor is away. */
const freshHosts = 3;
/** Kinds that leave each master running, and the network between them as it is. */
const harmlessToMasters: ReadonlySet<FaultKind> = new Set<FaultKind>([
  ...(['restored-twice', 'agent-crash', 'agent-reinstall', 'agent-leave', 'takeover', 'transfer'] as const),
]);
