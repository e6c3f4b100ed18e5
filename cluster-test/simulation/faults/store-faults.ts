/**
 * Trouble with one member's store: its newest writes are missing, it is empty, or it was put back to an earlier state.
 * One store at a time, since what its member has promised is lost with it, and only while all other members are well.
 * The member is then removed and comes back as a new one.
 */

import type { Operator } from '#cluster-test/simulation/faults/operator.js';
import type { Cluster, ClusterCopy } from '#cluster-test/simulation/world/cluster.js';
import type { DiskCopy } from '#cluster-test/simulation/world/simulated-disk.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';

export class StoreFaults {
  readonly #cluster: Cluster;
  readonly #operator: Operator;
  #lost: SimulatedMaster | undefined;
  #backup:
    | {
        readonly master: SimulatedMaster;
        readonly copy: DiskCopy;
        /** Stores of the other members that it knew then. */
        readonly peers: readonly string[];
      }
    | undefined;

  #copy: ClusterCopy | undefined;
  /** Most stores are to be put back, or were; then `witness` is the one that was not. */
  #most:
    | { readonly phase: 'copied'; readonly copy: ClusterCopy; readonly members: string }
    | {
        readonly phase: 'away' | 'returned';
        readonly witness: SimulatedMaster;
        readonly others: readonly SimulatedMaster[];
      }
    | undefined;

  constructor(cluster: Cluster, operator: Operator) {
    this.#cluster = cluster;
    this.#operator = operator;
  }

  /** The member whose store is gone or wrong, until it is replaced. */
  get lost(): SimulatedMaster | undefined {
    return this.#lost;
  }

  /** The cluster began anew: every store is another one. */
  forget(): void {
    this.#lost = undefined;
    this.#backup = undefined;
    this.#copy = undefined;
    this.#most = undefined;
  }

  /** The newest writes are missing, as after a disk that lied about its syncs. */
  loseTail(random: SeededRandom): void {
    const victim = this.#next(random);
    if (victim === undefined) return;
    this.#cluster.world.count('tails lost');
    victim.durable.damaged = true;
    victim.disk.loseTail(4 + random.below(40));
    // What lies above the sequence in the identity file would be lost unseen: such a store must not be started.
    if (victim.disk.behindItsIdentity()) victim.start();
    else victim.down = { kind: 'refused', why: 'its disk has lied' };
  }

  wipe(random: SeededRandom): void {
    const victim = this.#next(random);
    if (victim === undefined) return;
    this.#cluster.world.count('disks wiped');
    victim.replaceDisk();
    victim.start();
  }

  /**
   * A copy of a whole store is taken, and put back later. The store is put back only when every other member has seen the
   * session that is lost with it, and the copy knows these members: what no peer has seen, no peer can find, and a store from
   * the time when its master was alone asks no peer.
   */
  putBack(random: SeededRandom): void {
    if (this.#lost !== undefined) {
      this.#replace(this.#lost);
      return;
    }
    const { masters, world } = this.#cluster;
    const backup = this.#backup;
    if (backup === undefined || backup.master.disk.session?.storeId !== backup.copy.session.storeId) {
      const master = masters[random.below(masters.length)];
      const copy = master?.work?.started === true ? master.disk.copy() : undefined;
      const members = master?.work?.replica.status().membership.members ?? [];
      const peers = members.filter(({ name }) => name !== master?.name).map(({ storeId }) => storeId);
      this.#backup = master === undefined || copy === undefined ? undefined : { master, copy, peers };
      return;
    }
    const { master, copy, peers } = backup;
    const { session } = master.disk;
    if (session === undefined || session.starts <= copy.session.starts) {
      master.crash();
      return;
    }
    const victims = this.#expendable() ?? [];
    const others = masters.filter((other) => other !== master && other.work?.started === true);
    if (!victims.includes(master) || !others.every(({ disk }) => disk.hasSeen(session.nonce))) return;
    const asked = peers.map((storeId) => others.find(({ disk }) => disk.session?.storeId === storeId));
    if (asked.length === 0 || asked.includes(undefined)) {
      this.#backup = undefined;
      return;
    }
    world.count('stores put back');
    this.#backup = undefined;
    this.#lost = master;
    master.crash();
    master.putBack(copy, session.nonce);
    master.start();
  }

