/**
 * The viewers, operators and admins that are revoked, as the masters have them: asked for within each minute. While no master
 * answers, the list stays as it is. Before the first answer there is none.
 */
import type { AgentLog } from '#agent/agent-log.js';
import { timestampMs } from '#api/timestamp.js';
import { errorText } from '#errors/unknown-error.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import { type Backoff, between, jitteredBackoffMs } from '#time/backoff.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';

export type ReaderRevocationsOptions = {
  /** Asks the masters; `version` is of the list that is known, empty: none. Rejects when none of them can say. */
  readonly ask: (version: string) => Promise<sublet.v1.ListRevokedReadersResponse>;
  readonly clock: Pick<Clock, 'after'>;
  /** Gives [0, 1). */
  readonly random: () => number;
  readonly log: AgentLog;
};

/** From an answer to the next question, in ms. */
const askMs = { min: 30_000, max: 60_000 };
const failedBackoff: Backoff = { baseMs: 2_000, capMs: 60_000 };

export class ReaderRevocations {
  readonly #options: ReaderRevocationsOptions;
  readonly #listeners = new Set<() => void>();
  /** From an identity to when certificates begin that are good, ms since 1970; Infinity: none are. */
  #goodFrom: ReadonlyMap<string, number> = new Map();
  #version = '';
  #failedInRow = 0;
  #cancel: () => void = () => undefined;
  #stopped = false;

  constructor(options: ReaderRevocationsOptions) {
    this.#options = options;
  }

  /** Whether a master has answered since the start. */
  get known(): boolean {
    return this.#version !== '';
  }

  isRevoked(principal: Principal): boolean {
    return principal.beginsMs < (this.#goodFrom.get(formatPrincipal(principal)) ?? Number.NEGATIVE_INFINITY);
  }

  /** Calls `listener` after each change of the list. */
  onChange(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Asks at once, and then again and again, until `stop`. */
  start(): this {
    void this.#ask();
    return this;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#listeners.clear();
  }

  async #ask(): Promise<void> {
    const { ask, clock, random, log } = this.#options;
    let waitMs: number;
    try {
      this.#take(await ask(this.#version));
      this.#failedInRow = 0;
      waitMs = between(askMs.min, askMs.max, random);
    } catch (error) {
      const say = this.#failedInRow === 0 && !this.known ? log.warn : log.debug;
      say.call(log, {}, `https: no master says which readers are revoked: ${errorText(error)}`);
      waitMs = jitteredBackoffMs(failedBackoff, this.#failedInRow++, random);
    }
    if (!this.#stopped) this.#cancel = clock.after(waitMs, () => void this.#ask());
  }

  #take({ version, unchanged, readers }: sublet.v1.ListRevokedReadersResponse): void {
    if (unchanged) return;
    this.#goodFrom = new Map(
      readers.map(({ identity, acceptedFrom }) => [
        `${identity?.role ?? ''}/${identity?.id ?? ''}`,
        acceptedFrom == null ? Number.POSITIVE_INFINITY : timestampMs(acceptedFrom),
      ]),
    );
    this.#version = version;
    for (const listener of this.#listeners) listener();
  }
}
