/**
 * The one way to change the plan: a writer lives for one command, and makes each change in memory, in the records, in
 * the events and in the history together. A command is refused before anything is written.
 */
import { formatCidr, isCidr4 } from '#address/ip.js';
import type { AgentRecord, DepartedRecord } from '#ipam/agent-record.js';
import type { Branch } from '#ipam/branch.js';
import type { PlanRecord } from '#ipam/codec/record.js';
import type { CommandOrigin } from '#ipam/commands/command.js';
import type { Event, Happening } from '#ipam/commands/event.js';
import type { JoinToken } from '#ipam/join-token.js';
import { Ledger } from '#ipam/ledger.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { exclusionKey, type PlacedBlock, type Plan } from '#ipam/plan.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import type { Revocation } from '#ipam/revocation.js';
import { blockAddress, blockCidr, blockRange, type Space } from '#ipam/space/space.js';
import { beneficiaryOf, type Exclusion, type Reservation, reservedForOf } from '#ipam/space/usage.js';
import type { AgentThen } from '#ipam/view/agent-view.js';
import type { HistoryEntry, HistoryWord } from '#ipam/view/history.js';

/** Where in the log the command stands, and when: cluster time in ms. */
export type CommandPosition = { readonly index: number; readonly time: number };

/** More than a command adds on average, so that what is remembered of the departed does not pile up. */
const forgottenAtOnceMax = 2;

export class PlanWriter {
  readonly plan: Plan;
  readonly position: CommandPosition;
  readonly origin: CommandOrigin;
  readonly ledger: Ledger;
  readonly #happenings: Event[] = [];
  #meta: Plan['meta'];

  constructor(plan: Plan, position: CommandPosition, origin: CommandOrigin) {
    this.plan = plan;
    this.position = position;
    this.origin = origin;
    this.ledger = new Ledger(plan.hash);
    this.#meta = plan.meta;
  }

  get time(): number {
    return this.position.time;
  }

  /** The epoch of a lease that this command grants. */
  get epoch(): number {
    return this.#meta.epochBase + this.position.index;
  }

  get changed(): boolean {
    return !this.ledger.empty;
  }

  get events(): readonly Event[] {
    return this.#happenings;
  }

  /** When what is freed now may be allocated again. */
  get restEnd(): number {
    assertInvariant(this.plan.settings !== undefined, 'nothing is freed without a network');
    return this.time + this.plan.settings.quarantineMs;
  }

  tell(happening: Happening): void {
    this.#happenings.push({ revision: this.position.index, ...happening });
  }

  note(what: HistoryWord, who: string, subjects: readonly string[], detail = ''): void {
    const { wallTime } = this.origin;
    const entry: HistoryEntry = { revision: this.position.index, wallTime, what, who, subjects, detail };
    const { added, dropped } = this.plan.history.push(entry);
    if (dropped !== undefined) this.ledger.remove({ kind: 'history', value: dropped });
    this.ledger.add({ kind: 'history', value: added });
  }

  /**
   * Replaces an agent (undefined: there was none). Blocks that it no longer holds enter quarantine, those that it holds
   * now are its own.
   */
  putAgent(old: AgentRecord | undefined, next: AgentRecord): void {
    const before = old === undefined ? [] : this.plan.blocksOf(old);
    const after = this.plan.blocksOf(next);
    for (const placed of without(before, after)) this.#free(placed);
    for (const placed of without(after, before)) this.#hold(placed, next);
    this.plan.setAgent(old, next);
    this.#swap(old && { kind: 'agent', value: old }, { kind: 'agent', value: next });
  }

  /** Tells watchers how the agent is now. Returns the event. */
  tellAgent(record: AgentRecord, statusOnly: boolean): AgentThen {
    const agent = this.plan.asItIs(record);
    this.tell({ kind: 'agent-changed', agent, statusOnly });
    return agent;
  }

  /** Ends an agent's lease: all its blocks are quarantined until `until`. Returns them. */
  removeAgent(agent: AgentRecord, until = this.restEnd): readonly PlacedBlock[] {
    const blocks = this.plan.blocksOf(agent);
    for (const placed of blocks) this.#free(placed, until);
    this.plan.setAgent(agent, undefined);
    this.ledger.remove({ kind: 'agent', value: agent });
    this.tell({ kind: 'agent-removed', agentId: agent.agentId });
    return blocks;
  }

  /** Remembers an agent whose lease has ended, unless nothing of it is quarantined. */
  putDeparted(departed: DepartedRecord): void {
    assertInvariant(!this.plan.departed.has(departed.agentId), 'an agent departs once');
    if (departed.until <= this.time) return;
    this.plan.setDeparted(undefined, departed);
    this.ledger.add({ kind: 'departed', value: departed });
  }

