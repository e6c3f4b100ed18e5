/**
 * The renewal of a process's own certificate while it runs, from half of its life on. The moment is drawn for each
 * certificate, so that hosts that joined together do not renew together. A renewal that fails is tried again; the
 * certificate in use stays.
 */
import { errorText } from '#errors/unknown-error.js';
import type { Principal } from '#tls/principal.js';

/** Calls `run` once, `delayMs` or more from now; the returned function cancels. */
export type RenewalTimer = { after(delayMs: number, run: () => void): () => void };

export type CertificateRenewalOptions = {
  /** Of the certificate in use. */
  readonly principal: () => Principal;
  /** Gets a new certificate and takes it into use. */
  readonly renew: (principal: Principal) => Promise<void>;
  readonly timer: RenewalTimer;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  readonly log: {
    info(fields: object, message: string): void;
    warn(fields: object, message: string): void;
  };
};

/** Clocks are set, and hosts sleep: the wall clock is looked at again and again. */
const lookEveryMs = 60_000;
/** Of the life of a certificate: renewed from half of it on, at a moment within this part. */
const jitterPart = 0.1;
/** Between two tries. */
const retryMs = 5 * 60_000;

export class CertificateRenewal {
  readonly #options: CertificateRenewalOptions;
  #cancel: () => void = () => undefined;
  #stopped = false;
  /** Of the certificate with this serial. */
  #due: { readonly serial: string; readonly atMs: number } | undefined;
  #failures = 0;

  constructor(options: CertificateRenewalOptions) {
    this.#options = options;
  }

  /** Renewals that failed since one succeeded. */
  get failures(): number {
    return this.#failures;
  }

  start(): this {
    this.#next(lookEveryMs);
    return this;
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  #next(delayMs: number): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.timer.after(delayMs, () => {
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    const { principal: current, renew, wallClock, log } = this.#options;
    const principal = current();
    if (wallClock() < this.#dueOf(principal)) {
      this.#next(lookEveryMs);
      return;
    }
    try {
      await renew(principal);
      this.#failures = 0;
      this.#next(lookEveryMs);
    } catch (error) {
      this.#failures += 1;
      const why = errorText(error);
      log.warn({ failures: this.#failures }, `the certificate could not be renewed, and will be tried again: ${why}`);
      this.#next(retryMs);
    }
  }

  #dueOf({ serial, beginsMs, endsMs }: Principal): number {
    if (this.#due?.serial !== serial) {
      const life = endsMs - beginsMs;
      this.#due = { serial, atMs: beginsMs + life * (0.5 + jitterPart * this.#options.random()) };
    }
    return this.#due.atMs;
  }
}
