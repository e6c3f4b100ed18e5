/**
 * The peers' entries. Going in: neighbour, FDB, then the route, so that nothing is routed to a VTEP that can't be
 * reached; going out, the opposite.
 */
import { containsIp, parseCidr, parseIp } from '#address/ip.js';
import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import type { PeerTables } from '#host/diff/diff-device.js';
import type { RouteTable, Step } from '#host/diff/host-step.js';
import type { NetworkOverlay } from '#host/input.js';
import { familyOfPart, hostScope, overlayScope, partOf, type Scope } from '#host/problem.js';
import { addressOf, isIpv6Text } from '#host/tools/text.js';

export function diffPeers(desired: DesiredHost, tables: PeerTables | undefined): StepPlan {
  if (tables === undefined) return { steps: [], problems: [] };
  const { device } = tables;
  const scope = scopeFinder(desired.ranges);
  const [oldRoutes, newRoutes] = diffRoutes(desired.routes, tables.routes, 'main', device, scope);
  const [oldSource, newSource] = diffRoutes(
    desired.sourceRoutes,
    tables.sourceRoutes,
    'source',
    device,
    () => hostScope,
  );
  const [oldFdb, newFdb] = diffFdb(desired.fdb, tables.fdb, device);
  const [oldNeighbours, newNeighbours] = diffNeighbours(desired.neighbours, tables.neighbours, device);
  const [oldRules, newRules] = diffRules(desired.rules, tables.rules, scope);
  const old = [...oldRules, ...oldSource, ...oldRoutes, ...oldFdb, ...oldNeighbours];
  return {
    steps: [
      ...(desired.isIpv6Off ? old.filter(({ part }) => familyOfPart(part) !== 6) : old),
      ...[...newNeighbours, ...newFdb, ...newRoutes, ...newSource, ...newRules],
    ],
    problems: [],
  };
}

type OutAndIn = [out: Step[], into: Step[]];
type Table = ReadonlyMap<string, string>;

function diffRoutes(
  wanted: Table,
  there: Table,
  table: RouteTable,
  device: string,
  scope: (subnet: string) => Scope,
): OutAndIn {
  const [out, into]: OutAndIn = [[], []];
  if (wanted === there) return [out, into];
  const step = (action: 'add' | 'replace' | 'del', subnet: string, via: string): Step => {
    return {
      kind: 'route',
      action,
      subnet,
      via,
      device,
      table,
      scope: scope(subnet),
      part: partOf(table === 'main' ? 'peers' : 'source-route', isIpv6Text(subnet) ? 6 : 4),
    };
  };
  for (const [subnet, via] of there) if (!wanted.has(subnet)) out.push(step('del', subnet, via));
  for (const [subnet, via] of wanted) {
    const now = there.get(subnet);
    if (now !== via) into.push(step(now === undefined ? 'add' : 'replace', subnet, via));
  }
  return [out, into];
}

function diffFdb(wanted: Table, there: Table, device: string): OutAndIn {
  const [out, into]: OutAndIn = [[], []];
  if (wanted === there) return [out, into];
  const step = (action: 'replace' | 'del', mac: string, dst: string): Step => {
    return { kind: 'fdb', action, mac, dst, device, scope: hostScope, part: 'fdb' };
  };
  for (const [mac, dst] of there) {
    // Several destinations for one MAC can't be replaced by one: the entry goes first.
    if (!wanted.has(mac) || dst.includes(' ')) out.push(step('del', mac, dst));
  }
  for (const [mac, dst] of wanted) if (there.get(mac) !== dst) into.push(step('replace', mac, dst));
  return [out, into];
}

function diffNeighbours(wanted: Table, there: Table, device: string): OutAndIn {
  const [out, into]: OutAndIn = [[], []];
  if (wanted === there) return [out, into];
  const step = (action: 'replace' | 'del', ip: string, mac: string): Step => {
    const part = partOf('peers', isIpv6Text(ip) ? 6 : 4);
    return { kind: 'neighbour', action, ip, mac, device, scope: hostScope, part };
  };
  for (const [ip, mac] of there) if (!wanted.has(ip)) out.push(step('del', ip, mac));
  for (const [ip, mac] of wanted) if (there.get(ip) !== mac) into.push(step('replace', ip, mac));
  return [out, into];
}

function diffRules(
  wanted: ReadonlySet<string>,
  there: ReadonlyMap<string, number>,
  scope: (subnet: string) => Scope,
): OutAndIn {
  const step = (action: 'add' | 'del', source: string): Step => {
    const part = partOf('source-route', isIpv6Text(source) ? 6 : 4);
    return { kind: 'rule', action, source, scope: scope(source), part };
  };
  const out: Step[] = [];
  for (const [source, times] of there) {
    const excess = wanted.has(source) ? times - 1 : times;
    for (let i = 0; i < excess; i++) out.push(step('del', source));
  }
  return [out, [...wanted].filter((source) => !there.has(source)).map((source) => step('add', source))];
}

/** Finds the overlay that a subnet is of. */
function scopeFinder(ranges: readonly NetworkOverlay[]): (subnet: string) => Scope {
  const parsed = ranges.flatMap(({ name, subnet, subnet6 }) =>
    [subnet, subnet6].flatMap((text) =>
      text === undefined ? [] : [{ scope: overlayScope(name), cidr: parseCidr(text) }],
    ),
  );
  const only = parsed[0];
  if (parsed.length === 1 && only !== undefined) return () => only.scope;
  return (subnet) => {
    const address = parseIp(addressOf(subnet));
    return parsed.find(({ cidr }) => containsIp(cidr, address))?.scope ?? hostScope;
  };
}
