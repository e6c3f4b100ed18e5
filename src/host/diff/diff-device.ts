/** The VTEP device: made, mended in place where the kernel can, made anew where it can't, left alone if not ours. */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredDevice, DesiredHost } from '#host/desired/desired.js';
import type { Marks } from '#host/desired/marks.js';
import type { LinkSetting, Step, StepAction } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedLink } from '#host/observe/observed.js';
import { hostScope, type Part, type Problem } from '#host/problem.js';
import { isIpv6Text } from '#host/tools/text.js';

export interface DevicePlan extends StepPlan {
  /** Name of the device that the steps make anew. */
  readonly creates: string | undefined;
  /** The peers' entries that are left once these steps ran; absent: don't touch them. */
  readonly tables: PeerTables | undefined;
}

export type PeerTables = Pick<ObservedHost, 'neighbours' | 'fdb' | 'routes' | 'sourceRoutes' | 'rules'> & {
  readonly device: string;
};

export function diffDevice(desired: DesiredHost, observed: ObservedHost): DevicePlan {
  const stale = staleDevices(desired, observed);
  const wish = desired.device;
  if (wish.kind === 'absent') {
    return { steps: stale, problems: [], creates: undefined, tables: { ...gone, rules: observed.rules, device: '' } };
  }
  if (wish.kind === 'untouched') return { steps: [], problems: [], creates: undefined, tables: undefined };
  const { device } = wish;
  const link = observed.links.get(device.name);
  if (link === undefined) return create(desired, observed, device, stale);
  if (!isOurs(link, device, desired.marks)) {
    return { steps: stale, problems: [foreign(link)], creates: undefined, tables: undefined };
  }
  if (!isMendable(link, device)) {
    return create(desired, observed, device, [...stale, deviceStep({ kind: 'link-delete', name: device.name })]);
  }
  return mend(desired, observed, device, link, stale);
}

/** Devices of ours that are not desired: of a former name, or all when leaving. */
function staleDevices({ device, marks }: DesiredHost, { links }: ObservedHost): Step[] {
  const name = device.kind === 'present' ? device.device.name : undefined;
  if (device.kind === 'untouched') return [];
  return [...links.values()]
    .filter(
      (link) => link.kind === 'vxlan' && link.name !== name && link.alias !== undefined && marks.all.has(link.alias),
    )
    .map((link) => deviceStep({ kind: 'link-delete', name: link.name }, 'stale-device'));
}

/**
 * The alias says whose it is. A device without one that is otherwise ours to the byte was made by us, just before we
 * stopped or the alias was wiped: no other program uses that MAC.
 */
function isOurs(link: ObservedLink, device: DesiredDevice, marks: Marks): boolean {
  if (link.alias !== undefined) return marks.all.has(link.alias);
  return (
    link.kind === 'vxlan' &&
    link.mac === device.mac &&
    link.vxlan?.vni === device.vni &&
    link.vxlan.port === device.port
  );
}

/** A VXLAN's id, port and underlay family are fixed when it is made. */
function isMendable({ kind, vxlan }: ObservedLink, device: DesiredDevice): boolean {
  const isSame = kind === 'vxlan' && vxlan?.vni === device.vni && vxlan.port === device.port && !vxlan.learning;
  return isSame && (vxlan.local === undefined || isIpv6Text(vxlan.local) === isIpv6Text(device.local));
}

function foreign(link: ObservedLink): Problem {
  const owner = link.alias === undefined ? '' : ` (alias "${link.alias}")`;
  const error = `there is a ${link.kind} device ${link.name} that is not Sublet's${owner}: remove it with "ip link del ${link.name}", or give the network another vtep_name`;
  return { scope: hostScope, part: 'device', error };
}

function create(desired: DesiredHost, observed: ObservedHost, device: DesiredDevice, before: Step[]): DevicePlan {
  const steps = [
    ...before,
    deviceStep({ kind: 'device-create', device, mark: desired.marks.current }),
    ...(device.addresses.some(isIpv6Text) ? [set(device.name, { kind: 'no-link-local' })] : []),
    ...(device.up ? [set(device.name, { kind: 'up' })] : []),
    ...device.addresses.map((cidr) => address('add', cidr, device.name)),
  ];
  const tables = { ...gone, rules: observed.rules, device: device.name };
  return { steps, problems: [], creates: device.name, tables };
}

const nothing: ReadonlyMap<string, string> = new Map();
const gone = { neighbours: nothing, fdb: nothing, routes: nothing, sourceRoutes: nothing };

function mend(
  desired: DesiredHost,
  observed: ObservedHost,
  device: DesiredDevice,
  link: ObservedLink,
  stale: Step[],
): DevicePlan {
  const { name } = device;
  const steps: Step[] = [...stale];
  const mac = link.mac !== device.mac;
  const wrong = link.addresses
    .filter((cidr) => !device.addresses.includes(cidr))
    .filter((cidr) => !isIpv6Text(cidr) || !desired.isIpv6Off);
  // A device that is down keeps no IPv6 address; they come back with it.
  const missing = device.up ? device.addresses.filter((cidr) => !link.addresses.includes(cidr)) : [];
  if (link.alias !== desired.marks.current) steps.push(set(name, { kind: 'alias', alias: desired.marks.current }));
  if (link.vxlan?.local !== device.local) steps.push(set(name, { kind: 'local', local: device.local }));
  if (mac) steps.push(set(name, { kind: 'mac', mac: device.mac }));
  // IPv6 begins at an MTU of 1280, so the MTU comes before it.
  if (link.mtu !== device.mtu) steps.push(set(name, { kind: 'mtu', mtu: device.mtu }));
  if (makesLinkLocal(link, device)) steps.push(set(name, { kind: 'no-link-local' }));
  steps.push(...wrong.map((cidr) => address('del', cidr, name)));
  if (link.up !== device.up) steps.push(set(name, { kind: device.up ? 'up' : 'down' }));
  steps.push(...missing.map((cidr) => address('add', cidr, name)));
  return { steps, problems: [], creates: undefined, tables: remaining(observed, device, mac) };
}

/** A device that has no IPv6 tells of no way in which it makes addresses, and takes none. */
function makesLinkLocal({ addressGeneration }: ObservedLink, { addresses }: DesiredDevice): boolean {
  return addressGeneration === undefined ? addresses.some(isIpv6Text) : addressGeneration !== 'none';
}

/**
 * What the kernel keeps: it forgets neighbours when the MAC changes, and neighbours and routes when the device goes
 * down. (A device that already was down was observed so.)
 */
function remaining(observed: ObservedHost, device: DesiredDevice, macChanges: boolean): PeerTables {
  return {
    ...tablesOf(observed, device.name),
    ...(macChanges ? { neighbours: nothing } : {}),
    ...(device.up ? {} : { neighbours: nothing, routes: nothing, sourceRoutes: nothing }),
  };
}

function tablesOf({ neighbours, fdb, routes, sourceRoutes, rules }: ObservedHost, device: string): PeerTables {
  return { neighbours, fdb, routes, sourceRoutes, rules, device };
}

function set(name: string, setting: LinkSetting): Step {
  const part = setting.kind === 'mtu' ? 'mtu' : setting.kind === 'no-link-local' ? 'device6' : 'device';
  return deviceStep({ kind: 'link-set', name, set: setting }, part);
}

function address(action: 'add' | 'del', cidr: string, device: string): Step {
  return deviceStep({ kind: 'address', action, cidr, device }, isIpv6Text(cidr) ? 'device6' : 'device');
}

function deviceStep(action: StepAction, part: Part = 'device'): Step {
  return { ...action, scope: hostScope, part };
}
