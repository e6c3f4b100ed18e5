/**
 * The one seam between the agent and its host. `HostReconciler` implements it; the agent gives inputs and listens.
 */

import type { HostMetrics, HostStatus, PingReport } from '#host/host-status.js';
import type { HostInput, HostSettings } from '#host/input.js';
import type { AddressUsage } from '#host/usage/address-usage.js';

/** Makes one Linux host match the latest input, and keeps it so. */
export type Reconciler = {
  /** Begins to watch the host. Nothing is changed before the first `update`. */
  start(): void;
  /**
   * The host should look like this from now on. Cheap: inputs that come while a pass runs are folded into the next.
   * Never throws: what is not as `HostInput` says is a failed status, or, of a peer, a warning in the log.
   */
  update(input: HostInput): void;
  /** Resolves when the latest input has been tried: its status is then known, good or bad. */
  settled(): Promise<HostStatus>;
  /** Called after each pass whose status differs from the one before. */
  onStatus(listener: (status: HostStatus) => void): void;
  status(): HostStatus;
  metrics(): HostMetrics;
  /** How full this host's ranges are; without those whose addresses in use are not known. */
  usage(): readonly AddressUsage[];
  /** What `update(input)` would do to this host as it is now; changes nothing and needs no root. */
  plan(input: HostInput): Promise<readonly PlannedStep[]>;
  /** Probes peers' VTEPs: all, or the one with this agent id or VTEP, node or IPv6 VTEP address. */
  ping(target?: string): Promise<readonly PingReport[]>;
  /** Stops watching. The data plane stays as it is. */
  stop(): Promise<void>;
  /** Stops watching and takes everything of this cluster off the host, and nothing else. */
  cleanup(clusterIds: readonly string[], settings: HostSettings): Promise<CleanupReport>;
};

/** A step as people read it. */
export type PlannedStep = {
  /** The command that a person would type. */
  readonly command: string;
  /** Why it is there: `route to 9.0.1.0/24 of agent-2`. */
  readonly why: string;
};

export type CleanupReport = {
  readonly removed: readonly PlannedStep[];
  /** What could not be removed and why (a bridge that still carries containers). */
  readonly left: readonly string[];
};
