/**
 * The replicated address plan: a deterministic state machine that leases subnets, VTEP addresses and MACs to agents. It
 * is changed by committed commands only, and knows no clock: `time` comes with each command. Its state is a set of
 * records, which the replica keeps on disk; indexes in memory are derived from them. Presence and TTLs are the leader's
 * business, and reach the plan as judgements in commands.
 */
import type { Ip } from '#address/ip.js';
import { assertNever } from '#errors/invariant.js';
import type { AgentRecord } from '#ipam/agent-record.js';
import { formatBranch } from '#ipam/branch.js';
import { type Awaited, awaitedIn, beginAdoption, endAdoption, markBranch } from '#ipam/changes/adoption.js';
import { replaceAgent } from '#ipam/changes/agent-replacement.js';
import { isAwaited } from '#ipam/changes/claim.js';
import { expire, leave, release } from '#ipam/changes/departure.js';
import { createToken, revokeToken, useToken } from '#ipam/changes/join-change.js';
import { recordMembership } from '#ipam/changes/master-change.js';
import { configureNetwork, updateNetwork } from '#ipam/changes/network-change.js';
import { addOverlay, removeOverlay, updateOverlay } from '#ipam/changes/overlay-change.js';
import { drainOverlay, returnOverlays } from '#ipam/changes/overlay-drain.js';
import { register } from '#ipam/changes/registration.js';
import { Restoration, recordsOf } from '#ipam/changes/restoration.js';
import { revokeIdentity, unrevokeIdentity } from '#ipam/changes/revocation-change.js';
import { exclude, reserve, unexclude, unreserve } from '#ipam/changes/setting-aside.js';
import { reportStatus } from '#ipam/changes/status-report.js';
import { encodeRecord, recordKey } from '#ipam/codec/record.js';
import type { HashWords } from '#ipam/codec/record-hash.js';
import type { PlanRecordChange } from '#ipam/commands/change.js';
import type { Command, HeldLease, Register } from '#ipam/commands/command.js';
import type { Event } from '#ipam/commands/event.js';
import {
  type HeldStanding,
  hasBlocksOf,
  type Proof,
  proofIn,
  standingOf,
  type Testimony,
} from '#ipam/commands/proof.js';
import { done, type Refusal, type Reply, type Result, refuse } from '#ipam/commands/result.js';
import type { AgentId } from '#ipam/identity.js';
import type { JoinToken } from '#ipam/join-token.js';
import { operatorNameLengthMax } from '#ipam/limits.js';
import type { Network, NetworkSettings, Overlay } from '#ipam/network.js';
import { Plan } from '#ipam/plan.js';
import { assertInvariant, brokenPlan } from '#ipam/plan-invariant.js';
import { type CommandPosition, FirstWrite, PlanWriter, previewWriter } from '#ipam/plan-writer.js';
import type { Revocation } from '#ipam/revocation.js';
import {
  exclusionsOf,
  type HostOverlayCounts,
  hostOverlaysOf,
  lookUp,
  reservationsOf,
  usageOf,
} from '#ipam/space/survey.js';
import type { BlockRun, Exclusion, Lookup, PlanUsage, Reservation } from '#ipam/space/usage.js';
import { viewAgent } from '#ipam/view/agent-view.js';
import { type ConfigDrifts, configDriftsOf } from '#ipam/view/config-drift.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import type { HistoryEntry, HistoryQuery } from '#ipam/view/history.js';

export type Outcome = {
  readonly result: Result;
  /** Empty unless the result says `changed`. */
  readonly events: readonly Event[];
  /** Exactly the records that changed, each once; empty unless the result says `changed`. */
  readonly changes: readonly PlanRecordChange[];
};

/** Of a command that would be applied: whether it would change anything. */
export type Preview = { readonly kind: 'accepted'; readonly changes: boolean };

/** What decides whether a keep-alive counts. */
export type LeaseRef = Pick<AgentRecord, 'agentId' | 'instanceId' | 'epoch'>;
/** With the fields that identify the process that holds it, and its address. */
export type PlacedLease = LeaseRef & Pick<AgentRecord, 'sequence' | 'nodeIp' | 'runId'>;

