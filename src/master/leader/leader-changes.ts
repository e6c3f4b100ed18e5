/**
 * Every change of the leader as this master sees it: one line of the log with the reason, and a count for the metrics.
 * The line names the leader, the term, and when the leader before was last heard.
 */
import type { MasterLog } from '#master/master-log.js';
import type { Term } from '#raft/log/entry.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { ReplicaStatus, ReplicatedLog } from '#replica/ports/replicated-log.js';
import { formatTime } from '#text/duration.js';

export type LeaderChangesOptions = {
  readonly log: {
    readonly status: () => Pick<ReplicaStatus, 'self' | 'role' | 'term' | 'leader' | 'peers'>;
    readonly onLeadership: ReplicatedLog<unknown>['onLeadership'];
  };
  readonly clock: Clock;
  readonly logger: Pick<MasterLog, 'info' | 'warn'>;
  readonly electionTimeoutMs: number;
};

/** A leader that this master knew of. */
type Known = { readonly member: MemberInfo; readonly term: Term };

/** How many election timeouts after it was begun a handover counts as the reason of a change. */
const handoverTimeouts = 3;

export class LeaderChanges {
  readonly #options: LeaderChangesOptions;
  readonly #unsubscribe: () => void;
  #known: Known | undefined;
  /** On the clock: since when no leader is known; undefined: one is, or none was ever. */
  #lostAt: number | undefined;
  #handover: { readonly why: string; readonly at: number } | undefined;
  #count = 0;

  constructor(options: LeaderChangesOptions) {
    this.#options = options;
    this.#unsubscribe = options.log.onLeadership(() => this.#look());
    this.#look();
  }

  /** Leaders that this master learned of, the first one included; the same one again in a later term counts. */
  get count(): number {
    return this.#count;
  }

  /** This master, which leads, begins to hand over. */
  handsOver(why: string): void {
    this.#handover = { why, at: this.#options.clock.now() };
  }

  stop(): void {
    this.#unsubscribe();
  }

  #look(): void {
    const { clock, log, logger } = this.#options;
    const status = log.status();
    const member = status.role === 'leader' ? status.self : status.leader;
    if (member === undefined) {
      if (this.#known === undefined || this.#lostAt !== undefined) return;
      this.#lostAt = clock.now();
      const { member: former, term } = this.#known;
      const about = { leader: '', former: former.name, term };
      logger.warn(about, `no leader is known any more: ${former.name} led term ${term} (${this.#loss(status)})`);
      return;
    }
    if (this.#known?.member.id === member.id && this.#known.term === status.term && this.#lostAt === undefined) return;
    this.#count += 1;
    const reason = this.#reason(member, status);
    const about = { leader: member.name, former: this.#known?.member.name ?? '', term: status.term };
    logger.info(about, `${member.name} leads, term ${status.term} (${reason})`);
    this.#known = { member, term: status.term };
    this.#lostAt = undefined;
  }

  #reason(leader: MemberInfo, status: Pick<ReplicaStatus, 'self' | 'term' | 'peers'>): string {
    if (this.#known === undefined) return 'the first one that this master sees';
    const { member: former, term } = this.#known;
    const gap = this.#lostAt === undefined ? '' : `; none was known for ${formatTime(this.#since(this.#lostAt))}`;
    if (former.id === leader.id) return `it led term ${term} before${gap}`;
    return `${this.#loss(status)}${gap}`;
  }

  /** What became of the leader before. */
  #loss({ self, term, peers }: Pick<ReplicaStatus, 'self' | 'term' | 'peers'>): string {
    const former = this.#known;
    if (former === undefined) return 'none was known before';
    const { name, id } = former.member;
    const { electionTimeoutMs } = this.#options;
    if (id === self.id) {
      const handover = this.#handover;
      if (handover !== undefined && this.#since(handover.at) <= handoverTimeouts * electionTimeoutMs) {
        return `${name}, this master, handed over: ${handover.why}`;
      }
      return term === former.term
        ? `${name}, this master, did not hear from a quorum for an election timeout`
        : `${name}, this master, led term ${former.term}, and a quorum turned to term ${term}`;
    }
    const heardAt = peers.find(({ member }) => member.id === id)?.lastContactMs;
    if (heardAt === undefined) return `${name} was never heard by this master`;
    const past = this.#since(heardAt);
    return past < electionTimeoutMs
      ? `${name} was heard ${formatTime(past)} ago: it handed over, or lost its quorum`
      : `${name} was not heard for ${formatTime(past)}`;
  }

  #since(at: number): number {
    return this.#options.clock.now() - at;
  }
}
