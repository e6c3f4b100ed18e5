/**
 * The replicated address plan: a deterministic state machine that lets subnets, VTEP addresses and MACs to agents. It
 * is changed by committed commands only, and knows no clock: `time` comes with each command. Its state is a set of
 * records, which the replica keeps on disk; indexes in memory are derived from them. Presence and TTLs are the
 * leader's business, and reach the plan as judgements in commands.
 */
import type { Ip } from '#address/ip.js';
import type { Agent } from '#ipam/agent.js';
import type { RecordChange } from '#ipam/change.js';
import type { Command, Register } from '#ipam/command.js';
import type { Event } from '#ipam/event.js';
import type { HistoryEntry } from '#ipam/history.js';
import type { AgentId, InstanceId } from '#ipam/identity.js';
import type { Network, NetworkSettings, Overlay } from '#ipam/network.js';
import type { Result } from '#ipam/result.js';
import type { Exclusion, Lookup, PlanUsage, Reservation } from '#ipam/usage.js';

export type Outcome = {
  readonly result: Result;
  /** Empty unless the result says `changed`. */
  readonly events: readonly Event[];
  /** Exactly the records that changed; empty unless the result says `changed`. */
  readonly changes: readonly RecordChange[];
};

/** What decides whether a keep-alive counts. */
export type Lease = { readonly agentId: AgentId; readonly instanceId: InstanceId; readonly epoch: number };

export type HistoryQuery = {
  /** Only entries after this revision. */
  readonly after: number;
  /** At most so many, the newest. */
  readonly limit: number;
  readonly agentId?: AgentId | undefined;
};

/** How a master's file differs from the plan (rule 9). */
export type Disagreements = {
  /** New in the file: to be proposed as `add-overlay` with `source: 'config'`. */
  readonly additions: readonly Overlay[];
  readonly differences: readonly Disagreement[];
};
export type Disagreement = {
  /** As in the file: `network.vtep_subnet`, `network.overlays.dcos.prefix`. */
  readonly field: string;
  readonly configured: string;
  readonly replicated: string;
  /** The command that would change the plan to what the file says, or why none can. */
  readonly remedy: string;
};

export declare class Ipam {
  constructor();
  /** The plan that these records hold, in any order. @throws RecordError for what is no record of a plan. */
  static restore(records: Iterable<readonly [Uint8Array, Uint8Array]>): Ipam;
  /** Applies one committed command. `time` is cluster time in ms and must not go back. */
  apply(command: Command, at: { readonly index: number; readonly time: number }): Outcome;
  /** Every record, in ascending order of key. */
  records(): Iterable<readonly [Uint8Array, Uint8Array]>;
  /** Equal for equal states, and for practical purposes for no others. 32 hexadecimal digits. */
  hash(): string;

  /** Index of the last command that changed anything; 0 before the first. */
  get revision(): number;
  get adoption(): boolean;
  get network(): Network | undefined;
  overlay(name: string): Overlay | undefined;
  /** Names that were removed and are not in use, ascending. */
  get removedOverlays(): readonly string[];
  get agentCount(): number;
  agent(agentId: AgentId): Agent | undefined;
  /** The first `limit` agents after this id, by ascending id. */
  agentsAfter(agentId: AgentId | undefined, limit: number): readonly Agent[];
  lease(agentId: AgentId): Lease | undefined;
  leases(): Iterable<Lease>;
  /** The leases of others that this registration depends on: to be judged live or silent. At most two. */
  holdersConcerned(register: Pick<Register, 'agentId' | 'instanceId' | 'nodeIp'>): readonly Lease[];
  /** Undefined until there is a network. `time` is cluster time. */
  usage(time: number): PlanUsage | undefined;
  lookup(ip: Ip, time: number): Lookup;
  reservations(): readonly Reservation[];
  exclusions(): readonly Exclusion[];
  /** Oldest first. */
  history(query: HistoryQuery): readonly HistoryEntry[];
  disagreements(settings: NetworkSettings, overlays: readonly Overlay[]): Disagreements;
}
