/** Writes the lease, and the clusters that it was of, to the state directory. A failed write is logged, not fatal. */
import type { AgentLog } from '#agent/agent-log.js';
import { type AgentStore, formerClustersMax, type LeaseRecord } from '#agent/state/store.js';
import { errorText } from '#errors/unknown-error.js';
import type { Clock } from '#replica/ports/clock.js';

/** How often the end of a lease with a TTL is cached, ms: at least this, or a hundredth of the TTL. */
const termSaveMinMs = 30_000;

export class LeaseCache {
  readonly #store: AgentStore;
  readonly #clock: Clock;
  readonly #log: AgentLog;
  #error = '';
  #savedAtMs = Number.NEGATIVE_INFINITY;

  constructor({ store, clock, log }: { readonly store: AgentStore; readonly clock: Clock; readonly log: AgentLog }) {
    this.#store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** Why the last write failed; empty: it did not. */
  get error(): string {
    return this.#error;
  }

  save(record: LeaseRecord): void {
    this.#savedAtMs = this.#clock.now();
    this.#try(() => this.#store.saveLease(record));
  }

  /** Whether a lease with this TTL, whose end has moved, was last written long enough ago. */
  isDue(ttlMs: number): boolean {
    return this.#clock.now() - this.#savedAtMs >= Math.max(termSaveMinMs, ttlMs / 100);
  }

  /** The lease is of cluster `clusterId` now, and was of `before`: what that one marked on the host is ours, too. */
  rememberCluster(before: string | undefined, clusterId: string): void {
    if (before === undefined || before === clusterId) return;
    const { identity } = this.#store;
    const former = [before, ...identity.formerClusterIds.filter((id) => id !== before && id !== clusterId)];
    const formerClusterIds = former.slice(0, formerClustersMax);
    this.#try(() => this.#store.saveIdentity({ ...identity, formerClusterIds }));
  }

  #try(save: () => void): void {
    try {
      save();
      this.#error = '';
    } catch (error) {
      this.#error = errorText(error);
      this.#log.error({ error: this.#error }, 'the lease could not be cached');
    }
  }
}
