/**
 * What the reconciler says of its host: how each overlay fares, what it repaired and how long its passes take.
 */

/** How the host stands after a pass. */
export type HostStatus = {
  /** One for each overlay of which the lease holds a part, in the lease's order. */
  readonly overlays: readonly HostOverlayStatus[];
  /** Problems of the whole host (they are repeated in each overlay's error). */
  readonly problems: readonly string[];
  /** True when the last pass left nothing to do. */
  readonly converged: boolean;
  /** Why the last run of `on_change` failed; absent: it went well, or there was none. */
  readonly hookError?: string;
  /** Set when the last pass found nothing left on the host of what is not in the lease. */
  readonly cleared?: true;
};

export type HostOverlayStatus =
  | { readonly kind: 'configuring'; readonly name: string }
  /** Nothing is built: the host is only planned for. */
  | { readonly kind: 'planned'; readonly name: string }
  | { readonly kind: 'ok'; readonly name: string; readonly notes: readonly string[] }
  /** `error` says what is wrong and what to do about it. */
  | { readonly kind: 'failed'; readonly name: string; readonly error: string };

/** Counters since the reconciler was made; they only rise, except where said. */
export type HostMetrics = {
  /** Comparisons of the host with what it should be, polls included. */
  readonly passes: number;
  /** Steps that ran, by step kind. */
  readonly stepsRun: Readonly<Record<string, number>>;
  /** Steps that failed, by step kind. */
  readonly stepsFailed: Readonly<Record<string, number>>;
  /** Steps that put back what another program changed or removed, by step kind. */
  readonly driftRepaired: Readonly<Record<string, number>>;
  /** Runs of `on_change`, and those of them that failed. */
  readonly hookRuns: number;
  readonly hookFailures: number;
  /** Gauge: how long the last observation of the peers' entries and comparison took, in ms. */
  readonly lastPassMs: number;
  /** Gauge: entries (neighbours, FDB, routes) that this host should have. */
  readonly entries: number;
};

/** A thing that this host lacks, or that stands in the way. */
export type CheckFinding = {
  readonly severity: 'ok' | 'warning' | 'error';
  /** What was looked at: `root`, `iproute2`, `vxlan`, `ipset`, `iptables`, `cni`, `docker`, `port`, … */
  readonly what: string;
  readonly says: string;
  /** What to do; absent when all is well. */
  readonly todo?: string;
};

/** What a probe of one peer's VTEP found. */
export type PingReport = {
  readonly agentId: string;
  readonly vtepIp: string;
  readonly nodeIp: string;
  readonly reachable: boolean;
  readonly probes: readonly PingProbe[];
  /** Which entry is missing or what else is in the way, most likely cause first; empty if reachable. */
  readonly causes: readonly string[];
};

export type PingProbe = {
  /**
   * `vtep`/`vtep6`: an echo through the tunnel; `hop`/`hop6`: a packet through it that the peer's kernel turns away;
   * `bridge`: likewise, from a bridge of this host to the peer's subnet; `underlay`: an echo beside the tunnel.
   */
  readonly path: 'vtep' | 'vtep6' | 'hop' | 'hop6' | 'bridge' | 'underlay';
  /** Bytes of the IP packet, sent with "don't fragment". */
  readonly packetBytes: number;
  readonly ok: boolean;
  /** Round trip; absent when nothing came back. */
  readonly roundTripMs?: number;
  readonly says: string;
};