  /**
   * Copies of all stores are taken at one moment, and put back later; in the adoption that follows an operator sees to it that
   * all hosts come back, and ends it.
   */
  putAllBack(): void {
    const { leader, lives, masters, allCameBack } = this.#cluster;
    const ipam = leader?.work?.machine.real.ipam;
    if (ipam === undefined || this.#lost !== undefined) return;
    if (ipam.adoption) {
      if (allCameBack) this.#operator.endAdoption();
      else this.#operator.makeRoom();
      return;
    }
    const copy = this.#copy;
    if (copy !== undefined && copy.lives === lives) {
      this.forget();
      this.#cluster.putBack(copy);
      return;
    }
    const whole = masters.every(({ durable, disk }) => !durable.damaged && disk.failures === 0);
    if (ipam.network !== undefined && whole) this.#copy = this.#cluster.copy();
  }

  /**
   * Copies of all stores are taken at one moment. Later the stores of all members but one are put back while that one's host
   * is away: no peer contradicts them. When all hosts have come back and the adoption is over, the one that knows better
   * returns, with its store as it is or with an empty one.
   */
  putMostBack(random: SeededRandom): void {
    const most = this.#most;
    if (most?.phase === 'away') this.#returns(most.witness, most.others, random);
    else if (most?.phase === 'copied') this.#goBack(most.copy, most.members, random);
    else if (most === undefined) this.#copyMost();
  }

  /** The store that a new cluster begins with, once those that were put back have ended by what the witness knows. */
  survivorOfContradiction(random: SeededRandom): SimulatedMaster | undefined {
    const most = this.#most;
    if (most?.phase !== 'returned' || most.witness.apart === undefined) return undefined;
    const { witness, others } = most;
    if (others.some(({ down }) => down?.kind !== 'refused')) return undefined;
    this.#cluster.world.count('mark: those that were put back have ended by what one knows');
    const able = [witness, ...others].filter(({ durable }) => (durable.head?.applied.index ?? 0) > 0);
    return able[random.below(able.length)];
  }

  /** As `survivorOfContradiction`, when all trouble ends. */
  get survivorAtLast(): SimulatedMaster | undefined {
    const most = this.#most;
    return most?.phase === 'returned' && most.witness.apart !== undefined ? most.witness : undefined;
  }

  #copyMost(): void {
    const { masters } = this.#cluster;
    const whole = masters.every(({ durable, disk }) => !durable.damaged && disk.failures === 0);
    const members = this.#threeVoters();
    if (!whole || members === undefined) return;
    this.#most = { phase: 'copied', copy: this.#cluster.copy(), members };
  }

  #goBack(copy: ClusterCopy, members: string, random: SeededRandom): void {
    const { lives, masters, world } = this.#cluster;
    if (this.#lost !== undefined) return;
    if (copy.lives !== lives || this.#threeVoters() !== members) {
      if (this.#threeVoters() !== undefined || copy.lives !== lives) this.#most = undefined;
      return;
    }
    const voters = masters.filter(({ name }) => members.includes(`${name} `));
    const witness = voters[random.below(voters.length)];
    const others = voters.filter((master) => master !== witness);
    if (witness === undefined) return;
    for (const other of others) {
      const { session } = other.disk;
      const copied = copy.masters.get(other)?.disk?.session;
      if (session === undefined || copied === undefined || session.starts <= copied.starts) {
        other.crash();
        return;
      }
      if (!witness.disk.hasSeen(session.nonce)) return;
    }
    world.count('mark: most stores put back');
    this.forget();
    this.#lost = witness;
    this.#most = { phase: 'away', witness, others };
    this.#cluster.putBack(copy, witness);
  }

  #returns(witness: SimulatedMaster, others: readonly SimulatedMaster[], random: SeededRandom): void {
    if (this.#lost !== witness || witness.apart === undefined) {
      this.#most = undefined;
      return;
    }
    const { leader, allCameBack, world } = this.#cluster;
    const ipam = leader?.work?.machine.real.ipam;
    if (ipam === undefined) return;
    if (ipam.adoption) {
      if (allCameBack) this.#operator.endAdoption();
      else this.#operator.makeRoom();
      return;
    }
    if (!allCameBack) return;
    const known = others.every(({ disk }) => (disk.session?.starts ?? 0) < startsMax);
    if (!known || random.below(3) === 0) {
      this.#replace(witness);
      return;
    }
    world.count('mark: a master returns that knows what most have lost');
    this.#most = { phase: 'returned', witness, others };
    witness.start();
  }

