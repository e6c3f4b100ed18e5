/**
 * The bridges of the `m-` halves. A CNI plugin makes them with the first container; we mark them, and take away an
 * empty one whose subnet is no longer ours, since the plugin refuses a bridge with another gateway.
 */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredBridge, DesiredHost } from '#host/desired/desired.js';
import type { Marks } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedLink } from '#host/observe/observed.js';
import { overlayScope, type Problem, type Scope } from '#host/problem.js';

export function diffBridges({ bridges, marks }: DesiredHost, { links }: ObservedHost): StepPlan {
  const steps: Step[] = [];
  const problems: Problem[] = [];
  const wanted = new Map(bridges.map((bridge) => [bridge.name, bridge]));
  for (const link of links.values()) {
    const bridge = wanted.get(link.name);
    const ports = [...links.values()].filter(({ master }) => master === link.name).length;
    if (bridge !== undefined) addTo({ steps, problems }, compare(bridge, link, ports, marks));
    else if (isMarked(link, marks) && bridgeName.test(link.name))
      addTo({ steps, problems }, removal(link, ports, overlayScope(link.name.replace(bridgeName, ''))));
  }
  return { steps, problems };
}

/** How the bridges of overlays begin. Another bridge is never taken away, whatever mark it bears. */
const bridgeName = /^[md]-/;

function addTo(all: { steps: Step[]; problems: Problem[] }, { steps, problems }: StepPlan): void {
  all.steps.push(...steps);
  all.problems.push(...problems);
}

const well: StepPlan = { steps: [], problems: [] };

function compare(bridge: DesiredBridge, link: ObservedLink, ports: number, marks: Marks): StepPlan {
  const scope = overlayScope(bridge.overlay);
  const hasGateway = bridge.gateways.some((gateway) => link.addresses.includes(gateway));
  // Without an address it is just being made; with ours it is ours, whatever its alias was.
  if (link.kind === 'bridge' && hasGateway) {
    if (link.alias === marks.current) return well;
    const set = { kind: 'alias', alias: marks.current } as const;
    return { steps: [{ kind: 'link-set', name: link.name, set, scope, part: 'bridge' }], problems: [] };
  }
  if (link.kind === 'bridge' && link.addresses.length === 0) return well;
  if (isMarked(link, marks)) return removal(link, ports, scope);
  const error = `there is a ${link.kind} device ${link.name} that is not Sublet's (${link.addresses.join(', ') || 'no address'}): remove it with "ip link del ${link.name}"`;
  return { steps: [], problems: [{ scope, part: 'bridge', error }] };
}

function isMarked({ kind, alias }: ObservedLink, marks: Marks): boolean {
  return kind === 'bridge' && alias !== undefined && marks.all.has(alias);
}

function removal(link: ObservedLink, ports: number, scope: Scope): StepPlan {
  if (ports === 0) return { steps: [{ kind: 'link-delete', name: link.name, scope, part: 'bridge' }], problems: [] };
  const error = `bridge ${link.name} still carries ${ports} container${ports === 1 ? '' : 's'} of ${link.addresses.join(', ')}, which this host no longer holds: stop them`;
  return { steps: [], problems: [{ scope, part: 'bridge', error }] };
}
