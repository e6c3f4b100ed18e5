/** The status of an agent, as plain JSON for people and scripts, and whether it is ready. */
import type { Agent, LeaseSource } from '#agent/agent.js';
import type { Lease } from '#agent/lease/lease.js';
import type { RegistrationState } from '#agent/lease/lease-request.js';
import type { HostStatus } from '#host/host-status.js';
import type { AddressUsage } from '#host/usage/address-usage.js';
import type { CertificateAge, CertificateReport } from '#tls/certificate/certificate-reloader.js';
import { timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal } from '#tls/principal.js';

export type AgentStatus = {
  readonly agent_id: string;
  readonly hostname: string;
  readonly network_mode: string;
  /** The master that is asked first. */
  readonly master: string;
  readonly registration: {
    readonly state: RegistrationState['kind'];
    readonly error?: string;
    /** ms until the masters are asked again. */
    readonly next_in_ms?: number;
  };
  readonly lease: LeaseStatus | null;
  readonly keep_alive: { readonly answered: number; readonly failures: number; readonly last_error: string };
  readonly watch: {
    readonly connected: boolean;
    readonly cluster_id: string;
    readonly revision: number;
    readonly peers: number;
    readonly failures: number;
    readonly snapshots: number;
    readonly last_error: string;
  };
  /** Null: without TLS. */
  readonly certificate: CertificateStatus | null;
  readonly host: HostStatus;
  /** How full the ranges of this host are; without those whose addresses in use are not known. */
  readonly addresses: readonly AddressUsage[];
  readonly ready: boolean;
  /** Why it is not ready, and whatever else an operator should look at. */
  readonly problems: readonly string[];
};

type CertificateStatus = {
  /** ROLE/ID */
  readonly identity: string;
  /** Upper-case hex digits. */
  readonly serial: string;
  /** In UTC, like 2026-11-29T06:00:00Z. */
  readonly ends: string;
  /** `good`; `aging`: a third of its life or less is left; `ending`: a sixth; `ended`. */
  readonly age: CertificateAge;
  /** Why the files on disk are not in use; empty: they are. */
  readonly problem: string;
};

type LeaseStatus = {
  readonly source: LeaseSource;
  readonly valid: boolean;
  /** ms; null: it does not run out. */
  readonly ttl_left_ms: number | null;
} & Pick<Lease, 'vxlan' | 'overlays' | 'problems'> & {
    readonly cluster_id: string;
    readonly epoch: number;
    readonly node_ip: string;
  };

export function agentStatus(agent: Agent, networkMode: string, certificate?: CertificateReport): AgentStatus {
  const { options, keepAlive, watch, table } = agent;
  const { answered, failures, lastError } = keepAlive.counts;
  const counts = watch.counts;
  const unready = notReady(agent);
  return {
    agent_id: options.agentId,
    hostname: options.hostname,
    network_mode: networkMode,
    master: options.api.current,
    registration: registrationStatus(agent),
    lease: leaseStatus(agent),
    keep_alive: { answered, failures, last_error: lastError },
    watch: {
      connected: counts.connected,
      cluster_id: table.clusterId,
      revision: table.revision,
      peers: table.size,
      failures: counts.failures,
      snapshots: counts.snapshots,
      last_error: counts.lastError,
    },
    certificate: certificate === undefined ? null : certificateStatus(certificate),
    host: options.host.status(),
    addresses: options.host.usage(),
    ready: unready.length === 0,
    problems: [
      ...unready,
      ...certificateProblems(certificate),
      ...refusals(agent),
      ...agent.troubles,
      ...overlayProblems(agent),
    ],
  };
}

function certificateStatus({ material: { principal }, age, problem }: CertificateReport): CertificateStatus {
  const { serial, endsMs } = principal;
  return { identity: formatPrincipal(principal), serial, ends: timeText(endsMs), age, problem };
}

function refusals({ keepAlive }: Agent): readonly string[] {
  return keepAlive.refusal === '' ? [] : [`the masters refuse to keep the lease alive: ${keepAlive.refusal}`];
}

function certificateProblems(certificate: CertificateReport | undefined): readonly string[] {
  return (certificate?.warnings() ?? []).map(({ message, remedy }) => `${message}: ${remedy}`);
}

/** Why the agent is not ready to carry containers; empty if it is. A dead control plane is no reason. */
export function notReady(agent: Agent): readonly string[] {
  const { lease, leaseSource, term, table, registration, heldElsewhere, otherNodeIp } = agent;
  const { state } = registration;
  const error = 'error' in state ? `: ${state.error}` : '';
  if (lease === undefined) return [`not registered${error}`];
  if (heldElsewhere !== '') return [`another process keeps this lease alive: ${heldElsewhere}`];
  if (otherNodeIp !== '') return [`the masters have node_ip ${otherNodeIp} for this lease, not ${lease.nodeIp}`];
  if (!term.valid) return [`the lease has ended and the tunnel is down${error}`];
  if (!table.isOf(lease)) return ['the peers are not known yet'];
  if (leaseSource === 'cache' && state.kind === 'asking' && state.attempt === 1) return ['registering'];
  return [];
}

/** Why the host has not been built up yet; undefined: it has, or what failed is tried again and again. */
export function unbuilt(agent: Agent): string | undefined {
  const [reason] = notReady(agent);
  if (reason !== undefined) return reason;
  const { overlays } = agent.options.host.status();
  const isBuilt = (agent.lease?.overlays ?? []).length === 0 || overlays.length > 0;
  const open = overlays.filter(({ kind }) => kind === 'configuring').map(({ name }) => name);
  if (isBuilt && open.length === 0) return undefined;
  return open.length === 0 ? 'the overlays are being built' : `${open.join(', ')}: being built`;
}

function registrationStatus({ registration, options }: Agent): AgentStatus['registration'] {
  const { state } = registration;
  if (!('untilMs' in state)) return { state: state.kind };
  const next = Math.max(0, Math.round(state.untilMs - options.clock.now()));
  return { state: state.kind, error: state.error, next_in_ms: next };
}

function leaseStatus({ lease, leaseSource, term }: Agent): LeaseStatus | null {
  if (lease === undefined) return null;
  const { clusterId, epoch, nodeIp, vxlan, overlays, problems } = lease;
  const left = term.leftMs;
  return {
    source: leaseSource,
    valid: term.valid,
    ttl_left_ms: left === undefined ? null : Math.round(left),
    cluster_id: clusterId,
    epoch,
    node_ip: nodeIp,
    vxlan,
    overlays,
    problems,
  };
}

function overlayProblems({ lease, options }: Agent): readonly string[] {
  const lacking = (lease?.problems ?? []).map(
    ({ overlay, reason }) => `overlay ${overlay} was not allocated: ${reason}`,
  );
  const { overlays, problems, hookError } = options.host.status();
  const failed = overlays.flatMap((overlay) =>
    overlay.kind === 'failed' ? [`overlay ${overlay.name}: ${overlay.error}`] : [],
  );
  const notes = overlays.flatMap((overlay) =>
    overlay.kind === 'ok' ? overlay.notes.map((note) => `overlay ${overlay.name} works, but: ${note}`) : [],
  );
  const others = problems.filter((problem) => !failed.some((error) => error.includes(problem)));
  return [...lacking, ...failed, ...others, ...(hookError === undefined ? [] : [hookError]), ...notes];
}