  /**
   * The address of a departed agent is another one's now. Without effect if nothing of it is quarantined: it is about
   * to be forgotten.
   */
  loseDepartedNode(departed: DepartedRecord): void {
    if (departed.until <= this.time) return;
    const next = { ...departed, nodeIpLost: true };
    this.plan.setDeparted(departed, next);
    this.ledger.replace({ kind: 'departed', value: departed }, { kind: 'departed', value: next });
  }

  dropDeparted(departed: DepartedRecord): void {
    this.plan.setDeparted(departed, undefined);
    this.ledger.remove({ kind: 'departed', value: departed });
  }

  putSettings(settings: NetworkSettings): void {
    const old = this.plan.settings;
    this.plan.setSettings(settings);
    this.#swap(old && { kind: 'settings', value: old }, { kind: 'settings', value: settings });
  }

  putOverlay(overlay: Overlay): void {
    const old = this.plan.overlays.get(overlay.name)?.overlay;
    this.plan.setOverlay(overlay);
    this.#swap(old && { kind: 'overlay', value: old }, { kind: 'overlay', value: overlay });
  }

  /** Deletes an overlay of which nothing is held, and all that is known of its blocks. */
  removeOverlay(name: string): void {
    const entry = this.plan.overlays.get(name);
    assertInvariant(entry !== undefined, `overlay ${name} is not there`);
    for (const space of [entry.v4, entry.v6]) if (space !== undefined) this.#forgetSpace(space);
    this.plan.deleteOverlay(name);
    this.ledger.remove({ kind: 'overlay', value: entry.overlay });
    this.plan.removed.set(name, true);
    this.ledger.add({ kind: 'removed-overlay', value: name });
  }

  #forgetSpace(space: Space): void {
    assertInvariant(space.pool.heldCount === 0, 'what is held is not forgotten');
    for (const [block, until] of space.pool.freedBlocks) this.ledger.remove(freedRecord({ space, block }, until));
    for (const reservation of reservationsIn(space)) {
      this.plan.reservationCount -= 1;
      this.ledger.remove({ kind: 'reservation', value: reservation });
    }
    for (const [key, exclusion] of [...this.plan.exclusions.entries()]) {
      if (exclusion.overlay !== space.overlay || isCidr4(exclusion.subnet) !== (space.family === 4)) continue;
      this.plan.exclusions.delete(key);
      this.ledger.remove({ kind: 'exclusion', value: exclusion });
    }
  }

  reviveOverlayName(name: string): void {
    if (this.plan.removed.delete(name)) this.ledger.remove({ kind: 'removed-overlay', value: name });
  }

  reserve(space: Space, block: bigint, reservation: Reservation): void {
    space.pool.reserve(block, beneficiaryOf(reservation));
    this.plan.reservationCount += 1;
    this.ledger.add({ kind: 'reservation', value: reservation });
  }

  unreserve(space: Space, block: bigint, reservation: Reservation): void {
    space.pool.unreserve(block);
    this.plan.reservationCount -= 1;
    this.ledger.remove({ kind: 'reservation', value: reservation });
  }

  /** Reserves a block for another agent or node address than it is reserved for. */
  reserveAnew(space: Space, block: bigint, old: Reservation, next: Reservation): void {
    space.pool.unreserve(block);
    space.pool.reserve(block, beneficiaryOf(next));
    this.ledger.replace({ kind: 'reservation', value: old }, { kind: 'reservation', value: next });
  }

  exclude(space: Space, exclusion: Exclusion): void {
    const { first, end } = blockRange(exclusion.subnet, space.prefix);
    space.pool.exclude(first, end);
    this.plan.exclusions.set(exclusionKey(exclusion.overlay, exclusion.subnet), exclusion);
    this.ledger.add({ kind: 'exclusion', value: exclusion });
  }

  unexclude(space: Space, exclusion: Exclusion): void {
    const { first, end } = blockRange(exclusion.subnet, space.prefix);
    space.pool.unexclude(first, end);
    this.plan.exclusions.delete(exclusionKey(exclusion.overlay, exclusion.subnet));
    this.ledger.remove({ kind: 'exclusion', value: exclusion });
  }

  /** From here on every lease is one of an earlier cluster, at an epoch that no agent has seen (rule 12). */
  beginAdoption(adoptionReason: string): void {
    const { epoch } = this;
    this.#meta = { ...this.#meta, adoption: true, adoptedAt: epoch, adoptionReason };
    for (const [, agent] of [...this.plan.agents.entries()]) {
      const carried = { ...agent, epoch };
      this.putAgent(agent, carried);
      this.tellAgent(carried, false);
    }
    // A plan that went back may have tokens that were used or revoked since.
    for (const [, token] of [...this.plan.tokens.entries()]) this.dropToken(token);
  }

  putToken(token: JoinToken): void {
    const old = this.plan.tokens.get(token.id);
    this.plan.tokens.set(token.id, token);
    this.#swap(old && { kind: 'join-token', value: old }, { kind: 'join-token', value: token });
  }

  dropToken(token: JoinToken): void {
    this.plan.tokens.delete(token.id);
    this.ledger.remove({ kind: 'join-token', value: token });
  }

  putRevocation(revocation: Revocation): void {
    const old = this.plan.revocations.get(revocation.identity);
    this.plan.revocations.set(revocation.identity, revocation);
    this.plan.revocationsChangedAt = this.position.index;
    this.#swap(old && { kind: 'revocation', value: old }, { kind: 'revocation', value: revocation });
  }

  dropRevocation(revocation: Revocation): void {
    this.plan.revocations.delete(revocation.identity);
    this.plan.revocationsChangedAt = this.position.index;
    this.ledger.remove({ kind: 'revocation', value: revocation });
  }

  /** Takes effect when the command ends. */
  endAdoption(): void {
    this.#meta = { ...this.#meta, adoption: false, adoptionReason: '' };
  }

  /** Epochs are numbered from here from now on, the one of this command included. */
  raiseEpochs(epochBase: number): void {
    this.#meta = { ...this.#meta, epochBase };
  }

  /** A branch of the log's history begins at this command. */
  beginBranch(value: string): void {
    const branch: Branch = { index: this.position.index, epochBase: this.#meta.epochBase, value };
    const { dropped } = this.plan.branches.push(branch);
    if (dropped !== undefined) this.ledger.remove({ kind: 'branch', value: dropped });
    this.ledger.add({ kind: 'branch', value: branch });
  }

  /** Ends the command: what it changed has its index as revision. */
  close(): void {
    if (!this.changed) return;
    for (let forgotten = 0; forgotten < forgottenAtOnceMax; forgotten++) if (!this.#forgetOldest()) break;
    this.#putMeta({ ...this.#meta, revision: this.position.index });
  }

  /** Forgets the agent that departed first if nothing of it is quarantined any more. */
  #forgetOldest(): boolean {
    const oldest = this.plan.departedByEnd.first()?.[0];
    if (oldest === undefined || oldest.until > this.time) return false;
    const departed = this.plan.departed.get(oldest.agentId);
    assertInvariant(departed !== undefined, `departed agent ${oldest.agentId} is listed but not there`);
    this.dropDeparted(departed);
    return true;
  }

  #putMeta(meta: Plan['meta']): void {
    const { plan, ledger } = this;
    const old: PlanRecord = { kind: 'meta', value: plan.meta };
    const next: PlanRecord = { kind: 'meta', value: meta };
    plan.meta = meta;
    // An empty plan has no records at all, so before the first change there is nothing to replace.
    plan.metaBytes = old.value.revision > 0 ? ledger.replace(old, next, plan.metaBytes) : ledger.add(next);
  }

  /** Puts a record, in place of the old one if there was one. */
  #swap(old: PlanRecord | undefined, next: PlanRecord): void {
    if (old === undefined) this.ledger.add(next);
    else this.ledger.replace(old, next);
  }

  #hold(placed: PlacedBlock, agent: AgentRecord): void {
    const { space, block } = placed;
    const until = space.pool.quarantinedUntil(block);
    space.pool.hold(block, agent.agentId);
    if (until !== undefined) this.ledger.remove(freedRecord(placed, until));
  }

  #free(placed: PlacedBlock, until = this.restEnd): void {
    placed.space.pool.free(placed.block, until);
    this.ledger.add(freedRecord(placed, until));
  }
}

