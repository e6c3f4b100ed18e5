/** What this member knows of each of its peers by itself: when it was last heard of, and what it said of itself. */
import type { MemberId } from '#raft/log/entry.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberReport } from '#replica/ports/member-report.js';

export type PeerAccount = {
  /** On this member's clock. */
  readonly lastContactMs: number;
  /** Its newest report, and when that came; undefined: none yet. */
  readonly report: MemberReport | undefined;
  readonly reportedMs: number | undefined;
};

export class PeerAccounts {
  readonly #clock: Clock;
  readonly #accounts = new Map<MemberId, PeerAccount>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  of(member: MemberId): PeerAccount | undefined {
    return this.#accounts.get(member);
  }

  /** Whether `member` was heard of within the last `ms`. */
  heardWithin(ms: number, member: MemberId): boolean {
    const { lastContactMs = Number.NEGATIVE_INFINITY } = this.#accounts.get(member) ?? {};
    return lastContactMs >= this.#clock.now() - ms;
  }

  heard(member: MemberId): void {
    const { report, reportedMs } = this.#accounts.get(member) ?? { report: undefined, reportedMs: undefined };
    this.#accounts.set(member, { lastContactMs: this.#clock.now(), report, reportedMs });
  }

  reported(member: MemberId, report: MemberReport): void {
    const now = this.#clock.now();
    this.#accounts.set(member, { lastContactMs: now, report, reportedMs: now });
  }
}
