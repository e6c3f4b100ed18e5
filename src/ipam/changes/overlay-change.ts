/** Commands that add, change and remove overlays (rules 9 and 10). */

import { covers4 } from '#address/cidr4.js';
import { covers6 } from '#address/cidr6.js';
import { formatCidr } from '#address/ip.js';
import { describeOverlay, nodeInside, noNetwork, sameOverlay } from '#ipam/changes/network-change.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import type { AddOverlay, RemoveOverlay, UpdateOverlay } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { removedOverlaysMax } from '#ipam/limits.js';
import type { Overlay } from '#ipam/network.js';
import type { Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { formatTime } from '#text/duration.js';

export function addOverlay(plan: Plan, writer: PlanWriter, { overlay, source }: AddOverlay): Reply | Refusal {
  const action = `add overlay "${overlay.name}"`;
  if (plan.settings === undefined) return noNetwork(action);
  const old = plan.overlays.get(overlay.name)?.overlay;
  if (old !== undefined) {
    if (sameOverlay(old, overlay)) return { kind: 'overlay', overlay: old };
    const message = `${action}: it is there already, with ${describeOverlay(old)}, not ${describeOverlay(overlay)}`;
    return refuse('already-exists', 'name', message);
  }
  if (source === 'config' && plan.removed.get(overlay.name) !== undefined) {
    const message = `${action}: the name was removed by an operator; only an operator's "overlay add" brings it back`;
    return refuse('failed-precondition', 'name', message);
  }
  const wrong = unfitAddition(plan, overlay);
  if (wrong !== undefined) return wrong;
  writer.reviveOverlayName(overlay.name);
  writer.putOverlay(overlay);
  writer.tell({ kind: 'overlay-changed', overlay });
  writer.note('add-overlay', writer.origin.by, [overlay.name], describeOverlay(overlay));
  return { kind: 'overlay', overlay };
}

export function updateOverlay(plan: Plan, writer: PlanWriter, command: UpdateOverlay): Reply | Refusal {
  const { name, enabled, subnet, subnet6 } = command;
  const action = `update overlay "${name}"`;
  const old = plan.overlays.get(name)?.overlay;
  if (old === undefined) return unknownOverlay(action, name);
  const noFamily = (field: string) =>
    refuse('failed-precondition', field, `${action}: it has no ${field} that could grow; a family can't be added`);
  if (subnet !== undefined && old.v4 === undefined) return noFamily('subnet');
  if (subnet6 !== undefined && old.v6 === undefined) return noFamily('subnet6');
  const next: Overlay = {
    name,
    v4: old.v4 && { subnet: subnet ?? old.v4.subnet, prefix: old.v4.prefix },
    v6: old.v6 && { subnet: subnet6 ?? old.v6.subnet, prefix: old.v6.prefix },
    enabled: enabled ?? old.enabled,
    // Enabling it ends a drain: what agents still hold stays theirs.
    ...(old.draining === true && enabled !== true && { draining: true as const }),
  };
  const wrong = unfitUpdate(plan, old, next);
  if (wrong !== undefined) return wrong;
  if (sameOverlay(old, next)) return { kind: 'overlay', overlay: old };
  writer.putOverlay(next);
  writer.tell({ kind: 'overlay-changed', overlay: next });
  writer.note('update-overlay', writer.origin.by, [name], `${describeOverlay(old)} → ${describeOverlay(next)}`);
  return { kind: 'overlay', overlay: next };
}

export function removeOverlay(plan: Plan, writer: PlanWriter, { name }: RemoveOverlay): Reply | Refusal {
  const action = `remove overlay "${name}"`;
  const entry = plan.overlays.get(name);
  if (entry === undefined) return unknownOverlay(action, name);
  const spaces = [entry.v4, entry.v6].filter((space) => space !== undefined);
  const held = spaces.reduce((sum, { pool }) => sum + pool.heldCount, 0);
  if (held > 0) {
    const advice = entry.overlay.draining
      ? `agents give them back as they take the overlay off their hosts; the agents that hold one: sublet overlay drain ${name}`
      : `have agents give them back first: sublet overlay drain ${name}`;
    return refuse('failed-precondition', 'name', `${action}: ${held} of its subnets are held; ${advice}`);
  }
  // A quarantined block may still be in use on a host that is cut off. Were the overlay forgotten, its space could be
  // allocated again.
  const restLeft = Math.max(...spaces.map(({ pool }) => pool.restLeft(writer.time)));
  if (restLeft > 0) {
    const wait = `the last of its subnets is in quarantine for another ${formatTime(restLeft)}`;
    return refuse('failed-precondition', 'name', `${action}: ${wait}`);
  }
  if (plan.removed.size >= removedOverlaysMax) {
    const message = `${action}: ${plan.removed.size} names are remembered as removed, at most ${removedOverlaysMax} can be`;
    return refuse('resource-exhausted', 'name', message);
  }
  writer.removeOverlay(name);
  writer.tell({ kind: 'overlay-removed', name });
  writer.note('remove-overlay', writer.origin.by, [name], describeOverlay(entry.overlay));
  return done();
}

/** Why this overlay can't be added, or not in place of the one of its name; undefined: it can. */
export function unfitAddition(plan: Plan, overlay: Overlay): Refusal | undefined {
  return checkWith(plan, overlay, `add overlay "${overlay.name}"`);
}

/** Why an overlay can't become this one, which has the same pieces; undefined: it can. */
export function unfitUpdate(plan: Plan, old: Overlay, next: Overlay): Refusal | undefined {
  const action = `update overlay "${old.name}"`;
  return checkGrowth(old, next, action) ?? checkWith(plan, next, action);
}

export function unknownOverlay(action: string, name: string): Refusal {
  return refuse('not-found', 'name', `${action}: there is no overlay "${name}"`);
}

function checkGrowth(old: Overlay, next: Overlay, action: string): Refusal | undefined {
  const shrinks = (field: string, was: string, is: string) =>
    refuse('failed-precondition', field, `${action}: ${field} ${is} is not a supernet of ${was}: it can only grow`);
  if (old.v4 && next.v4 && !covers4(next.v4.subnet, old.v4.subnet)) {
    return shrinks('subnet', formatCidr(old.v4.subnet), formatCidr(next.v4.subnet));
  }
  if (old.v6 && next.v6 && !covers6(next.v6.subnet, old.v6.subnet)) {
    return shrinks('subnet6', formatCidr(old.v6.subnet), formatCidr(next.v6.subnet));
  }
  return undefined;
}

/** Whether the network is sound with this overlay in it, and no agent's underlay address inside the overlay. */
function checkWith(plan: Plan, overlay: Overlay, action: string): Refusal | undefined {
  if (plan.settings === undefined) return noNetwork(action);
  const others = plan.overlayList().filter(({ name }) => name !== overlay.name);
  const wrong = checkNetwork(plan.settings, [...others, overlay]);
  if (wrong !== undefined) {
    // The overlay in question is the last one; its field is named without its place among the others.
    const field = wrong.field.replace(/^network\.overlays\[\d+\]\./, '');
    return { ...wrong, field, message: `${action}: ${wrong.message.replace(wrong.field, field)}` };
  }
  for (const [field, part] of [['subnet', overlay.v4] as const, ['subnet6', overlay.v6] as const]) {
    const inside = nodeInside(plan, part?.subnet);
    if (part === undefined || inside === undefined) continue;
    return refuse('failed-precondition', field, `${action}: ${field} ${formatCidr(part.subnet)} ${inside}`);
  }
  return undefined;
}
