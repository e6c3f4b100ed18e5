/** Frees the addresses of containers that are gone, again and again, and tells of it; no pass of the host fails for it. */
import { errorText } from '#errors/unknown-error.js';
import { freeReservations } from '#host/apply/reservations.js';
import type { HostInput } from '#host/input.js';
import type { Runner } from '#host/tools/runner.js';

export type ReservationLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

export class ReservationKeeper {
  readonly #run: Runner;
  readonly #log: ReservationLog;
  /** The last error; one that stays is logged once. */
  #error = '';

  constructor(run: Runner, log: ReservationLog) {
    this.#run = run;
    this.#log = log;
  }

  async free(input: HostInput): Promise<void> {
    try {
      for (const { overlay, addresses } of await freeReservations(input, this.#run)) {
        this.#log.info({ overlay, addresses }, 'addresses of containers that are gone are free again');
      }
      this.#error = '';
    } catch (error) {
      const message = errorText(error);
      if (message !== this.#error) {
        this.#log.warn({ error: message }, 'addresses of containers that are gone could not be freed');
      }
      this.#error = message;
    }
  }
}
