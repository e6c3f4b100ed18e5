/**
 * The operator: configures the network, looks at the state, releases agents that are gone, moves leadership, and adds,
 * promotes, removes and replaces masters, one step at a time, as a person with the command line would.
 */

import { parseCidr4 } from '#address/cidr4.js';
import { formatIp } from '#address/ip.js';
import { formatIpv4 } from '#address/ipv4.js';
import { parseOui } from '#address/mac.js';
import { RefusedError } from '#api/refusal.js';
import type { Cluster } from '#cluster-test/simulation/world/cluster.js';
import type { MasterAtWork, SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import { Machine, SimulatedProcess } from '#cluster-test/simulation/world/world.js';
import type { Action } from '#ipam/commands/command.js';
import { parseAgentId } from '#ipam/identity.js';
import { type MembershipChange, MembershipRefusedError } from '#replica/members/membership-change.js';
import { ProposeError } from '#replica/ports/replicated-log.js';

/** However many agents are missing. */
const endAdoption = { kind: 'end-adoption', missing: Number.MAX_SAFE_INTEGER } as const;
/** Reads at a leader that has just been elected. */
const readsAfterElection = 4;
/** The id of no agent. */
const nobody = parseAgentId('nobody');
/** Between two looks at agents that are refused, ms. */
const roomEveryMs = 10_000;
/** Masters that there ever are at a time. */
const mastersMax = 5;

export class Operator {
  readonly #cluster: Cluster;
  readonly #process: SimulatedProcess;
  /** Former members: which leader's process showed that they were gone, and at which applied index. */
  readonly #seenGone = new Map<string, { readonly by: SimulatedProcess; readonly index: number }>();
  #configured = false;
  #changing = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#process = new SimulatedProcess(new Machine(cluster.world, 'operator', 1), 'operator');
  }

  start(): void {
    this.#configure();
    this.#look();
    this.#cluster.consensus.onLeader = (name) => this.#lookAt(name);
  }

  /** A leader that has just been elected is asked at once, again and again: it may not know yet what is committed. */
  #lookAt(name: string): void {
    const { profile, world } = this.#cluster;
    const random = world.random('reads after elections');
    for (let reads = 0; reads < readsAfterElection; reads += 1) {
      this.#process.clock.after(1 + random.below(profile.timing.heartbeatMs / 4), () => {
        const work = this.#cluster.atWork.find(({ process }) => process.name === name);
        if (work !== undefined) this.#read(work);
      });
    }
  }

  /** Until there is a network, each leader is asked to establish it. */
  #configure(): void {
    const { profile } = this.#cluster;
    this.#process.clock.after(profile.timing.heartbeatMs * 2, () => {
      if (this.#configured) return;
      const settings = {
        vtepSubnet: parseCidr4('44.128.0.0/27'),
        vtepSubnet6: undefined,
        vtepMacOui: parseOui('70:b3:d5:00:00:00'),
        vtepMtu: 0,
        vni: 1024,
        vtepName: 'vtep1024',
        vxlanPort: 64000,
        quarantineMs: profile.quarantineMs,
        reclaimMs: profile.reclaimMs,
      };
      const overlays = [
        { name: 'one', v4: { subnet: parseCidr4('9.0.0.0/24'), prefix: 28 }, v6: undefined, enabled: true },
        { name: 'two', v4: { subnet: parseCidr4('9.1.0.0/25'), prefix: 28 }, v6: undefined, enabled: true },
      ];
      this.change({ kind: 'configure-network', settings, overlays }, () => {
        this.#configured = true;
      });
      this.#configure();
    });
  }

  /** Reads at a master of its choice, as `sublet agents` does. */
  #look(): void {
    const { profile, world } = this.#cluster;
    const random = world.random('reads');
    this.#process.clock.after(1 + random.below(profile.timing.heartbeatMs * 4), () => {
      const { atWork } = this.#cluster;
      const work = atWork[random.below(Math.max(1, atWork.length))];
      if (work !== undefined) this.#read(work);
      this.#look();
    });
  }

  #read(work: MasterAtWork): void {
    const { history, world } = this.#cluster;
    const asked = history.asked();
    this.#noteRareRead(work);
    work.process.run(() => {
      work.plan.read(false).then(
        (ipam) => {
          world.count('linearizable reads');
          history.answered(`a read at ${work.process.name}`, ipam.revision, asked);
        },
        (error: unknown) => this.#expected(error),
      );
    });
  }

  #noteRareRead(work: MasterAtWork): void {
    const { role, leaderReady, term } = work.replica.status();
    if (role !== 'leader') return;
    const { leader, world } = this.#cluster;
    const newest = leader?.work?.replica.status().term ?? 0;
    if (!leaderReady) world.count('mark: read at a leader before its first commit in office');
    else if (newest > term) world.count('mark: read at a leader when another led already');
  }

  /** Proposes a change of the plan at the leader, if there is one. */
  change(action: Action, done: () => void = () => {}): void {
    const work = this.#cluster.leader?.work;
    if (work !== undefined) this.#changeAt(work, action, done);
  }

  #changeAt(work: MasterAtWork, action: Action, done: () => void): void {
    const { history, world } = this.#cluster;
    const asked = history.asked();
    work.process.run(() => {
      work.plan.change({ ...action, wallTime: work.process.machine.wallNow(), by: 'operator' }).then(
        ({ revision }) => {
          world.count(`operator: ${action.kind}`);
          history.answered(action.kind, revision, asked);
          done();
        },
        (error: unknown) => this.#expected(error),
      );
    });
  }

  /** Has this leader write an entry that changes nothing, also while another one leads. */
  sayAt({ work }: SimulatedMaster): void {
    if (work?.started === true) {
      this.#changeAt(work, { kind: 'release', agentIds: [nobody], force: false, holders: [] }, () => {});
    }
  }

  endAdoption(): void {
    this.change(endAdoption);
  }

  /** Ends the adoption of another incarnation of the cluster, as one does that takes it for the only one. */
  endAdoptionApart({ work }: SimulatedMaster): void {
    if (work?.started !== true) return;
    work.process.run(() => {
      work.plan.change({ ...endAdoption, wallTime: work.process.machine.wallNow(), by: 'operator' }).then(
        () => this.#cluster.world.count('operator: end-adoption of another incarnation'),
        (error: unknown) => this.#expected(error),
      );
    });
  }

  /** Releases an agent whose host was taken away for good: it comes back, if at all, as a new installation. */
  release(): void {
    const { agents, clones, world } = this.#cluster;
    const random = world.random('release');
    const isCloned = (agentId: string): boolean => clones.some((clone) => clone.agentId === agentId);
    const gone = agents.filter(({ running, agentId }) => !running && !isCloned(agentId));
    const agent = gone[random.below(Math.max(1, gone.length))];
    if (agent === undefined) return;
    agent.reinstall();
    this.change({ kind: 'release', agentIds: [parseAgentId(agent.agentId)], force: true, holders: [] });
  }

  /** An agent's VTEP address that another one got since the plan went back is given back, and so are its holder's. */
  makeRoom(): void {
    const { agents, hands, leader } = this.#cluster;
    const ipam = leader?.work?.machine.real.ipam;
    for (const { store, leaseLife } of agents) {
      const vtepIp = store.lease?.lease.vxlan.vtepIp.replace(/\/\d+$/, '');
      if (vtepIp === undefined || leaseLife >= hands.life) continue;
      const holder = ipam
        ?.agentsAfter(undefined, Number.POSITIVE_INFINITY)
        .find(({ vxlan }) => formatIpv4(vxlan.vtepIp.address) === vtepIp);
      if (holder === undefined || holder.agentId === store.lease?.lease.agentId) continue;
      agents.find(({ agentId }) => agentId === holder.agentId)?.reinstall();
      this.change({ kind: 'release', agentIds: [holder.agentId], force: true, holders: [] });
    }
  }

  /** A lease whose holder was a copy of a host that is gone for good is released: the host itself is another instance now. */
  releaseGoneCopies(): void {
    const { agents, clones, leader } = this.#cluster;
    const records = leader?.work?.machine.real.ipam.agentsAfter(undefined, Number.POSITIVE_INFINITY) ?? [];
    for (const { agentId, instanceId, nodeIp } of records) {
      const hosts = [...agents, ...clones].filter((host) => host.agentId === agentId);
      const gone = hosts.every(
        ({ store, nodeIp: at }) => store.identity?.instanceId !== instanceId && at !== formatIp(nodeIp),
      );
      if (gone) this.change({ kind: 'release', agentIds: [agentId], force: true, holders: [] });
    }
  }

  /** Does what the masters ask for when a host that has come back runs on another one's address. */
  watchForRoom(): void {
    this.#process.clock.after(roomEveryMs, () => {
      this.makeRoom();
      this.releaseGoneCopies();
      this.watchForRoom();
    });
  }

  transfer(): void {
    const { leader, world } = this.#cluster;
    const work = leader?.work;
    if (work === undefined) return;
    const { members } = work.replica.status().membership;
    const to = members[world.random('transfer').below(Math.max(1, members.length))];
    world.count('leadership transfers asked for');
    work.process.run(() => work.replica.transferLeadership(to?.id));
  }

  /** One step of changing the membership: whatever the state of the cluster suggests. */
  changeMembership(): void {
    const { leader, world } = this.#cluster;
    const work = leader?.work;
    const random = world.random('membership');
    // Now and then another operator does not know that a change is under way, and must be refused.
    if (work === undefined || (this.#changing && random.below(3) > 0)) return;
    const { membership, self } = work.replica.status();
    const { confState, members } = membership;
    const [learner] = confState.learners;
    if (learner !== undefined) {
      const voters = confState.voters.filter((id) => id !== self.id);
      const out = voters[random.below(Math.max(1, voters.length))];
      const replaces = out !== undefined && random.below(2) === 0;
      this.#change(replaces ? { kind: 'replace', member: out, by: learner } : { kind: 'promote', member: learner });
      return;
    }
    const grow = members.length < 3 || (members.length < mastersMax && random.below(2) === 0);
    if (grow) {
      this.#join();
      return;
    }
    const others = members.filter(({ id }) => id !== self.id);
    const goes = others[random.below(Math.max(1, others.length))];
    if (goes !== undefined && members.length > 1) this.#change({ kind: 'remove', member: goes.id });
  }

  /** Removes a member whose store is gone. */
  expel(name: string): void {
    const work = this.#cluster.leader?.work;
    const member = work?.replica.status().membership.members.find((one) => one.name === name);
    if (member !== undefined) this.#change({ kind: 'remove', member: member.id });
  }

  #join(): void {
    const { masters, world, leader } = this.#cluster;
    const members = leader?.work?.replica.status().membership.members ?? [];
    const spare =
      masters.find(({ name }) => !members.some((member) => member.name === name)) ??
      this.#cluster.addMaster(`m${masters.length + 1}`);
    if (!this.#prepare(spare)) return;
    const { head } = spare.durable;
    if (head === undefined) return;
    world.count('members that joined');
    this.#change({ kind: 'add-learner', name: spare.name, peer: spare.peer, storeId: head.storeId });
  }

  /** A newcomer starts with an empty disk and the addresses of members to ask. */
  #prepare(spare: SimulatedMaster): boolean {
    const used = spare.durable.head !== undefined && spare.durable.head.generation !== 0;
    if (used && !this.#mayBeWiped(spare)) return false;
    if (used || !spare.joins) spare.crash();
    if (used) spare.replaceDisk();
    spare.joins = true;
    spare.start();
    return true;
  }

  /**
   * Until it is known to be committed that it left, and known for good, a voter may still be needed. `changeMembership`
   * answers then; a caller that only reads the members waits until the leader's disk has what was read.
   */
  #mayBeWiped({ name }: SimulatedMaster): boolean {
    const { leader } = this.#cluster;
    const { work, process } = leader ?? {};
    if (leader === undefined || work === undefined || process === undefined) return false;
    const seen = this.#seenGone.get(name);
    if (seen?.by === process && (leader.durable.hardState?.commit ?? 0) >= seen.index) {
      this.#seenGone.delete(name);
      return true;
    }
    if (seen?.by !== process) this.#seenGone.set(name, { by: process, index: work.replica.status().appliedIndex });
    return false;
  }

  #change(change: MembershipChange): void {
    const { leader, masters, profile, world } = this.#cluster;
    const work = leader?.work;
    if (work === undefined) return;
    const inFlight = leader?.durable.changesAfter(work.replica.status().appliedIndex) ?? 0;
    if (inFlight > 0) world.count('mark: membership change asked for while one was under way');
    this.#changing = true;
    world.trace('membership change', 0, () => JSON.stringify(change));
    const ended = (): void => {
      this.#changing = false;
    };
    work.process.onDeath(ended);
    work.process.run(() => {
      work.replica.changeMembership(change).then(
        () => {
          world.count(`membership: ${change.kind}`);
          // docs/operations/membership.md: a member that bootstrapped alone must not do so again if its disk is lost.
          if (profile.masters === 1) for (const master of masters) master.joins = true;
          ended();
        },
        (error: unknown) => {
          this.#expected(error);
          ended();
        },
      );
    });
  }

  #expected(error: unknown): void {
    const { world } = this.#cluster;
    const known =
      error instanceof ProposeError || error instanceof RefusedError || error instanceof MembershipRefusedError;
    if (known) world.count('operator: refused or lost');
    else world.fail('no error that nobody expected', error instanceof Error ? (error.stack ?? '') : String(error));
  }
}