export class Ipam {
  private readonly plan: Plan;
  #lastTime = 0;
  #counted: { readonly revision: number; readonly counts: HostOverlayCounts } | undefined;

  /** An empty plan, or (from `restore`) a loaded one. */
  constructor(plan: Plan = new Plan()) {
    this.plan = plan;
  }

  /**
   * The plan that these records hold, in ascending order of key.
   * @throws RecordError for what is no record of a plan; InvariantError for records that contradict one another.
   */
  static restore(records: Iterable<readonly [Uint8Array, Uint8Array]>): Ipam {
    const restoration = new Restoration();
    for (const [key, value] of records) restoration.add(key, value);
    return new Ipam(restoration.finish());
  }

  /** As `restore`, for records that come by and by: `add` each, then make the plan. */
  static restoration(): { add(key: Uint8Array, value: Uint8Array): void; finish(): Ipam } {
    const restoration = new Restoration();
    return { add: (key, value) => restoration.add(key, value), finish: () => new Ipam(restoration.finish()) };
  }

  /** Applies one committed command. `index` rises; `time` is cluster time in ms and never goes back. */
  apply(command: Command, at: CommandPosition): Outcome {
    const { plan } = this;
    if (at.index <= plan.meta.revision) {
      throw brokenPlan(`index ${at.index} does not follow revision ${plan.meta.revision}`);
    }
    if (at.time < this.#lastTime) throw brokenPlan(`cluster time went back from ${this.#lastTime} to ${at.time}`);
    this.#lastTime = at.time;
    const writer = new PlanWriter(plan, at, command);
    const reply = checkOrigin(plan, command) ?? dispatch(plan, writer, command);
    if (reply.kind === 'refused') {
      assertInvariant(!writer.changed, 'a command was refused but has changed something');
      return { result: reply, events: [], changes: [] };
    }
    writer.close();
    // The reply is new and not shared, so it is added to rather than copied.
    const result = Object.assign(reply, { revision: plan.meta.revision, changed: writer.changed });
    return { result, events: writer.events, changes: writer.ledger.changes };
  }

  /** What would come of a command if it were applied next. Changes nothing. `time` is cluster time. */
  preview(command: Command, time: number): Preview | Refusal {
    const { plan } = this;
    const writer = previewWriter(plan, { index: plan.meta.revision + 1, time }, command);
    try {
      const reply = checkOrigin(plan, command) ?? dispatch(plan, writer, command);
      return reply.kind === 'refused' ? reply : { kind: 'accepted', changes: false };
    } catch (error) {
      // A command is refused before anything is written.
      if (error instanceof FirstWrite) return { kind: 'accepted', changes: true };
      throw error;
    }
  }

  /** Every record, in ascending order of key; sorts them, so it is for tools and tests. */
  records(): readonly (readonly [Uint8Array, Uint8Array])[] {
    const all = [...recordsOf(this.plan)].map((record) => [recordKey(record), encodeRecord(record)] as const);
    return all.sort(([a], [b]) => compareBytes(a, b));
  }

  /**
   * Equal for equal states, and for practical purposes for no others: 32 hexadecimal digits, O(1). It is over the
   * records' bytes, so only members of the same version can be expected to agree.
   */
  hash(): string {
    return this.plan.hash.toString();
  }

  /** As `hash`, not formatted: it is noted after each command. */
  get hashWords(): HashWords {
    return this.plan.hash.words;
  }

  /** Index of the last command that changed anything; 0 before the first. */
  get revision(): number {
    return this.plan.meta.revision;
  }

  get adoption(): boolean {
    return this.plan.meta.adoption;
  }

  /** The proof that began the adoption; empty where there is none. */
  get adoptionReason(): string {
    return this.plan.meta.adoptionReason;
  }

  /** The branch that this revision is of, as clients get it; empty: it is older than the branches on record. */
  branchAt(revision: number): string {
    return formatBranch(this.plan.branches.at(revision));
  }

  /** The branches up to this revision, in ascending order. */
  branchesUpTo(revision: number): readonly string[] {
    return this.plan.branches.all.filter(({ index }) => index <= revision).map(formatBranch);
  }

  /** Whether this history has the branch at that revision. */
  hasBranch(branch: string, revision: number): boolean {
    return branch !== '' && this.branchAt(revision) === branch;
  }

  /**
   * What shows that this plan is older than what a caller has seen; undefined: nothing. `lastIndex`: applied, at least.
   */
  proofIn(testimony: Testimony, lastIndex: number): Proof | undefined {
    return proofIn(this.plan, testimony, lastIndex);
  }

  /** How a registration has to treat what the agent says that it holds. */
  standingOf(testimony: Testimony): HeldStanding {
    return standingOf(this.plan, testimony);
  }

  /** Whether a lease has addresses of this network. */
  hasBlocksOf(held: HeldLease): boolean {
    return hasBlocksOf(this.plan, held);
  }

  /** Whether an agent was ever registered. */
  get everUsed(): boolean {
    return this.plan.vtep?.pool.everUsed === true;
  }

  /** The epoch of the leases that the last adoption carried over; 0: there was none. */
  get adoptedAt(): number {
    return this.plan.meta.adoptedAt;
  }

  /** Whether this lease was carried over by the adoption that is under way, and its agent has not registered since. */
  awaits(lease: Pick<LeaseRef, 'epoch'>): boolean {
    return isAwaited(this.plan, lease);
  }

  get network(): Network | undefined {
    return this.plan.network;
  }

  overlay(name: string): Overlay | undefined {
    return this.plan.overlays.get(name)?.overlay;
  }

  /** Names that were removed and are not in use, ascending. */
  get removedOverlays(): readonly string[] {
    return [...this.plan.removed.entries()].map(([name]) => name);
  }

  get agentCount(): number {
    return this.plan.agents.size;
  }

  agent(agentId: AgentId): FullAgent | undefined {
    const record = this.plan.agents.get(agentId);
    return record && viewAgent(this.plan.asItIs(record));
  }

  /** The first `limit` agents after this id, by ascending id. */
  agentsAfter(agentId: AgentId | undefined, limit: number): readonly FullAgent[] {
    const page: FullAgent[] = [];
    for (const [id, record] of this.plan.agents.entries(agentId)) {
      if (page.length >= limit) break;
      if (id !== agentId) page.push(viewAgent(this.plan.asItIs(record)));
    }
    return page;
  }

  lease(agentId: AgentId): PlacedLease | undefined {
    return this.plan.agents.get(agentId);
  }

  /** Every lease, by ascending agent id. Don't apply commands meanwhile. */
  *leases(): Generator<LeaseRef, void, undefined> {
    for (const [, record] of this.plan.agents.entries()) yield record;
  }

  /**
   * In adoption: the agents with a carried-over lease that have not registered yet, the first `limit` by ascending id.
   */
  awaited(limit: number): Awaited {
    return awaitedIn(this.plan, limit);
  }

  /** The leases that this registration depends on: to be judged live or silent. At most two. */
  holdersConcerned(command: Pick<Register, 'agentId' | 'instanceId' | 'nodeIp'>): readonly LeaseRef[] {
    const sameId = this.plan.agents.get(command.agentId);
    const sameNode = this.plan.nodeHolder(command.nodeIp);
    const concerned: LeaseRef[] = [];
    if (sameId !== undefined && sameId.instanceId !== command.instanceId) concerned.push(sameId);
    if (sameNode !== undefined && sameNode.agentId !== command.agentId) concerned.push(sameNode);
    return concerned;
  }

  /** How the overlays fare on the hosts; counted once for each revision. */
  hostOverlays(): HostOverlayCounts {
    const { revision } = this.plan.meta;
    if (this.#counted?.revision !== revision) this.#counted = { revision, counts: hostOverlaysOf(this.plan) };
    return this.#counted.counts;
  }

  /** Undefined until there is a network. `time` is cluster time. */
  usage(time: number): PlanUsage | undefined {
    return usageOf(this.plan, time);
  }

  lookup(ip: Ip, time: number): Lookup {
    return lookUp(this.plan, ip, time);
  }

  /** Undefined: no such overlay, or none of this family. As `BlockPool.setAside`; `time` is cluster time. */
  setAside(overlay: string, family: 'v4' | 'v6', time: number, limit: number): readonly BlockRun[] | undefined {
    return this.plan.overlays.get(overlay)?.[family]?.pool.setAside(time, limit);
  }

  reservations(): readonly Reservation[] {
    return reservationsOf(this.plan);
  }

  exclusions(): readonly Exclusion[] {
    return exclusionsOf(this.plan);
  }

  /** The tokens that are remembered, by ascending id. */
  tokens(): readonly JoinToken[] {
    return [...this.plan.tokens.entries()].map(([, token]) => token);
  }

  token(id: string): JoinToken | undefined {
    return this.plan.tokens.get(id);
  }

  /** By ascending identity. */
  revocations(): readonly Revocation[] {
    return [...this.plan.revocations.entries()].map(([, revocation]) => revocation);
  }

  revocation(identity: string): Revocation | undefined {
    return this.plan.revocations.get(identity);
  }

  /** The revision at which the revocations changed last, of those that this process has applied; 0: none since it loaded them. */
  get revocationsChangedAt(): number {
    return this.plan.revocationsChangedAt;
  }

  /** Oldest first. */
  history(query: HistoryQuery): readonly HistoryEntry[] {
    return this.plan.history.find(query);
  }

  /** How a master's file differs from the plan (rule 9); what it does not mention is not compared. */
  disagreements(settings: Partial<NetworkSettings>, overlays: readonly Overlay[] | undefined): ConfigDrifts {
    return configDriftsOf(this.plan, settings, overlays);
  }
}

function checkOrigin(plan: Plan, { kind, by, expectedRevision }: Command): Refusal | undefined {
  if (by.length > operatorNameLengthMax) {
    const message = `${kind}: the name of who asks has ${by.length} characters: at most ${operatorNameLengthMax}`;
    return refuse('invalid-argument', 'by', message);
  }
  const { revision } = plan.meta;
  if (expectedRevision === undefined || expectedRevision === revision) return undefined;
  const message = `${kind}: expected_revision ${expectedRevision}: the plan is at revision ${revision}; read it again`;
  return refuse('aborted', 'expected_revision', message);
}

function dispatch(plan: Plan, writer: PlanWriter, command: Command): Reply | Refusal {
  switch (command.kind) {
    case 'configure-network':
      return configureNetwork(plan, writer, command);
    case 'update-network':
      return updateNetwork(plan, writer, command);
    case 'add-overlay':
      return addOverlay(plan, writer, command);
    case 'update-overlay':
      return updateOverlay(plan, writer, command);
    case 'drain-overlay':
      return drainOverlay(plan, writer, command);
    case 'return-overlays':
      return returnOverlays(plan, writer, command);
    case 'remove-overlay':
      return removeOverlay(plan, writer, command);
    case 'register':
      return register(plan, writer, command);
    case 'report-status':
      return reportStatus(plan, writer, command);
    case 'leave':
      return leave(plan, writer, command);
    case 'release':
      return release(plan, writer, command);
    case 'replace-agent':
      return replaceAgent(plan, writer, command);
    case 'expire':
      return expire(plan, writer, command);
    case 'reserve':
      return reserve(plan, writer, command);
    case 'unreserve':
      return unreserve(plan, writer, command);
    case 'exclude':
      return exclude(plan, writer, command);
    case 'unexclude':
      return unexclude(plan, writer, command);
    case 'begin-adoption':
      return beginAdoption(writer, command);
    case 'end-adoption':
      return endAdoption(plan, writer, command);
    case 'record-membership':
      return recordMembership(writer, command);
    case 'mark-branch':
      return markBranch(writer, command);
    case 'create-token':
      return createToken(plan, writer, command);
    case 'use-token':
      return useToken(plan, writer, command);
    case 'revoke-token':
      return revokeToken(plan, writer, command);
    case 'revoke-identity':
      return revokeIdentity(plan, writer, command);
    case 'unrevoke-identity':
      return unrevokeIdentity(plan, writer, command);
    case 'record-backup':
      writer.note('save-snapshot', command.by, [], `through ${command.master}`);
      return done();
    default:
      return assertNever(command);
  }
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}
