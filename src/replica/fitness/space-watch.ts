/**
 * Watches the free space on this member's disk, and what its peers say of theirs. While it is below its floor, a leader
 * hands over to a voter that has room, and a follower delays its campaign for such a one. Where no member has space,
 * the leader goes on leading and refuses proposals with an account of all disks.
 */
import type { MemberId } from '#raft/log/entry.js';
import { Handover } from '#replica/fitness/handover.js';
import { isVotingMember } from '#replica/members/membership-change.js';
import type { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { Clock } from '#replica/ports/clock.js';
import type { LogStore } from '#replica/ports/log-store.js';
import { type MemberReport, spaceText } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { PeerNetwork } from '#replica/ports/peer-network.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import type { ReplicaEvent } from '#replica/replica-event.js';

/** So often a member reports, in ms, besides each time that its disk falls below the floor or comes back. */
const reportEveryMs = 5_000;
/** A report older than this says nothing any more. */
const reportStaleMs = 3 * reportEveryMs;
/** Election timeouts that a member without room leaves to those that have it, before it campaigns all the same. */
const patienceTimeouts = 3;

export type SpaceWatchParts = {
  readonly self: MemberInfo;
  readonly clock: Clock;
  readonly electionMs: number;
  readonly store: Pick<LogStore, 'space'>;
  readonly network: Pick<PeerNetwork, 'announce'>;
  /** For its reports. */
  readonly serves: ((self: MemberInfo) => string) | undefined;
  readonly commandKinds: readonly string[];
  readonly applied: { readonly membership: Membership };
  readonly peers: PeerAccounts;
  readonly observe: (event: ReplicaEvent) => void;
};

export class SpaceWatch {
  readonly #parts: SpaceWatchParts;
  readonly #handover: Handover;
  #low = false;
  /** It leads, and no member has space. */
  #stuck = false;
  #reportedMs: number | undefined;

  constructor(parts: SpaceWatchParts) {
    this.#parts = parts;
    this.#handover = new Handover(parts.electionMs);
  }

  /** Whether `member`, a peer, says that its disk has no room. */
  scarce(member: MemberId): boolean {
    return this.#parts.peers.of(member)?.report?.space.low === true;
  }

  /** Once a tick. The one of its `successors` that a leader should hand over to now; undefined: it does not lead. */
  check(successors: readonly MemberId[] | undefined): MemberId | undefined {
    const { clock, store, observe } = this.#parts;
    const { problem } = store.space();
    const changed = this.#low !== (problem !== undefined);
    this.#low = problem !== undefined;
    this.#report(changed);
    if (problem === undefined) {
      if (changed) this.#ended();
      return undefined;
    }
    const able = (successors ?? []).filter((member) => this.#roomy(member));
    const target = this.#handover.next(clock.now(), able);
    if (changed || target !== undefined) observe({ kind: 'space-low', problem, handsOverTo: target });
    this.#tellIfStuck(successors !== undefined && this.#heirs().length === 0);
    return target;
  }

  /** Election timeouts that this member waits beyond its own before it campaigns, having lost `leader`. */
  campaignDelay(leader: MemberId): number {
    return this.#low && this.#roomyVoters().some(({ id }) => id !== leader) ? patienceTimeouts : 0;
  }

  /** Why a leader does not take proposals now; undefined: it does. */
  refusal(): ProposeError | undefined {
    const { self, store } = this.#parts;
    const { problem } = store.space();
    if (problem === undefined) return undefined;
    const heirs = this.#heirs();
    if (heirs.length === 0) return new ProposeError('no-space', this.#account());
    const names = heirs.map(({ name }) => name).join(' or ');
    return new ProposeError('not-leader', `member ${self.name} hands over to ${names}, which has room: ${problem}`);
  }

  /** Whose disk has how much room, and what to do. */
  #account(): string {
    const { self, store, peers, applied } = this.#parts;
    const each = applied.membership.members.map(({ id, name }) => {
      if (id === self.id) return `${name}: ${spaceText(store.space())}`;
      const report = this.#fresh(id) ? peers.of(id)?.report : undefined;
      return `${name}: ${report === undefined ? 'not heard of' : spaceText(report.space)}`;
    });
    const way = 'Free some space on one of them, or enlarge it; it is looked at again every second.';
    return `no member that votes and answers has room on its disk (${each.join('; ')}). ${way}`;
  }

  /** Other voters that have room and answer: a leader hears of its followers with every heartbeat. */
  #heirs(): readonly MemberInfo[] {
    const { peers, electionMs } = this.#parts;
    return this.#roomyVoters().filter(({ id }) => peers.heardWithin(2 * electionMs, id));
  }

  #roomyVoters(): readonly MemberInfo[] {
    const { self, applied } = this.#parts;
    const { confState, members } = applied.membership;
    return members.filter(({ id }) => id !== self.id && isVotingMember(confState, id) && this.#roomy(id));
  }

  /** It said so, and not long ago. */
  #roomy(member: MemberId): boolean {
    return this.#fresh(member) && !this.scarce(member);
  }

  #fresh(member: MemberId): boolean {
    const { peers, clock } = this.#parts;
    return clock.now() - (peers.of(member)?.reportedMs ?? Number.NEGATIVE_INFINITY) <= reportStaleMs;
  }

  #report(changed: boolean): void {
    const now = this.#parts.clock.now();
    if (!changed && this.#reportedMs !== undefined && now - this.#reportedMs < reportEveryMs) return;
    this.#reportedMs = now;
    this.#parts.network.announce(this.#own());
  }

  /** The last report of this member: it stops for good. */
  end(reason: string): void {
    this.#parts.network.announce({ ...this.#own(), ended: reason });
  }

  #own(): MemberReport {
    const { self, store, serves, commandKinds } = this.#parts;
    const { freeBytes, neededBytes } = store.space();
    return { serves: serves?.(self) ?? '', space: { freeBytes, neededBytes, low: this.#low }, commandKinds };
  }

  #tellIfStuck(stuck: boolean): void {
    if (stuck && !this.#stuck) this.#parts.observe({ kind: 'no-space', account: this.#account() });
    this.#stuck = stuck;
  }

  #ended(): void {
    this.#handover.reset();
    this.#stuck = false;
    this.#parts.observe({ kind: 'space-back' });
  }
}