  /** Names and stores of the members, if there are three voters and nothing is under way; undefined otherwise. */
  #threeVoters(): string | undefined {
    const { membership } = this.#cluster.leader?.work?.replica.status() ?? {};
    if (membership === undefined || this.#lost !== undefined) return undefined;
    const { voters, votersOutgoing, learners } = membership.confState;
    if (voters.length !== 3 || votersOutgoing.length > 0 || learners.length > 0) return undefined;
    const ipam = this.#cluster.leader?.work?.machine.real.ipam;
    if (ipam?.network === undefined || ipam.adoption) return undefined;
    return membership.members.map(({ name, storeId }) => `${name} ${storeId}`).join(', ');
  }

  /** Crashes the member whose store is to suffer; undefined: another one has to be replaced first, or not all are well. */
  #next(random: SeededRandom): SimulatedMaster | undefined {
    if (this.#lost !== undefined) {
      this.#replace(this.#lost);
      return undefined;
    }
    const victims = this.#expendable();
    const victim = victims?.[random.below(victims.length)];
    if (victim === undefined) return undefined;
    this.#lost = victim;
    victim.crash();
    return victim;
  }

  /** The members of which any one can be lost now: all are well, and the leader does not count. */
  #expendable(): readonly SimulatedMaster[] | undefined {
    const { leader, masters } = this.#cluster;
    const work = leader?.work;
    if (work === undefined) return undefined;
    const { membership, lastIndex, term } = work.replica.status();
    // One that was replaced and has not heard of it knows nothing of what its successor's followers have promised since.
    if (masters.some((master) => (master.work?.replica.status().term ?? 0) > term)) return undefined;
    const { voters, votersOutgoing, learners } = membership.confState;
    const isMember = ({ name }: SimulatedMaster): boolean => membership.members.some((member) => member.name === name);
    const well = masters.filter((master) => isMember(master) && master.work?.started === true);
    // All have the leader's last entry, and with it all before: a log that is as long may still be another one.
    const lastTerm = leader?.durable.entries.get(lastIndex)?.term;
    const complete =
      lastTerm !== undefined &&
      well.every((master) => master.durable.holds(lastIndex, lastTerm) && master.disk.failures === 0);
    const pending = leader?.durable.changesAfter(work.replica.status().appliedIndex) ?? 0;
    if (votersOutgoing.length > 0 || learners.length > 0 || voters.length < 3 || !complete || pending > 0) {
      return undefined;
    }
    return well.length < voters.length ? undefined : well.filter((master) => master !== leader);
  }

  /** First out, then in again: each a step of its own, until it is done. */
  #replace(master: SimulatedMaster): void {
    const members = this.#cluster.leader?.work?.replica.status().membership.members ?? [];
    if (members.length === 0) return;
    if (members.some(({ name, storeId }) => name === master.name && storeId !== master.durable.head?.storeId)) {
      this.#operator.expel(master.name);
    } else if (members.some(({ name }) => name === master.name) && master.durable.damaged) {
      this.#operator.expel(master.name);
    } else {
      if (master.durable.damaged) {
        master.crash();
        master.replaceDisk();
      }
      this.#operator.changeMembership();
      if (members.some(({ name }) => name === master.name)) this.#lost = undefined;
    }
  }
}

/** A store keeps the nonces of its newest 32 starts: what was put back and started more often is not found by them. */
const startsMax = 30;
