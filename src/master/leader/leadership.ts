/**
 * The leader, as this master knows it: kept from the log's notices, so that a call costs no look at the whole status.
 * Calls that find no leader wait here for a change.
 */
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { ReplicatedLog } from '#replica/ports/replicated-log.js';

/**
 * `here`: this master leads and may serve. `elect`: it leads, but does not know the state yet. `member`: another one
 * leads. `none`: no leader is known.
 */
export type LeaderView =
  | { readonly kind: 'here' }
  | { readonly kind: 'elect' }
  | { readonly kind: 'member'; readonly member: MemberInfo }
  | { readonly kind: 'none' };

/** What a listener learns; `paused`: the leader found that it had been stopped for longer than an election timeout. */
export type SeatChange = { readonly seat: LeaderView; readonly paused: boolean };

export class Leadership {
  readonly #log: Pick<ReplicatedLog<unknown>, 'status' | 'onLeadership'>;
  readonly #clock: Clock;
  readonly #listeners = new Set<(change: SeatChange) => void>();
  readonly #waiting = new Set<() => void>();
  readonly #unsubscribe: () => void;
  #seat: LeaderView;

  constructor(log: Pick<ReplicatedLog<unknown>, 'status' | 'onLeadership'>, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
    this.#seat = this.#look();
    this.#unsubscribe = log.onLeadership(({ paused }) => this.#changed(paused));
  }

  get seat(): LeaderView {
    return this.#seat;
  }

  /** Calls that wait for a change. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Calls `listener` after each change. Returns the unsubscriber. */
  onChange(listener: (change: SeatChange) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves at the next change, or after `boundMs`. */
  changed(boundMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        cancel();
        this.#waiting.delete(done);
        resolve();
      };
      const cancel = this.#clock.after(Math.max(0, boundMs), done);
      this.#waiting.add(done);
    });
  }

  /** Resolves all waiters and stops notifying. */
  stop(): void {
    this.#unsubscribe();
    this.letGo();
  }

  /** Resolves all waiters for a change: there is something else to look at. */
  letGo(): void {
    for (const done of [...this.#waiting]) done();
  }

  #changed(paused: boolean): void {
    this.#seat = this.#look();
    for (const listener of this.#listeners) listener({ seat: this.#seat, paused });
    for (const done of [...this.#waiting]) done();
  }

  #look(): LeaderView {
    const { role, leader, leaderReady, self } = this.#log.status();
    if (role === 'leader') return { kind: leaderReady ? 'here' : 'elect' };
    return leader === undefined || leader.id === self.id ? { kind: 'none' } : { kind: 'member', member: leader };
  }
}
