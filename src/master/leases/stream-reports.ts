import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import { type Caller, formatCaller } from '#tls/caller.js';
import type { PrincipalName } from '#tls/principal.js';

export type StreamReport = { readonly keepAlive: ReceivedKeepAlive; readonly closed: boolean };

/** One open stream. */
export type KeepAliveSource = {
  /** Names it among the streams of all masters. */
  readonly stream: string;
  /** Names the connection of the caller. */
  readonly connection: string;
  /** Of the caller; undefined: without TLS. */
  readonly principal: PrincipalName | undefined;
  /** The last keep-alive that came on it; undefined: none yet, or it is closed. */
  last: ReceivedKeepAlive | undefined;
};

export type StreamReportsOptions = {
  /** Names this process among those of all masters. */
  readonly via: string;
  /** Brings reports to the leader. Must not throw or reject. */
  readonly deliver: (reports: readonly StreamReport[]) => Promise<void>;
};

/** Reports in one message to the leader: about half a megabyte. */
const atOnceMax = 4_096;
/** Closed streams that wait to be reported; more are left to the leader's clock. */
const waitingMax = 65_536;

export class StreamReports {
  readonly #options: StreamReportsOptions;
  readonly #open = new Set<KeepAliveSource>();
  #waiting: StreamReport[] = [];
  #busy = false;
  #stopped = false;
  #count = 0;

  constructor(options: StreamReportsOptions) {
    this.#options = options;
  }

  open(caller: Caller): KeepAliveSource {
    this.#count += 1;
    const { principal } = caller;
    const stream = `${this.#options.via}/${this.#count}`;
    const source = { stream, connection: formatCaller(caller), principal, last: undefined };
    this.#open.add(source);
    return source;
  }

  /** The caller, or its connection, has closed it. */
  close(source: KeepAliveSource): void {
    this.#open.delete(source);
    const { last } = source;
    source.last = undefined;
    if (last === undefined || this.#stopped || this.#waiting.length >= waitingMax) return;
    this.#waiting.push({ keepAlive: last, closed: true });
    void this.#deliver();
  }

  /** Another master leads, or this one. */
  leaderChanged(): void {
    if (this.#stopped) return;
    // One for each stream at most: those for a leader that was replaced meanwhile are made anew.
    this.#waiting = this.#waiting.filter(({ closed }) => closed);
    for (const { last } of this.#open) if (last !== undefined) this.#waiting.push({ keepAlive: last, closed: false });
    void this.#deliver();
  }

  stop(): void {
    this.#stopped = true;
    this.#waiting = [];
  }

  async #deliver(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    while (this.#waiting.length > 0) await this.#options.deliver(this.#waiting.splice(0, atOnceMax));
    this.#busy = false;
  }
}
