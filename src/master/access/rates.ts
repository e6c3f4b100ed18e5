/**
 * How often an identity may ask: token buckets in memory, of this master alone. Each call takes from the bucket of all calls
 * of its caller, and some methods from one of their own. Without TLS there are no identities, and no rates.
 */
import { RefusedError } from '#api/refusal.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatDuration } from '#text/duration.js';
import { formatPrincipal, type PrincipalName } from '#tls/principal.js';

/** `burst` calls at once, and from then on `perSecond`. */
export type Rate = { readonly perSecond: number; readonly burst: number };

export const rateNames = ['calls', 'registrations', 'leaves', 'lists', 'refusals'] as const;
export type RateName = (typeof rateNames)[number];

type Rates = Readonly<Record<RateName, Rate>>;

/** Refusals for a role, a rate or an unknown method: beyond them the connection is ended. */
const refusals: Rate = { perSecond: 5, burst: 50 };
const never: Rate = { perSecond: 0, burst: 0 };

export const agentRates: Rates = {
  calls: { perSecond: 10, burst: 40 },
  // After a restored state_dir an agent corrects its sequence and instance in up to seven rounds without a pause.
  registrations: { perSecond: 1, burst: 10 },
  // A leave whose answer was lost is sent again.
  leaves: { perSecond: 1 / 60, burst: 5 },
  lists: never,
  refusals,
};

export const operatorRates: Rates = {
  calls: { perSecond: 50, burst: 200 },
  registrations: never,
  leaves: never,
  // 65,536 agents are 66 pages, asked for one after the other.
  lists: { perSecond: 20, burst: 100 },
  refusals,
};

const ownRates: ReadonlyMap<string, RateName> = new Map<string, RateName>([
  [agentService.register.path, 'registrations'],
  [agentService.leave.path, 'leaves'],
  [operatorService.listAgents.path, 'lists'],
  [operatorService.listHistory.path, 'lists'],
  [operatorService.listReservations.path, 'lists'],
  [clusterService.saveSnapshot.path, 'lists'],
]);

type Bucket = { tokens: number; atMs: number };
type Account = { readonly buckets: Map<RateName, Bucket>; usedAtMs: number };

/** An account that was not used for so long has full buckets. */
const idleMs = 10 * 60_000;
/** Accounts that are kept before idle ones are looked for. */
const accountsMin = 1_000;

export class CallRates {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #accounts = new Map<string, Account>();
  readonly #refused = new Map<RateName, number>();
  #sweepAt = accountsMin;

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock;
  }

  /** Calls and messages refused so far for this rate; of `refusals`, connections ended. */
  refused(name: RateName): number {
    return this.#refused.get(name) ?? 0;
  }

  /** Accounts kept now. */
  get accounts(): number {
    return this.#accounts.size;
  }

  /** Counts a call. @throws RefusedError `overloaded`, with `retry_ms` in its details */
  call(principal: PrincipalName, path: string): void {
    const own = ownRates.get(path);
    if (own !== undefined) this.#charge(principal, own);
    this.#charge(principal, 'calls');
  }

  /** Counts a refusal of a caller. False: there were too many, its connection has to end. */
  refusal(caller: string): boolean {
    if (this.#take(caller, 'refusals', refusals) === 0) return true;
    this.#note('refusals');
    return false;
  }

  #charge(principal: PrincipalName, name: RateName): void {
    const caller = formatPrincipal(principal);
    const rate = (principal.role === 'agent' ? agentRates : operatorRates)[name];
    const waitMs = this.#take(caller, name, rate);
    if (waitMs === 0) return;
    this.#note(name);
    throw new RefusedError(
      'overloaded',
      `${name} of ${caller}: ${rateText(rate)} are allowed; try again in ${formatDuration(waitMs, 2)}`,
      { retry_ms: String(waitMs) },
    );
  }

  /** Returns 0, or how many ms until there is a token. */
  #take(caller: string, name: RateName, { perSecond, burst }: Rate): number {
    const now = this.#clock.now();
    const { buckets } = this.#account(caller, now);
    const bucket = buckets.get(name) ?? { tokens: burst, atMs: now };
    buckets.set(name, bucket);
    bucket.tokens = Math.min(burst, bucket.tokens + ((now - bucket.atMs) / 1_000) * perSecond);
    bucket.atMs = now;
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) / perSecond) * 1_000);
    bucket.tokens -= 1;
    return 0;
  }

  #account(caller: string, now: number): Account {
    const known = this.#accounts.get(caller);
    if (known !== undefined) {
      known.usedAtMs = now;
      return known;
    }
    if (this.#accounts.size >= this.#sweepAt) this.#sweep(now);
    const made = { buckets: new Map<RateName, Bucket>(), usedAtMs: now };
    this.#accounts.set(caller, made);
    return made;
  }

  #sweep(now: number): void {
    for (const [caller, { usedAtMs }] of this.#accounts) if (now - usedAtMs >= idleMs) this.#accounts.delete(caller);
    this.#sweepAt = Math.max(accountsMin, 2 * this.#accounts.size);
  }

  #note(name: RateName): void {
    this.#refused.set(name, this.refused(name) + 1);
  }
}

function rateText({ perSecond, burst }: Rate): string {
  const each = perSecond < 1 ? `one in ${formatDuration(1_000 / perSecond)}` : `${perSecond} a second`;
  return `${each}, ${burst} at once`;
}