/** What a previewed command would have written first. */
export class FirstWrite extends Error {}

/** A writer that changes nothing: all that would change something throws `FirstWrite`. */
export function previewWriter(plan: Plan, position: CommandPosition, origin: CommandOrigin): PlanWriter {
  return new Proxy(new PlanWriter(plan, position, origin), {
    get: (writer, name) => {
      const value: unknown = Reflect.get(writer, name, writer);
      if (typeof value !== 'function') return value;
      return () => {
        throw new FirstWrite();
      };
    },
  });
}

function freedRecord({ space, block }: PlacedBlock, until: number): PlanRecord {
  return { kind: 'freed', value: { overlay: space.overlay, address: blockAddress(space, block), until } };
}

/** Every reservation of a space, by block. */
export function reservationsIn(space: Space): readonly Reservation[] {
  const found: Reservation[] = [];
  for (const [block, beneficiary] of space.pool.reservations) {
    found.push({ overlay: space.overlay, subnet: blockCidr(space, block), ...reservedForOf(beneficiary) });
  }
  return found;
}

function without(blocks: readonly PlacedBlock[], others: readonly PlacedBlock[]): readonly PlacedBlock[] {
  return blocks.filter(({ space, block }) => !others.some((other) => other.space === space && other.block === block));
}

/** `9.0.1.0/24`; a VTEP address without its /32. */
export function formatBlock({ space, block }: PlacedBlock): string {
  const text = formatCidr(blockCidr(space, block));
  return space.overlay === undefined ? text.replace('/32', '') : text;
}
