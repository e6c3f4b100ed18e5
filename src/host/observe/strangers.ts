/**
 * Routes and addresses of others that take a peer's subnet away from the tunnel though every entry of ours is in place:
 * a more specific route, an address inside the subnet, a route in the table that containers' packets look at first.
 * Pure. A stale address on a bridge of ours is taken away; all else is foreign, so the overlay reports FAILED.
 */
import { AddressError } from '#address/brand.js';
import { networkOf4, parseInterface4 } from '#address/cidr4.js';
import { networkOf6, parseInterface6 } from '#address/cidr6.js';
import { type Cidr, coversCidr, formatCidr, overlapsCidr, parseCidr } from '#address/ip.js';
import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { sourceTable } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedLink, StrangerRoute } from '#host/observe/observed.js';
import { familyOfPart, overlayScope, type Part, type Problem, partOf } from '#host/problem.js';
import { addressOf, isIpv6Text, prefixOf } from '#host/tools/text.js';

/** The most problems for one host: others can put any number of routes into a table. */
const problemsMax = 8;

export function diffStrangers(desired: DesiredHost, observed: ObservedHost): StepPlan {
  const { steps, bridges } = staleAddresses(desired, observed.links);
  if (desired.routes.size === 0) return { steps, problems: [] };
  const problems = [
    ...observed.strangers.flatMap((route) => routeProblems(route, desired, { links: observed.links, bridges })),
    ...[...observed.links.values()].flatMap((link) =>
      bridges.has(link.name) || isTunnel(desired, link) ? [] : addressProblems(link, desired),
    ),
  ];
  return { steps, problems: problems.slice(0, problemsMax) };
}

function isTunnel({ device }: DesiredHost, { name }: ObservedLink): boolean {
  return device.kind === 'present' && device.device.name === name;
}

/** Addresses of overlays on our bridges that are not of this host's own subnets: of a former lease, or of a mistake. */
function staleAddresses(
  { bridges, docker, overlays, ranges }: DesiredHost,
  links: ObservedHost['links'],
): { steps: Step[]; bridges: ReadonlySet<string> } {
  const own = overlays.flatMap(({ subnets }) => subnets.map(parseCidr));
  const named = [
    ...bridges.map(({ name, overlay, gateways }) => ({ name, overlay, own: gateways.map(networkOf) })),
    ...docker.map(({ bridge, overlay, subnet, subnet6 }) => {
      return {
        name: bridge,
        overlay,
        own: [subnet, subnet6].flatMap((text) => (text === undefined ? [] : parseCidr(text))),
      };
    }),
  ];
  const ours = named.filter(({ name, own: halves }) => {
    const link = links.get(name);
    return (
      link?.kind === 'bridge' && halves.some((half) => link.addresses.some((cidr) => coversCidr(half, networkOf(cidr))))
    );
  });
  const steps = ours.flatMap(({ name, overlay }) =>
    (links.get(name)?.addresses ?? [])
      .filter((cidr) => {
        const host = hostOf(cidr);
        return isOfOverlay(ranges, host) && !own.some((subnet) => coversCidr(subnet, host));
      })
      .map((cidr): Step => {
        return { kind: 'address', action: 'del', cidr, device: name, scope: overlayScope(overlay), part: 'bridge' };
      }),
  );
  return { steps, bridges: new Set(ours.map(({ name }) => name)) };
}

function isOfOverlay(ranges: DesiredHost['ranges'], network: Cidr): boolean {
  return ranges.some(({ subnet, subnet6 }) =>
    [subnet, subnet6].some((text) => text !== undefined && coversCidr(parseCidr(text), network)),
  );
}

/** Whether a route's destination, as `ip` prints it, is inside an overlay or takes one in. */
export function isInOverlays({ ranges }: Pick<DesiredHost, 'ranges'>, destination: string): boolean {
  const network = readNetwork(destination);
  if (network === undefined) return false;
  return ranges.some(({ subnet, subnet6 }) =>
    [subnet, subnet6].some((text) => text !== undefined && overlapsCidr(parseCidr(text), network)),
  );
}

