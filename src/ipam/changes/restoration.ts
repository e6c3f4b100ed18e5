/**
 * Builds the plan from its records, which come in ascending order of key as the replica keeps them: overlays before what
 * is held of them. Anything that does not fit stops the node, for it could only be damage.
 */

import { familyOf } from '#address/ip.js';
import { assertNever } from '#errors/invariant.js';
import type { AgentRecord } from '#ipam/agent-record.js';
import { decodeRecord, type Freed, type NumberedEntry, type PlanRecord } from '#ipam/codec/record.js';
import { RecordError } from '#ipam/codec/wire.js';
import type { AgentId } from '#ipam/identity.js';
import { exclusionKey, Plan } from '#ipam/plan.js';
import { reservationsIn } from '#ipam/plan-writer.js';
import { blockAddress, blockOf, blockRange, exactBlock, type Space } from '#ipam/space/space.js';
import { beneficiaryOf, type Exclusion, type Reservation } from '#ipam/space/usage.js';

type HeldBlock = { readonly block: bigint; readonly agentId: AgentId };

export class Restoration {
  readonly #plan = new Plan();
  readonly #entries: NumberedEntry[] = [];
  readonly #held = new Map<Space, HeldBlock[]>();
  #lastKind = 0;

  /** @throws RecordError, InvariantError */
  add(key: Uint8Array, value: Uint8Array): void {
    const kind = key[0] ?? 0;
    if (kind < this.#lastKind) throw new RecordError('records come out of order: ascending keys are needed');
    this.#lastKind = kind;
    this.#take(decodeRecord(key, value, this.#plan.interning));
    this.#plan.hash.add(key, value);
  }

  finish(): Plan {
    // In ascending order what is held grows as one range after another, which is much quicker than in order of agent.
    for (const [space, held] of this.#held) {
      held.sort((a, b) => (a.block < b.block ? -1 : 1));
      for (const { block, agentId } of held) {
        if (space.pool.quarantinedUntil(block) !== undefined) {
          throw new RecordError(`a block that agent "${agentId}" holds is recorded as freed, too`);
        }
        space.pool.hold(block, agentId);
      }
    }
    this.#plan.history.load(this.#entries);
    return this.#plan;
  }

  #take(record: PlanRecord): void {
    const plan = this.#plan;
    switch (record.kind) {
      case 'meta':
        plan.meta = record.value;
        return;
      case 'settings':
        plan.setSettings(record.value);
        return;
      case 'overlay':
        plan.setOverlay(record.value);
        return;
      case 'removed-overlay':
        plan.removed.set(record.value, true);
        return;
      case 'reservation':
        this.#takeReservation(record.value);
        return;
      case 'exclusion':
        this.#takeExclusion(record.value);
        return;
      case 'freed':
        this.#takeFreed(record.value);
        return;
      case 'departed':
        plan.setDeparted(undefined, record.value);
        return;
      case 'agent':
        this.#takeAgent(record.value);
        return;
      case 'history':
        this.#entries.push(record.value);
        return;
      case 'branch':
        plan.branches.push(record.value);
        return;
      case 'join-token':
        plan.tokens.set(record.value.id, record.value);
        return;
      case 'revocation':
        plan.revocations.set(record.value.identity, record.value);
        return;
      default:
        assertNever(record);
    }
  }

  #takeReservation(reservation: Reservation): void {
    const { overlay, subnet } = reservation;
    const space = this.#spaceOf(overlay, familyOf(subnet.address));
    const block = exactBlock(space, subnet);
    if (block === undefined) throw new RecordError('a reservation is for no block of its overlay');
    space.pool.reserve(block, beneficiaryOf(reservation));
    this.#plan.reservationCount += 1;
  }

  #takeExclusion(exclusion: Exclusion): void {
    const space = this.#spaceOf(exclusion.overlay, familyOf(exclusion.subnet.address));
    const { first, end } = blockRange(exclusion.subnet, space.prefix);
    space.pool.exclude(first, end);
    this.#plan.exclusions.set(exclusionKey(exclusion.overlay, exclusion.subnet), exclusion);
  }

  #takeFreed({ overlay, address, until }: Freed): void {
    const space = this.#spaceOf(overlay, familyOf(address));
    space.pool.quarantine(blockOf(space, address), until);
  }

  #takeAgent(agent: AgentRecord): void {
    this.#plan.setAgent(undefined, agent);
    for (const { space, block } of this.#plan.blocksOf(agent)) {
      const held = this.#held.get(space);
      if (held === undefined) this.#held.set(space, [{ block, agentId: agent.agentId }]);
      else held.push({ block, agentId: agent.agentId });
    }
  }

  #spaceOf(overlay: string | undefined, family: 4 | 6) {
    const space = this.#plan.space(overlay, family);
    if (space === undefined) throw new RecordError(`a record concerns overlay "${overlay ?? ''}", which is not there`);
    return space;
  }
}

/** Every record of the plan, in ascending order of kind; within a kind in no particular order. */
export function* recordsOf(plan: Plan): Generator<PlanRecord, void, undefined> {
  if (plan.meta.revision > 0) yield { kind: 'meta', value: plan.meta };
  if (plan.settings !== undefined) yield { kind: 'settings', value: plan.settings };
  for (const overlay of plan.overlayList()) yield { kind: 'overlay', value: overlay };
  for (const [name] of plan.removed.entries()) yield { kind: 'removed-overlay', value: name };
  for (const space of plan.spaces) for (const value of reservationsIn(space)) yield { kind: 'reservation', value };
  for (const [, value] of plan.exclusions.entries()) yield { kind: 'exclusion', value };
  for (const space of plan.spaces) {
    for (const [block, until] of space.pool.freedBlocks) {
      yield { kind: 'freed', value: { overlay: space.overlay, address: blockAddress(space, block), until } };
    }
  }
  for (const value of plan.departed.values()) yield { kind: 'departed', value };
  for (const [, value] of plan.agents.entries()) yield { kind: 'agent', value };
  for (const value of plan.history.entries()) yield { kind: 'history', value };
  for (const value of plan.branches.all) yield { kind: 'branch', value };
  for (const [, value] of plan.tokens.entries()) yield { kind: 'join-token', value };
  for (const [, value] of plan.revocations.entries()) yield { kind: 'revocation', value };
}
