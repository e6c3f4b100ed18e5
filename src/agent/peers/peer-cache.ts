/**
 * Writes the peer table to the store now and then. It is a cache: what is not in it is asked of the masters again, so
 * it is written the more seldom the larger it is.
 */

import type { AgentLog } from '#agent/agent-log.js';
import type { PeerTable, TableChange } from '#agent/peers/peer-table.js';
import type { AgentStore } from '#agent/state/store.js';
import { errorText } from '#errors/unknown-error.js';
import type { Clock } from '#replica/ports/clock.js';

/** Peers are written this long after the first change that is not written, plus 1 ms for each peer, in ms. */
const delayMinMs = 1_000;
const delayMaxMs = 60_000;

export type PeerCacheOptions = {
  readonly clock: Clock;
  readonly log: AgentLog;
  readonly store: AgentStore;
  readonly table: PeerTable;
};

export class PeerCache {
  readonly #options: PeerCacheOptions;
  #due: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #writing: Promise<void> = Promise.resolve();
  #dirty = false;
  #error = '';

  constructor(options: PeerCacheOptions) {
    this.#options = options;
  }

  /** Why the last write failed; empty if it did not. */
  get error(): string {
    return this.#error;
  }

  changed(change: Exclude<TableChange, 'nothing'>): void {
    const { clock, table } = this.#options;
    this.#dirty = true;
    const delayMs = change === 'position' ? delayMaxMs : Math.min(delayMaxMs, delayMinMs + table.size);
    const atMs = clock.now() + delayMs;
    if (this.#due !== undefined && this.#due.atMs <= atMs) return;
    this.#due?.cancel();
    this.#due = { atMs, cancel: clock.after(delayMs, () => void this.flush()) };
  }

  /** Writes what is not written yet. Does not reject: a failure is logged and tried again. */
  flush(): Promise<void> {
    this.#due?.cancel();
    this.#due = undefined;
    // One at a time: the store has one temporary file.
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  async #write(): Promise<void> {
    const { log, store, table } = this.#options;
    const { picture } = table;
    if (!this.#dirty || picture === undefined) return;
    this.#dirty = false;
    try {
      await store.savePeers(picture);
      this.#error = '';
    } catch (error) {
      this.changed('position');
      this.#error = errorText(error);
      log.error({ error: this.#error }, 'the peers could not be cached');
    }
  }
}