function readNetwork(text: string): Cidr | undefined {
  try {
    return networkOf(text);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/**
 * Ways of containers' packets by rules and tables of others. `before`: what this pass does and has found; while our own
 * entries change, or another problem explains it, none is reported.
 */
export function diffDetours(desired: DesiredHost, observed: ObservedHost, before: StepPlan): StepPlan {
  if (desired.device.kind !== 'present' || !desired.device.device.up) return { steps: [], problems: [] };
  if (before.steps.some(({ kind }) => ownWays.has(kind))) return { steps: [], problems: [] };
  const known = new Set(
    before.problems.flatMap(({ scope, note, part }) => (note === true ? [] : [keyOf(scope, part)])),
  );
  const problems: Problem[] = [];
  for (const { subnet, line } of observed.detours) {
    const range = rangeOf(desired, subnet);
    if (range === undefined || !desired.routes.has(subnet)) continue;
    if (observed.routes.get(subnet) !== desired.routes.get(subnet)) continue;
    const command = `ip ${isIpv6Text(subnet) ? '-6 ' : ''}rule add to ${range} lookup main pref 1`;
    const error = `packets of containers to ${subnet} of a peer do not go to the tunnel (${line}), since a routing rule of others comes before the main table (see "ip rule show"): have it leave out ${range}, or run "${command}"`;
    const found = problem(desired, subnet, 'peers', error);
    const key = keyOf(found.scope, found.part);
    if (!known.has(key)) problems.push(found);
    // One for each overlay and family.
    known.add(key);
  }
  return { steps: [], problems };
}

/** Steps that change where packets go. */
const ownWays: ReadonlySet<Step['kind']> = new Set([
  ...(['device-create', 'link-delete', 'link-set', 'address', 'route', 'rule'] as const),
]);

/** An overlay and a family. */
function keyOf(scope: Problem['scope'], part: Part): string {
  return `${scope.kind === 'host' ? '' : scope.name} ${familyOfPart(part) ?? ''}`;
}

/** The whole overlay that a subnet is of. */
function rangeOf({ ranges }: DesiredHost, subnet: string): string | undefined {
  const network = networkOf(subnet);
  const all = ranges.flatMap((one) => [one.subnet, one.subnet6]);
  return all.find((text) => text !== undefined && coversCidr(parseCidr(text), network));
}

function routeProblems(
  { destination, device, table, line }: StrangerRoute,
  desired: DesiredHost,
  { links, bridges }: { links: ObservedHost['links']; bridges: ReadonlySet<string> },
): Problem[] {
  const inside = hiddenSubnet(desired, destination);
  const subnet = table === 'main' ? inside : (inside ?? firstInside(desired, destination));
  // The route of an address goes with the address, which is repaired or reported itself.
  const isOfAddress =
    / proto 2 /.test(`${line} `) &&
    (bridges.has(device) || links.get(device)?.addresses.some((cidr) => coversCidr(destination, hostOf(cidr))));
  if (subnet === undefined || isOfAddress) return [];
  const place = table === 'main' ? '' : ` table ${sourceTable}`;
  const error = `the route "${line}"${place === '' ? '' : ` in table ${sourceTable}`} is not Sublet's and takes away packets to ${subnet} of a peer: remove it with "ip route del ${formatCidr(destination)}${place}"`;
  return [problem(desired, subnet, 'source-route', error)];
}

/** A subnet of a peer that a wider route in the source table takes in: packets never come to the main table. */
function firstInside({ routes }: DesiredHost, destination: Cidr): string | undefined {
  for (const subnet of routes.keys()) if (coversCidr(destination, networkOf(subnet))) return subnet;
  return undefined;
}

function addressProblems({ name, addresses }: ObservedLink, desired: DesiredHost): Problem[] {
  return addresses.flatMap((cidr) => {
    const subnet = hiddenSubnet(desired, hostOf(cidr));
    if (subnet === undefined) return [];
    const error = `the address ${cidr} of ${name} is inside ${subnet}, which a peer holds, and hides it: remove it with "ip address del ${cidr} dev ${name}"`;
    return [problem(desired, subnet, 'peers', error)];
  });
}

function problem({ ranges }: DesiredHost, subnet: string, part: 'peers' | 'source-route', error: string): Problem {
  const network = networkOf(subnet);
  const overlay = ranges.find((range) =>
    [range.subnet, range.subnet6].some((text) => text !== undefined && overlapsCidr(parseCidr(text), network)),
  );
  const own: Part = partOf(part, isIpv6Text(subnet) ? 6 : 4);
  return { scope: overlay === undefined ? { kind: 'host' } : overlayScope(overlay.name), part: own, error };
}

/** The subnet of a peer that a destination is inside of, looked up by the few prefix lengths that subnets have. */
function hiddenSubnet({ routes, ranges }: DesiredHost, destination: Cidr): string | undefined {
  if (!isOfOverlay(ranges, destination)) return undefined;
  for (const prefix of prefixesOf(routes)) {
    if (prefix >= destination.prefix) continue; // Also the lengths of the other family that are too long for this one.
    const subnet = formatCidr(networkOf(`${addressOf(formatCidr(destination))}/${prefix}`));
    if (routes.has(subnet)) return subnet;
  }
  return undefined;
}

const knownPrefixes = new WeakMap<DesiredHost['routes'], readonly number[]>();

/** Longest first. A table of 100,000 routes is gone through once, and only when there is something to look up. */
function prefixesOf(routes: DesiredHost['routes']): readonly number[] {
  const known = knownPrefixes.get(routes);
  if (known !== undefined) return known;
  const prefixes = new Set([...routes.keys()].flatMap((subnet) => (subnet.includes('/') ? prefixOf(subnet) : [])));
  const found = [...prefixes].toSorted((a, b) => b - a);
  knownPrefixes.set(routes, found);
  return found;
}

/** The network that an address with prefix is in. */
function networkOf(cidr: string): Cidr {
  const text = cidr.includes('/') ? cidr : `${cidr}/${isIpv6Text(cidr) ? 128 : 32}`;
  return isIpv6Text(text) ? networkOf6(parseInterface6(text)) : networkOf4(parseInterface4(text));
}

function hostOf(cidr: string): Cidr {
  return networkOf(addressOf(cidr));
}
