/** What an agent is made of; everything it sees of the world comes in here. */
import type { AgentLog } from '#agent/agent-log.js';
import type { MasterApi, RegisterRequest } from '#agent/master-api.js';
import type { BootClock } from '#agent/state/boot-clock.js';
import type { AgentStore } from '#agent/state/store.js';
import type { HostSettings } from '#host/input.js';
import type { Reconciler } from '#host/reconciler-interface.js';
import type { Clock } from '#replica/ports/clock.js';

export type AgentOptions = {
  readonly agentId: string;
  readonly hostname: string;
  /**
   * The underlay address as it is now; asked before each registration and every 10 s. `inUse` is the address of the
   * lease. Rejects while there is none.
   */
  readonly nodeIp: (inUse: string | undefined) => Promise<string>;
  readonly networkConfig: NonNullable<RegisterRequest['networkConfig']>;
  /** Claim the id from a holder that may still live, until the first success. */
  readonly takeover: boolean;
  readonly settings: HostSettings;
  readonly api: MasterApi;
  readonly host: Reconciler;
  readonly store: AgentStore;
  readonly clock: Clock;
  readonly bootClock: BootClock;
  /** Gives [0, 1). */
  readonly random: () => number;
  /** Makes an instance id that is in use nowhere. */
  readonly newInstanceId: () => string;
  /** Draws the run_id of a process: by it the masters tell this process from others on the same state. */
  readonly newRunId: () => string;
  readonly log: AgentLog;
  /** The masters refuse the agent's configuration and it holds nothing: it has stopped, and the process should end. */
  readonly failed: (error: Error) => void;
};
