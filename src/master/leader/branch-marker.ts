/** Has each leader begin its term in office with a branch mark, before anything else that it proposes. */
import { createHash } from 'node:crypto';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { PlanOutcome } from '#master/ipam-machine.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { MasterLog } from '#master/master-log.js';
import type { Clock } from '#replica/ports/clock.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

export type BranchMarkerOptions = {
  readonly log: Pick<ReplicatedLog<PlanOutcome>, 'propose'>;
  readonly leadership: Pick<Leadership, 'seat' | 'onChange'>;
  readonly clock: Clock;
  readonly wallClock: () => number;
  /** A value that no other branch has. */
  readonly newValue: () => string;
  readonly logger: MasterLog;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
};

const againMs = 1_000;
const valueDigits = 12;

/** The time is part of it: a virtual machine that is put back draws the same random numbers again. */
export function branchValue(random: () => number, wallClock: () => number): string {
  const drawn = [random(), random(), random(), wallClock()];
  return createHash('sha256').update(drawn.join()).digest('hex').slice(0, valueDigits);
}

export class BranchMarker {
  readonly #options: BranchMarkerOptions;
  readonly #unsubscribe: () => void;
  #led = false;
  #cancel: () => void = () => undefined;

  constructor(options: BranchMarkerOptions) {
    this.#options = options;
    this.#unsubscribe = options.leadership.onChange(() => this.#seatChanged());
    this.#seatChanged();
  }

  stop(): void {
    this.#unsubscribe();
    this.#cancel();
    this.#led = false;
  }

  #seatChanged(): void {
    const leads = this.#options.leadership.seat.kind === 'here';
    if (leads && !this.#led) this.#mark(1);
    if (!leads) this.#cancel();
    this.#led = leads;
  }

  #mark(attempt: number): void {
    const { log, clock, wallClock, newValue, logger, report } = this.#options;
    const command = encodeCommand({ kind: 'mark-branch', value: newValue(), wallTime: wallClock(), by: '' });
    log.propose(command).catch((error: unknown) => {
      if (!(error instanceof ProposeError)) {
        report(error);
        return;
      }
      if (!this.#led) return;
      if (attempt === 1) {
        logger.warn({ code: error.code }, `the branch mark of this leader is not written yet: ${error.message}`);
      }
      this.#cancel = clock.after(againMs, () => this.#mark(attempt + 1));
    });
  }
}
