/**
 * Follows the masters' watch and keeps the peer table up to date: goes on from the table's revision after each break,
 * at the next master, after a random wait. A master that is behind what others say is left for the next one.
 */

import type { AgentLog } from '#agent/agent-log.js';
import { awayBackoff } from '#agent/away-backoff.js';
import { type MasterApi, MasterError, type OpenStream, type WatchResponse } from '#agent/master-api.js';
import { WatchProtocolError } from '#agent/peers/peer-message.js';
import type { ClusterIncarnation, PeerTable, TableChange } from '#agent/peers/peer-table.js';
import type { Clock } from '#replica/ports/clock.js';
import { formatDuration } from '#text/duration.js';
import { type Backoff, jitteredBackoffMs } from '#time/backoff.js';

/** For a master that has more to do than it can. */
const strainedBackoff: Backoff = { baseMs: 500, capMs: 10_000 };
/** A master may be this long behind a revision that another one has sent, in ms. */
export const behindMaxMs = 30_000;

export type PeerWatchOptions = {
  readonly api: MasterApi;
  readonly clock: Clock;
  readonly random: () => number;
  /** How many agents there are, as far as is known. */
  readonly agents: () => number | undefined;
  readonly log: AgentLog;
  readonly table: PeerTable;
  /** Whose peers are wanted, while there is no table yet. */
  readonly lease: () => ClusterIncarnation | undefined;
  /** The table has changed; not called for `nothing`. */
  readonly changed: (change: Exclude<TableChange, 'nothing'>) => void;
};

/** What the status shows. */
export type PeerWatchCounts = {
  readonly streams: number;
  readonly failures: number;
  readonly snapshots: number;
  readonly connected: boolean;
  readonly lastError: string;
};

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  #running = false;
  #stream: OpenStream | undefined;
  #cancelReopen: () => void = () => {};
  #cancelBehind: (() => void) | undefined;
  #failedInRow = 0;
  #streams = 0;
  #failures = 0;
  #snapshots = 0;
  #lastError = '';

  constructor(options: PeerWatchOptions) {
    this.#options = options;
  }

  get counts(): PeerWatchCounts {
    return {
      streams: this.#streams,
      failures: this.#failures,
      snapshots: this.#snapshots,
      connected: this.#stream !== undefined && this.#failedInRow === 0,
      lastError: this.#lastError,
    };
  }

  /** Does nothing when it runs already. */
  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#open();
  }

  stop(): void {
    this.#running = false;
    this.#cancelReopen();
    this.#caughtUp();
    this.#stream?.cancel();
    this.#stream = undefined;
  }

  /** A master has spoken of this revision: the watch should reach it soon. */
  announced(revision: number): void {
    const { table, clock } = this.#options;
    if (!this.#running || revision <= table.revision || this.#cancelBehind !== undefined) return;
    this.#cancelBehind = clock.after(behindMaxMs, () => {
      this.#cancelBehind = undefined;
      if (table.revision >= revision || this.#stream === undefined) return;
      const message = `the master's watch is at revision ${table.revision} and others were at ${revision} ${formatDuration(behindMaxMs)} ago`;
      this.#broke(new MasterError('unavailable', 'behind', message));
    });
  }

  #open(): void {
    const { api, table, lease } = this.#options;
    this.#streams += 1;
    table.streamBegins();
    this.#stream = api.watch(table.request(lease()), {
      message: (message) => this.#onMessage(message),
      ended: (error) => this.#broke(error),
    });
  }

  #onMessage(message: WatchResponse): void {
    const { table, changed } = this.#options;
    let change: TableChange;
    try {
      change = table.take(message);
    } catch (error) {
      if (!(error instanceof WatchProtocolError)) throw error;
      this.#broke(new MasterError('unavailable', 'INTERNAL', error.message));
      return;
    }
    this.#failedInRow = 0;
    if (message.snapshotEnd) this.#snapshots += 1;
    if (change === 'nothing') return;
    this.#caughtUp();
    changed(change);
  }

  #broke(error: MasterError): void {
    const { api, clock, random, agents, log } = this.#options;
    const master = this.#stream?.master;
    this.#stream?.cancel();
    this.#stream = undefined;
    this.#caughtUp();
    this.#failures += 1;
    this.#lastError = error.message;
    log.debug({ master, status: error.status, error: error.message }, 'the watch broke off');
    if (master !== undefined) api.turnFrom(master);
    const backoff = error.kind === 'unavailable' ? awayBackoff(agents()) : strainedBackoff;
    const delayMs = jitteredBackoffMs(backoff, this.#failedInRow, random);
    this.#failedInRow += 1;
    this.#cancelReopen = clock.after(delayMs, () => this.#open());
  }

  #caughtUp(): void {
    this.#cancelBehind?.();
    this.#cancelBehind = undefined;
  }
}
