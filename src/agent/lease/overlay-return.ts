/**
 * Gives back overlays that are draining. The host gets an input without them; once it has nothing of them any more, the
 * agent first drops them from its own lease and its cache, and then reports to the masters, which quarantine the
 * blocks. So an agent that ends in between never builds again what it may have given back.
 */
import type { AgentLog } from '#agent/agent-log.js';
import { keyOf, type Lease, type LeaseNetwork, without } from '#agent/lease/lease.js';
import { type MasterApi, MasterError } from '#agent/master-api.js';
import type { HostOverlayStatus, HostStatus } from '#host/host-status.js';
import type { Clock } from '#replica/ports/clock.js';

/** After a call that no master answered, ms. */
const retryMs = 5_000;

export type OverlayReturnOptions = {
  readonly api: Pick<MasterApi, 'returnOverlays'>;
  readonly clock: Clock;
  readonly log: AgentLog;
  /** Puts the lease in place of the one that there is, in memory and in the cache. */
  readonly replaceLease: (lease: Lease) => void;
  /** The masters have refused the return: the agent has to register again. */
  readonly askAgain: (reason: string) => void;
};

export class OverlayReturn {
  readonly #options: OverlayReturnOptions;
  /** Dropped here; the masters have not confirmed it yet. */
  #unconfirmed = new Set<string>();
  #calling = false;
  #cancelRetry: () => void = () => {};

  constructor(options: OverlayReturnOptions) {
    this.#options = options;
  }

  /** A master's answer has replaced the lease: it has all that the masters think is held. */
  granted(): void {
    this.#unconfirmed = new Set();
    this.#cancelRetry();
  }

  stop(): void {
    this.#unconfirmed = new Set();
    this.#cancelRetry();
  }

  /** Looks whether the host has nothing left of overlays that are draining, and gives those back. */
  consider(lease: Lease, network: LeaseNetwork, status: HostStatus): void {
    const names = draining(lease, network);
    if (names.size > 0 && status.cleared === true && !status.overlays.some(({ name }) => names.has(name))) {
      for (const name of names) this.#unconfirmed.add(name);
      this.#options.replaceLease(without(lease, names));
    }
    if (this.#unconfirmed.size > 0 && !this.#calling) void this.#call(lease);
  }

  async #call(lease: Lease): Promise<void> {
    const { api, clock, log, askAgain } = this.#options;
    const overlays = [...this.#unconfirmed];
    this.#calling = true;
    this.#cancelRetry();
    try {
      await api.returnOverlays({ ...keyOf(lease), overlays });
      for (const name of overlays) this.#unconfirmed.delete(name);
      log.info({ overlays }, 'given back: these overlays are draining and off this host');
    } catch (error) {
      if (!(error instanceof MasterError)) throw error;
      log.warn({ overlays, status: error.status, error: error.message }, 'overlays could not be given back');
      if (error.kind === 'unavailable' || error.kind === 'overloaded') {
        this.#cancelRetry = clock.after(retryMs, () => {
          if (this.#unconfirmed.size > 0 && !this.#calling) void this.#call(lease);
        });
      } else {
        this.#unconfirmed = new Set();
        askAgain('overlays could not be given back');
      }
    } finally {
      this.#calling = false;
    }
  }
}

/** Overlays that are draining and of which the lease has a part. */
export function draining(lease: Lease, network: LeaseNetwork): ReadonlySet<string> {
  const names = new Set(network.overlays.filter((overlay) => overlay.draining).map(({ name }) => name));
  return new Set(lease.overlays.map(({ name }) => name).filter((name) => names.has(name)));
}

/** What is reported of overlays that are draining: at work, or what keeps them on the host. */
export function drainStatuses(names: ReadonlySet<string>, { problems }: HostStatus): readonly HostOverlayStatus[] {
  return [...names].map((name) =>
    problems.length === 0
      ? { kind: 'configuring', name }
      : { kind: 'failed', name, error: `it is draining, and still on this host: ${problems.join('. ')}` },
  );
}
