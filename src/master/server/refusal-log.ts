/** Log lines of refusals that strangers cause: one for each kind in a while, with the count of those that were left out. */
import type { MasterLog } from '#master/master-log.js';
import type { Clock } from '#replica/ports/clock.js';

/** Between two lines of one kind, in ms. */
const everyMs = 10_000;
/** Kinds that are remembered. */
const kindsMax = 1_000;

export class RefusalLog {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #logger: Pick<MasterLog, 'warn'>;
  readonly #kinds = new Map<string, { at: number; omitted: number }>();

  constructor(clock: Pick<Clock, 'now'>, logger: Pick<MasterLog, 'warn'>) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** `kind` holds what tells one cause from another, such as the address of the caller. */
  note(kind: string, fields: Readonly<Record<string, string>>, message: string): void {
    const now = this.#clock.now();
    const last = this.#kinds.get(kind);
    if (last !== undefined && now - last.at < everyMs) {
      last.omitted += 1;
      return;
    }
    if (last === undefined && this.#kinds.size >= kindsMax) this.#kinds.clear();
    this.#kinds.set(kind, { at: now, omitted: 0 });
    const omitted = last?.omitted ?? 0;
    this.#logger.warn({ audit: true, ...fields, ...(omitted === 0 ? {} : { omitted }) }, message);
  }
}
