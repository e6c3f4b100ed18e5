/**
 * Tells which lines of `ip -N -o monitor` mean that the host is no longer as wanted. Our own changes echo there too; an
 * event that agrees with the desired state is no drift. Pure.
 */
import type { DesiredHost } from '#host/desired/desired.js';
import { routeProtocol, sourceTable } from '#host/desired/marks.js';
import type { Underlay } from '#host/desired/underlay.js';
import type { Area } from '#host/observe/observe.js';
import { isInOverlays } from '#host/observe/strangers.js';

const linkLine = /^(Deleted )?(\d+): ([^:@\s]+)[:@]\S* ?(<[^>]*>)?/;
const addressLine = /^(Deleted )?(\d+): (\S+) +inet6? /;
const addressText = /^(?:Deleted )?\d+: \S+ +inet6? ([^/ ]+)/;
/** `9.0.0.0/25 dev eth5 proto 4`, `default via 10.0.0.1 dev eth0 table 42`; a number before it is the type. */
const anyRouteLine = /^(?:Deleted )?(?:\d+ )?(default|[0-9a-f.:]+(?:\/\d+)?) (.*)$/;
const neighbourState = /\b(lladdr|NOARP|PERMANENT|REACHABLE|STALE|DELAY|PROBE|INCOMPLETE|FAILED|NONE)\b/;
const ruleLine = /^(?:Deleted )?\d+:\s+(?:not )?from .*?(?:\blookup (\S+)|$)/;
const fdbLine = /^(Deleted )?(\S+) dev (\S+) lladdr (\S+) NOARP PERMANENT/;
const neighbourLine = /^(Deleted )?(\S+) dev (\S+) (?:lladdr (\S+) )?(.*)$/;
const routeLine = /^(Deleted )?(\S+) via (\S+) dev (\S+) (.*)$/;

/** The areas to look at again because of one line; none for what does not concern us. */
export function areasOf(line: string, desired: DesiredHost, underlay: Underlay | undefined): readonly Area[] {
  if (desired.device.kind !== 'present') return desired.device.kind === 'untouched' ? untouchedAreas(line) : [];
  const vtep = desired.device.device.name;
  const link = addressLine.exec(line) ?? linkLine.exec(line);
  // `ip` may tell an address by the name that its device had before; the address itself is what counts.
  const address = addressText.exec(line)?.[1];
  if (address !== undefined && (address === desired.device.device.local || isInOverlays(desired, address))) {
    return linkAndMore(link, vtep, desired);
  }
  if (link !== null) return linkAreas(link, desired, { vtep, underlay });
  const rule = ruleLine.exec(line);
  // A rule of others may take containers' packets away, or give them back.
  if (rule !== null) return rule[1] === String(sourceTable) ? ['rules'] : ['strangers'];
  if (isStrangers(line, desired)) return ['strangers'];
  if (!line.includes(` dev ${vtep} `)) return [];
  return peerEntryAgrees(line, desired) ? [] : ['peers'];
}

/** While node_ip is on no interface, a new address may be it. */
function untouchedAreas(line: string): readonly Area[] {
  return addressLine.test(line) ? ['links'] : [];
}

/** The areas of an address that concerns us whatever device has it. */
function linkAndMore(link: RegExpExecArray | null, vtep: string, desired: DesiredHost): readonly Area[] {
  const areas = link === null ? [] : linkAreas(link, desired, { vtep, underlay: undefined });
  return areas.length > 0 ? areas : ['links'];
}

/** A route of others where ours are: inside the overlays, or in the source table. */
function isStrangers(line: string, desired: DesiredHost): boolean {
  if (line.includes(` proto ${routeProtocol}`)) return false;
  const route = anyRouteLine.exec(line);
  if (route === null) return false;
  const [, destination = '', rest = ''] = route;
  if (neighbourState.test(rest)) return false;
  const table = /\btable (\S+)/.exec(rest)?.[1];
  if (table !== undefined) return table === String(sourceTable);
  return destination !== 'default' && isInOverlays(desired, destination);
}

function linkAreas(
  [, deleted, index, name = '', flags = '']: RegExpExecArray,
  desired: DesiredHost,
  { vtep, underlay }: { vtep: string; underlay: Underlay | undefined },
): readonly Area[] {
  // A link that goes down or away takes its entries with it, silently.
  if (name === vtep) {
    return deleted !== undefined || (flags !== '' && !/\bUP\b/.test(flags)) ? ['links', 'peers'] : ['links'];
  }
  if (desired.sysctls.looseDevices.some((device) => device.name === name)) return ['links', 'sysctls'];
  const isUnderlay = name === underlay?.device || Number(index) === underlay?.index;
  return isUnderlay || underlay?.carriers?.includes(name) === true ? ['links'] : [];
}

/** Whether the event leaves the entry as it is wanted. */
function peerEntryAgrees(line: string, desired: DesiredHost): boolean {
  const fdb = fdbLine.exec(line);
  if (fdb !== null) {
    const [, deleted, dst, , mac = ''] = fdb;
    return (desired.fdb.get(mac) === dst) === (deleted === undefined);
  }
  const route = routeLine.exec(line);
  if (route !== null) return routeAgrees(route, desired);
  const neighbour = neighbourLine.exec(line);
  if (neighbour === null) return true;
  const [, deleted, ip = '', , mac, rest = ''] = neighbour;
  const wanted = desired.neighbours.get(ip);
  if (deleted !== undefined) return wanted === undefined;
  // Others' entries, which the kernel makes as it resolves, concern us only in place of one of ours.
  if (wanted === undefined) return !rest.includes(`proto ${routeProtocol}`);
  return mac === wanted && rest.includes('PERMANENT') && rest.includes(`proto ${routeProtocol}`);
}

function routeAgrees([, deleted, subnet = '', via, , rest = '']: RegExpExecArray, desired: DesiredHost): boolean {
  const table = /\btable (\d+)/.exec(rest)?.[1];
  const isSource = table === String(sourceTable);
  if ((table !== undefined && !isSource) || !rest.includes(`proto ${routeProtocol}`)) return true;
  const wanted = (isSource ? desired.sourceRoutes : desired.routes).get(subnet);
  return (wanted === via) === (deleted === undefined);
}
