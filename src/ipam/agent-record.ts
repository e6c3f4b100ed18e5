/**
 * An agent as the plan keeps it: only what does not follow from the network, so that 65,000 of them stay small. Never
 * changed in place. `agent-view.ts` works the rest out.
 */
import type { Ip } from '#address/ip.js';
import type { Ipv4 } from '#address/ipv4.js';
import type { Ipv6 } from '#address/ipv6.js';
import type { AgentId, InstanceId, RunId } from '#ipam/identity.js';
import type { NetworkConfig, OverlayStatus, ProblemReason } from '#ipam/view/full-agent.js';

/** What an agent holds of one overlay: the first address of its piece in each family. */
export type Holding = {
  readonly overlay: string;
  readonly block4: Ipv4 | undefined;
  readonly block6: Ipv6 | undefined;
  readonly status: OverlayStatus;
  readonly error: string;
};

export type StoredProblem = { readonly overlay: string; readonly family: 4 | 6; readonly reason: ProblemReason };

/** The last that was heard of an earlier instance: its requests up to this sequence are late retries (rule 3). */
export type FormerInstance = { readonly instanceId: InstanceId; readonly sequence: number };

export type AgentRecord = {
  readonly agentId: AgentId;
  readonly instanceId: InstanceId;
  readonly sequence: number;
  readonly nodeIp: Ip;
  readonly reachable: boolean;
  readonly hostname: string;
  readonly networkConfig: NetworkConfig;
  readonly epoch: number;
  readonly registeredAt: number;
  readonly vtepIp: Ipv4;
  /** In ascending order of overlay. */
  readonly holdings: readonly Holding[];
  /** In ascending order of overlay and family. */
  readonly problems: readonly StoredProblem[];
  /** Newest first, at most `formerInstancesMax`. */
  readonly former: readonly FormerInstance[];
  /** Of the process that registered last; undefined: it sent none. */
  readonly runId: RunId | undefined;
  /** Cluster time from which on the id may be taken over again; 0: it was not taken over. */
  readonly takeoverAfter: number;
};

/** What is remembered of an agent whose lease has ended, while its blocks are quarantined. */
export type DepartedRecord = {
  readonly agentId: AgentId;
  readonly instanceId: InstanceId;
  readonly sequence: number;
  readonly nodeIp: Ip;
  /** Another agent took that address over, before or after the lease ended: to be there is no sign of the same host. */
  readonly nodeIpLost: boolean;
  /** The epoch that ended. */
  readonly epoch: number;
  /** It said itself that its data plane is down. */
  readonly left: boolean;
  /** Cluster time until which its blocks are quarantined. */
  readonly until: number;
  readonly vtepIp: Ipv4;
  readonly holdings: readonly Holding[];
  readonly former: readonly FormerInstance[];
  /** As of the agent: to leave and come back does not allow another takeover. */
  readonly takeoverAfter: number;
};
