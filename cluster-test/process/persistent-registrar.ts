/**
 * Many agents' registrations from one process, without giving up: a call whose outcome is unknown is sent again, the
 * same, to any master, until one has answered; so what was acknowledged is known exactly.
 */
import { status } from '@grpc/grpc-js';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { registration } from '#cluster-test/bench/plan.js';
import type { sublet } from '#proto/sublet.js';

const triesMax = 300;
const pauseMs = 100;
/** What a master says when it can't tell, or not yet. */
const again: ReadonlySet<status> = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.UNKNOWN,
  status.CANCELLED,
]);

export class PersistentRegistrar implements Disposable {
  readonly #clients: readonly MasterClient[];

  /** `addresses` of all masters; agent number n begins at master n modulo their count. */
  constructor(addresses: readonly string[]) {
    this.#clients = addresses.map((_, first) => {
      const masters = [...addresses.slice(first), ...addresses.slice(0, first)];
      return new MasterClient({ masters, timeoutMs: 5_000 });
    });
  }

  /** @throws whatever a master refuses for good */
  async register(number: number, sequence = 1): Promise<sublet.v1.RegisterResponse> {
    const client = this.#clients[number % this.#clients.length];
    if (client === undefined) throw new RangeError('a registrar needs an address');
    let last: unknown;
    for (let tries = 0; tries < triesMax; tries++) {
      try {
        return await client.call(agentService.register, registration(number, sequence), { idempotent: true });
      } catch (error) {
        if (!(error instanceof NoMasterError) && !(isServiceError(error) && again.has(error.code))) throw error;
        last = error;
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }
    throw new Error(`agent ${number}: no master decided in ${triesMax} tries`, { cause: last });
  }

  [Symbol.dispose](): void {
    for (const client of this.#clients) client.close();
  }
}
