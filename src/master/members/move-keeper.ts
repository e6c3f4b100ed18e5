/**
 * Addresses that an operator has set by hand end as a committed change: the leader has the cluster record each that is in
 * force with it, once the master answers there. Then every member has it from the log, those that were down, too.
 */

import { RefusedError } from '#api/refusal.js';
import type { Leadership } from '#master/leader/leadership.js';
import { moveMember } from '#master/members/member-move.js';
import type { MembershipServiceOptions } from '#master/members/membership-step.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { byAddress } from '#tls/caller.js';

/** Between two tries, in ms: a master that is not started yet does not answer. */
const retryMs = 2_000;

export type MoveKeeperOptions = MembershipServiceOptions & {
  readonly leadership: Leadership;
  readonly report: (error: unknown) => void;
};

export class MoveKeeper {
  readonly #options: MoveKeeperOptions;
  readonly #unsubscribe: () => void;
  #cancel: (() => void) | undefined;
  #busy = false;
  #stopped = false;
  /** By member name: the last reported reason why it was not recorded. */
  readonly #logged = new Map<string, string>();

  constructor(options: MoveKeeperOptions) {
    this.#options = options;
    this.#unsubscribe = options.leadership.onChange(() => this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#unsubscribe();
    this.#cancel?.();
  }

  #look(): void {
    const { log, leadership, clock, report } = this.#options;
    if (this.#busy || this.#stopped || leadership.seat.kind !== 'here' || log.status().moves.length === 0) return;
    this.#cancel?.();
    this.#busy = true;
    this.#record().then(
      () => {
        this.#busy = false;
        this.#cancel = clock.after(retryMs, () => this.#look());
      },
      (error: unknown) => {
        this.#busy = false;
        report(error);
      },
    );
  }

  /** One at a time, as the log allows. */
  async #record(): Promise<void> {
    const { log, logger } = this.#options;
    const { moves, self } = log.status();
    for (const { member, to } of moves) {
      try {
        await moveMember(this.#options, { name: member.name, peer: to }, byAddress(`${self.name}:0`));
        logger.info(
          { member: member.name, from: member.peer, to },
          `the cluster has recorded that ${member.name} is at ${to}, and not at ${member.peer}`,
        );
      } catch (error) {
        if (!(error instanceof RefusedError || error instanceof ProposeError)) throw error;
        if (this.#logged.get(member.name) === error.message) continue;
        this.#logged.set(member.name, error.message);
        logger.warn({ member: member.name, to }, `not recorded yet: ${error.message}`);
      }
    }
  }
}
