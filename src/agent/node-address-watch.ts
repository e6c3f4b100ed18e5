/** Looks every 10 s whether the address of this host on the underlay is still the one that the lease has. */
import type { AgentLog } from '#agent/agent-log.js';
import { errorText } from '#errors/unknown-error.js';
import type { Clock } from '#replica/ports/clock.js';

const everyMs = 10_000;

export type NodeAddressWatchOptions = {
  readonly clock: Clock;
  readonly log: AgentLog;
  /** The address as it is now, given the one in use. Rejects while there is none. */
  readonly nodeIp: (inUse: string | undefined) => Promise<string>;
  /** The address that peers have of this host; undefined: none. */
  readonly inUse: () => string | undefined;
  /** Called at each look that finds an address; never after `stop`. */
  readonly found: (nodeIp: string) => void;
};

export class NodeAddressWatch {
  readonly #options: NodeAddressWatchOptions;
  #error = '';
  #stopped = false;
  #cancel: () => void = () => undefined;

  constructor(options: NodeAddressWatchOptions) {
    this.#options = options;
  }

  /** Why there was no address at the last look; empty: there was one. */
  get error(): string {
    return this.#error;
  }

  start(): void {
    this.#cancel = this.#options.clock.after(everyMs, () => void this.#look());
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const nodeIp = await this.#find();
    if (this.#stopped) return;
    if (nodeIp !== undefined) this.#options.found(nodeIp);
    this.start();
  }

  async #find(): Promise<string | undefined> {
    const { nodeIp, inUse, log } = this.#options;
    try {
      const now = await nodeIp(inUse());
      this.#error = '';
      return now;
    } catch (error) {
      // An underlay that is down for a while is no reason to give anything up.
      const message = errorText(error);
      if (message !== this.#error) log.warn({ nodeIp: inUse(), error: message }, 'this host has no node_ip now');
      this.#error = message;
      return undefined;
    }
  }
}
