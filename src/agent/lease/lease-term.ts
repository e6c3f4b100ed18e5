/**
 * Until when this agent may use its lease. Without a TTL that is until a master says that the lease is another's; with
 * one, a lease ends `ttl` after the *sending* of the last keep-alive that was answered, counted by boot time, so that
 * it ends here no later than at the masters. At the end the host takes its tunnel device down (rule 5).
 */
import type { BootClock } from '#agent/state/boot-clock.js';
import type { TermRecord } from '#agent/state/store.js';
import type { Clock } from '#replica/ports/clock.js';

/** A timer stands still while the host sleeps, so the boot clock is read this often, in ms. */
const lookEveryMs = 5_000;
/**
 * How long a lease that the masters no longer know is used on while the agent can't get a new one, in ms. What was
 * released is quarantined for 15 minutes by default before another agent gets it; this ends before that.
 */
export const fencedGraceMs = 10 * 60_000;
/**
 * How long a lease is used on that a process at the same place keeps alive, in ms: that is mostly the one before, whose
 * connection has not been found dead yet. The masters take it for gone after 15 s; asking again takes some seconds more.
 */
export const formerProcessMs = 30_000;

export type LeaseTermOptions = {
  readonly clock: Clock;
  readonly bootClock: BootClock;
  /** The cached term; one of another boot has ended, since it is unknown how long the host was down. */
  readonly record?: TermRecord | undefined;
  /** Called when the lease ends, and when it is good again. */
  readonly changed: () => void;
};

export class LeaseTerm {
  readonly #options: LeaseTermOptions;
  #record: TermRecord | undefined;
  #valid = true;
  #stopped = false;
  #cancelTimer: () => void = () => {};

  constructor(options: LeaseTermOptions) {
    this.#options = options;
    this.#record = options.record;
    this.#valid = this.#leftMs() > 0;
    this.#watch();
  }

  /** Whether the lease may be used. Meaningful when there is a lease. */
  get valid(): boolean {
    return this.#valid;
  }

  /** To be cached with the lease; undefined: it does not end. */
  get record(): TermRecord | undefined {
    return this.#record;
  }

  /** ms until the end; undefined: it does not end. */
  get leftMs(): number | undefined {
    return this.#record === undefined ? undefined : Math.max(0, this.#leftMs());
  }

  /** A master has answered what was sent at `sentAtMs` of the boot clock. `ttlMs` undefined: the lease has no TTL. */
  heard(sentAtMs: number, ttlMs: number | undefined): void {
    this.#set(ttlMs === undefined ? undefined : this.#from(sentAtMs, ttlMs));
  }

  /** A master has said that the lease is not the newest: it is used for a while, unless a new one comes. */
  fenced(): void {
    this.#endWithin(fencedGraceMs);
  }

  /** Another process keeps the lease alive: at another place, or maybe the one before at this place. */
  held(samePlace: boolean): void {
    if (samePlace) this.#endWithin(formerProcessMs);
    else this.revoked();
  }

  /** The lease is gone and there is no new one. */
  revoked(): void {
    // 1 ms, long past: a record has a positive duration.
    this.#set(this.#from(this.#options.bootClock.now() - 1, 1));
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  #endWithin(graceMs: number): void {
    if (this.#leftMs() > graceMs) this.#set(this.#from(this.#options.bootClock.now(), graceMs));
  }

  #from(heardAtMs: number, ttlMs: number): TermRecord {
    return { bootId: this.#options.bootClock.bootId, heardAtMs, ttlMs };
  }

  #set(record: TermRecord | undefined): void {
    this.#record = record;
    this.#look();
  }

  #leftMs(): number {
    if (this.#record === undefined) return Number.POSITIVE_INFINITY;
    const { bootId, heardAtMs, ttlMs } = this.#record;
    const { bootClock } = this.#options;
    const now = bootClock.now();
    // A clock that is behind what was written down has begun anew, as after a boot.
    return bootId === bootClock.bootId && now >= heardAtMs ? heardAtMs + ttlMs - now : 0;
  }

  #look(): void {
    const valid = this.#leftMs() > 0;
    const changed = valid !== this.#valid;
    this.#valid = valid;
    this.#watch();
    if (changed) this.#options.changed();
  }

  #watch(): void {
    this.#cancelTimer();
    this.#cancelTimer = () => {};
    if (this.#stopped || !this.#valid || this.#record === undefined) return;
    this.#cancelTimer = this.#options.clock.after(Math.min(this.#leftMs(), lookEveryMs), () => this.#look());
  }
}
