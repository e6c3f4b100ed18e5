/** A keep-alive as a master received it. */
import type { AgentId, RunId } from '#ipam/identity.js';

export type ReceivedKeepAlive = {
  readonly agentId: AgentId;
  readonly instanceId: string;
  readonly epoch: number;
  readonly runId: RunId | undefined;
  /** Names its stream among those of all masters; empty: a master of an earlier release did not tell. */
  readonly stream: string;
  /** Names the connection of the caller. */
  readonly connection: string;
  /** The cluster that the lease is of; empty: absent. */
  readonly clusterId: string;
  /** The last revision and branch that the agent got; 0 and empty: none. */
  readonly revision: number;
  readonly branch: string;
};
