/**
 * The bridges of the `m-` ranges. A CNI plugin makes them with the first container, or we do where they are wanted at
 * once. We mark them, keep them up and their gateways on them, and take away an empty one whose subnet is no longer
 * ours, since the plugin refuses a bridge with another gateway.
 */

import type { StepPlan } from '#host/apply/step-plan.js';
import { type DesiredBridge, type DesiredHost, ipv6MtuBytesMin } from '#host/desired/desired.js';
import type { Marks } from '#host/desired/marks.js';
import type { LinkSetting, Step } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedLink } from '#host/observe/observed.js';
import { overlayScope, type Problem, type Scope } from '#host/problem.js';
import { isIpv6Text } from '#host/tools/text.js';

export function diffBridges({ bridges, marks }: DesiredHost, { links }: ObservedHost): StepPlan {
  const steps: Step[] = [];
  const problems: Problem[] = [];
  const wanted = new Map(bridges.map((bridge) => [bridge.name, bridge]));
  for (const link of links.values()) {
    const bridge = wanted.get(link.name);
    const ports = [...links.values()].filter(({ master }) => master === link.name).length;
    if (bridge !== undefined) addTo({ steps, problems }, compare(bridge, link, ports, marks));
    else if (isMarked(link, marks) && bridgeName.test(link.name)) {
      addTo({ steps, problems }, removal(link, ports, overlayScope(link.name.replace(bridgeName, ''))));
    }
  }
  for (const bridge of bridges) {
    const made = links.has(bridge.name) ? [] : creation(bridge, marks);
    steps.push(...made);
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
  // With our gateway it is ours, whatever its alias was. Without an address a plugin is just making it, or it has lost it.
  const hasLost = link.addresses.length === 0 && (bridge.made !== undefined || isMarked(link, marks));
  const isOurs = link.kind === 'bridge' && (hasGateway || hasLost);
  if (isOurs) return { steps: upkeep(bridge, link, marks), problems: [] };
  if (link.kind === 'bridge' && link.addresses.length === 0) return well;
  if (isMarked(link, marks)) {
    const { steps, problems } = removal(link, ports, scope);
    return { steps: steps.length === 0 ? steps : [...steps, ...creation(bridge, marks)], problems };
  }
  const error = `there is a ${link.kind} device ${link.name} that is not Sublet's (${link.addresses.join(', ') || 'no address'}): remove it with "ip link del ${link.name}"`;
  return { steps: [], problems: [{ scope, part: 'bridge', error }] };
}

/** What makes the bridge as it should be; nothing where a CNI plugin does. */
function creation(bridge: DesiredBridge, marks: Marks): Step[] {
  const { name, overlay, mtu, made } = bridge;
  if (made === undefined) return [];
  const { mac } = made;
  const link: ObservedLink = { name, kind: 'bridge', mac, mtu, up: false, alias: marks.current, addresses: [] };
  const create = { kind: 'bridge-create', name, mac, mtu, mark: marks.current } as const;
  return [{ ...create, scope: overlayScope(overlay), part: 'bridge' }, ...upkeep(bridge, link, marks)];
}

/** Where a CNI plugin makes the bridge, it is kept from when it bears our mark: until then the plugin is at it. */
function upkeep(bridge: DesiredBridge, link: ObservedLink, marks: Marks): Step[] {
  const { name, overlay, gateways, isIpv6Off, mtu, made } = bridge;
  const scope = overlayScope(overlay);
  const set = (setting: LinkSetting): Step => ({ kind: 'link-set', name, set: setting, scope, part: 'bridge' });
  const alias = link.alias === marks.current ? [] : [set({ kind: 'alias', alias: marks.current })];
  if (made === undefined && !isMarked(link, marks)) return alias;
  const missing = gateways.filter((gateway) => !link.addresses.includes(gateway));
  const add = (cidr: string): Step => {
    return { kind: 'address', action: 'add', cidr, device: name, scope, part: isIpv6Text(cidr) ? 'bridge6' : 'bridge' };
  };
  const missing6 = isIpv6Off ? [] : missing.filter(isIpv6Text);
  // IPv6 begins at an MTU of 1280, so the MTU comes before its addresses. Else a plugin's MTU is the plugin's to keep.
  const follows = made !== undefined || (missing6.length > 0 && link.mtu < ipv6MtuBytesMin);
  const mtuThen = follows ? mtu : link.mtu;
  return [
    ...alias,
    ...(link.mtu === mtuThen ? [] : [set({ kind: 'mtu', mtu })]),
    ...missing.filter((cidr) => !isIpv6Text(cidr)).map(add),
    ...(link.up ? [] : [set({ kind: 'up' })]),
    // Last: a host may refuse them on this bridge, which has IPv4 all the same.
    ...(mtuThen < ipv6MtuBytesMin ? [] : missing6.map(add)),
  ];
}

function isMarked({ kind, alias }: ObservedLink, marks: Marks): boolean {
  return kind === 'bridge' && alias !== undefined && marks.all.has(alias);
}

function removal(link: ObservedLink, ports: number, scope: Scope): StepPlan {
  if (ports === 0) return { steps: [{ kind: 'link-delete', name: link.name, scope, part: 'bridge' }], problems: [] };
  const error = `bridge ${link.name} still carries ${ports} container${ports === 1 ? '' : 's'} of ${link.addresses.join(', ')}, which this host no longer holds: stop them`;
  return { steps: [], problems: [{ scope, part: 'bridge', error }] };
}
