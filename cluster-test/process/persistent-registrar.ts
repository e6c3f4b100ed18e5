/**
 * Many agents' registrations from one process, without giving up: a call whose outcome is unknown is sent again, the
 * same, to any master, until one has answered; so what was acknowledged is known exactly.
 */
import { status } from '@grpc/grpc-js';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { registration } from '#cluster-test/bench/plan.js';
import type { sublet } from '#proto/sublet.js';

const defaults = { timeoutMs: 5_000, triesMax: 300, again: [] };
const pauseMs = 100;
/** What a master says when it can't tell, or not yet. */
const again: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.UNKNOWN,
  status.CANCELLED,
]);

export type Persistence = {
  /** For an answer from one master, in ms; default 5,000. */
  readonly timeoutMs?: number;
  /** Rounds over all masters, 100 ms apart; default 300. */
  readonly triesMax?: number;
  /** Answers that mean "not yet" where this registrar is used, beside those that always do. */
  readonly again?: readonly status[];
};

export class PersistentRegistrar implements Disposable {
  readonly #clients: readonly MasterClient[];
  readonly #triesMax: number;
  readonly #again: ReadonlySet<status>;

  /** `addresses` of all masters; agent number n begins at master n modulo their count. */
  constructor(addresses: readonly string[], persistence: Persistence = {}) {
    const { timeoutMs, triesMax, again: more } = { ...defaults, ...persistence };
    this.#triesMax = triesMax;
    this.#again = new Set([...again, ...more]);
    this.#clients = addresses.map((_, first) => {
      const masters = [...addresses.slice(first), ...addresses.slice(0, first)];
      return new MasterClient({ masters, timeoutMs });
    });
  }

  /** @throws whatever a master refuses for good */
  async register(number: number, sequence = 1): Promise<sublet.v1.RegisterResponse> {
    const client = this.#clients[number % this.#clients.length];
    if (client === undefined) throw new RangeError('a registrar needs an address');
    let last: unknown;
    for (let tries = 0; tries < this.#triesMax; tries++) {
      try {
        return await client.call(agentService.register, registration(number, sequence), { idempotent: true });
      } catch (error) {
        if (!(error instanceof NoMasterError) && !(isServiceError(error) && this.#again.has(error.code))) throw error;
        last = error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
    throw new Error(`agent ${number}: no master decided in ${this.#triesMax} tries`, { cause: last });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
