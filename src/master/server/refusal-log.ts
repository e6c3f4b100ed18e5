/** Log lines of refusals that strangers cause: one for each kind in a while, with the count of those that were left out. */
import type { MasterLog } from '#master/master-log.js';
import type { Clock } from '#replica/ports/clock.js';

/** Between two lines of one kind, in ms. */
const everyMs = 10_000;
/** Kinds that have a line of their own in that time; the rest share one. */
const kindsMax = 1_000;

export class RefusalLog {
  readonly #clock: Pick<Clock, 'now'>;
  readonly #logger: Pick<MasterLog, 'warn'>;
  /** Ascending by `at`. */
  readonly #kinds = new Map<string, { at: number; omitted: number }>();
  readonly #rest = { at: Number.NEGATIVE_INFINITY, omitted: 0 };

  constructor(clock: Pick<Clock, 'now'>, logger: Pick<MasterLog, 'warn'>) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** `kind` holds what tells one cause from another, such as the network of the caller. */
  note(kind: string, fields: Readonly<Record<string, string>>, message: string): void {
    const now = this.#clock.now();
    const last = this.#kinds.get(kind);
    if (last !== undefined && now - last.at < everyMs) {
      last.omitted += 1;
      return;
    }
    if (last === undefined && !this.#hasRoom(now)) {
      this.#noteRest(now);
      return;
    }
    this.#kinds.delete(kind);
    this.#kinds.set(kind, { at: now, omitted: 0 });
    this.#warn(fields, last?.omitted ?? 0, message);
  }

  /** Kinds whose time is over make room. */
  #hasRoom(now: number): boolean {
    for (const [kind, { at }] of this.#kinds) {
      if (this.#kinds.size < kindsMax || now - at < everyMs) break;
      this.#kinds.delete(kind);
    }
    return this.#kinds.size < kindsMax;
  }

  #noteRest(now: number): void {
    const { at, omitted } = this.#rest;
    this.#rest.omitted += 1;
    if (now - at < everyMs) return;
    Object.assign(this.#rest, { at: now, omitted: 0 });
    this.#warn(
      {},
      omitted + 1,
      `refusals of more than ${kindsMax} callers and kinds: the rest have no lines of their own`,
    );
  }

  #warn(fields: Readonly<Record<string, string>>, omitted: number, message: string): void {
    this.#logger.warn({ audit: true, ...fields, ...(omitted === 0 ? {} : { omitted }) }, message);
  }
}
