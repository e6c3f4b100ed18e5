/** What operators set aside (rule 6): blocks reserved for one agent or node address, ranges excluded from allocation. */
import { containsIp, familyOf, formatCidr, formatIp } from '#address/ip.js';
import type { Exclude, Reserve, Unexclude, Unreserve } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { exclusionsMax, reservationsMax } from '#ipam/limits.js';
import { exclusionKey, type Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { blockRange, describeSpace, exactBlock, type Space } from '#ipam/space/space.js';
import { type Beneficiary, beneficiaryOf, formatBeneficiary, reservedForOf } from '#ipam/space/usage.js';

type Range = Reserve | Unreserve | Exclude | Unexclude;

export function reserve(plan: Plan, writer: PlanWriter, command: Reserve): Reply | Refusal {
  const { overlay, subnet, nodeIp } = command;
  const beneficiary = beneficiaryOf(command);
  const action = actionOf(command);
  const place = blockPlace(plan, command);
  if ('kind' in place) return place;
  const around = nodeIp === undefined ? undefined : plan.spaceAround(nodeIp);
  if (nodeIp !== undefined && around !== undefined) {
    const message = `${action}: node_ip ${formatIp(nodeIp)} lies in ${describeSpace(around)}: no agent can register it`;
    return refuse('invalid-argument', 'node_ip', message);
  }
  const { space, block } = place;
  const { pool } = space;
  const keptFor = pool.reservation(block);
  if (keptFor === beneficiary) return done();
  if (keptFor !== undefined) {
    return refuse('already-exists', 'subnet', `${action}: it is reserved for ${formatBeneficiary(keptFor)} already`);
  }
  if (pool.excludes(block)) return refuse('failed-precondition', 'subnet', `${action}: it is excluded`);
  const holder = pool.holder(block);
  if (holder !== undefined && holder !== agentOf(plan, beneficiary)) {
    return refuse('failed-precondition', 'subnet', `${action}: agent "${holder}" holds it; release that one first`);
  }
  if (plan.reservationCount >= reservationsMax) {
    return refuse(
      'resource-exhausted',
      'subnet',
      `${action}: there are ${reservationsMax} reservations, the most allowed`,
    );
  }
  writer.reserve(space, block, { overlay: space.overlay, subnet, ...reservedForOf(beneficiary) });
  writer.note('reserve', writer.origin.by, [formatCidr(subnet), subjectOf(beneficiary)], overlay ?? 'VTEP');
  return done();
}

export function unreserve(plan: Plan, writer: PlanWriter, command: Unreserve): Reply | Refusal {
  const { overlay, subnet } = command;
  const place = blockPlace(plan, command);
  if ('kind' in place) return place;
  const { space, block } = place;
  const beneficiary = space.pool.reservation(block);
  if (beneficiary === undefined) return refuse('not-found', 'subnet', `${actionOf(command)}: it is not reserved`);
  writer.unreserve(space, block, { overlay: space.overlay, subnet, ...reservedForOf(beneficiary) });
  writer.note('unreserve', writer.origin.by, [formatCidr(subnet), subjectOf(beneficiary)], overlay ?? 'VTEP');
  return done();
}

export function exclude(plan: Plan, writer: PlanWriter, command: Exclude): Reply | Refusal {
  const { overlay, subnet } = command;
  const action = actionOf(command);
  if (plan.exclusions.get(exclusionKey(overlay, subnet)) !== undefined) return done();
  const space = spaceOf(plan, command);
  if ('kind' in space) return space;
  if (
    subnet.prefix > space.prefix ||
    !containsIp(space.subnet, subnet.address) ||
    subnet.prefix < space.subnet.prefix
  ) {
    const allowed = `whole /${space.prefix} blocks of ${describeSpace(space)} are allowed`;
    return refuse('invalid-argument', 'subnet', `${action}: ${allowed}`);
  }
  const { first, end } = blockRange(subnet, space.prefix);
  const reserved = space.pool.reservationIn(first, end);
  if (reserved !== undefined) {
    const message = `${action}: a block of it is reserved for ${formatBeneficiary(reserved[1])}; unreserve that one first`;
    return refuse('failed-precondition', 'subnet', message);
  }
  if (space.pool.excludes(first, end)) {
    const other = coveringExclusion(plan, space, first, end);
    return refuse('already-exists', 'subnet', `${action}: it overlaps the exclusion of ${other}`);
  }
  if (plan.exclusions.size >= exclusionsMax) {
    return refuse('resource-exhausted', 'subnet', `${action}: there are ${exclusionsMax} exclusions, the most allowed`);
  }
  const held = space.pool.heldIn(first, end);
  writer.exclude(space, { overlay: space.overlay, subnet });
  const detail = held === 0 ? '' : `; ${held} of its blocks stay held until they are freed`;
  writer.note('exclude', writer.origin.by, [formatCidr(subnet)], `${overlay ?? 'VTEP'}${detail}`);
  return done();
}

export function unexclude(plan: Plan, writer: PlanWriter, command: Unexclude): Reply | Refusal {
  const { overlay, subnet } = command;
  const space = spaceOf(plan, command);
  if ('kind' in space) return space;
  const exclusion = plan.exclusions.get(exclusionKey(overlay, subnet));
  if (exclusion === undefined) {
    const message = `${actionOf(command)}: there is no exclusion of exactly this range`;
    return refuse('not-found', 'subnet', message);
  }
  writer.unexclude(space, exclusion);
  writer.note('unexclude', writer.origin.by, [formatCidr(subnet)], overlay ?? 'VTEP');
  return done();
}

/** The agent that a reservation is for, as far as it is known: the one that is reached at the node address. */
function agentOf(plan: Plan, beneficiary: Beneficiary): string | undefined {
  return typeof beneficiary === 'string' ? beneficiary : plan.nodeHolder(beneficiary)?.agentId;
}

/** As the history names it. */
function subjectOf(beneficiary: Beneficiary): string {
  return typeof beneficiary === 'string' ? beneficiary : formatIp(beneficiary);
}

function actionOf({ kind, overlay, subnet }: Range): string {
  return `${kind} ${formatCidr(subnet)} of ${overlay === undefined ? 'the VTEP subnet' : `overlay "${overlay}"`}`;
}

function spaceOf(plan: Plan, command: Range): Space | Refusal {
  const { overlay, subnet } = command;
  const family = familyOf(subnet.address);
  const space = plan.space(overlay, family);
  if (space !== undefined) return space;
  if (overlay !== undefined && plan.overlays.get(overlay) === undefined) {
    return refuse('not-found', 'overlay', `${actionOf(command)}: there is no such overlay`);
  }
  return refuse('invalid-argument', 'subnet', `${actionOf(command)}: no IPv${family} blocks are allocated there`);
}

/** The space and the block of it that the command names exactly. */
function blockPlace(plan: Plan, command: Range): { readonly space: Space; readonly block: bigint } | Refusal {
  const space = spaceOf(plan, command);
  if ('kind' in space) return space;
  const block = exactBlock(space, command.subnet);
  if (block !== undefined) return { space, block };
  const allowed = `one /${space.prefix} block of ${describeSpace(space)} is allowed`;
  return refuse('invalid-argument', 'subnet', `${actionOf(command)}: ${allowed}`);
}

function coveringExclusion(plan: Plan, space: Space, first: bigint, end: bigint): string {
  for (const [, { overlay, subnet }] of plan.exclusions.entries()) {
    if (overlay !== space.overlay || familyOf(subnet.address) !== space.family) continue;
    const other = blockRange(subnet, space.prefix);
    if (other.first < end && first < other.end) return formatCidr(subnet);
  }
  return 'another range';
}
