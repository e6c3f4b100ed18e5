/**
 * The packet filter that a host with containers needs: traffic that leaves the overlays is masqueraded, traffic between
 * them is not, and the forward chain accepts both, whatever Docker's policy is. Plain data.
 */
import type { Family } from '#address/ip.js';
import { masqueradeSet } from '#host/desired/marks.js';
import type { BridgeLease, HostInput, NetworkOverlay, OverlayLease } from '#host/input.js';

export type DesiredFirewall = {
  readonly sets: readonly DesiredSet[];
  readonly masquerade: readonly MasqueradeRule[];
  /** Devices from and to which forwarding is accepted, per family; none: no chain of ours. */
  readonly forward: Readonly<Record<Family, readonly string[]>>;
};

export type DesiredSet = {
  readonly name: string;
  readonly family: Family;
  readonly type: SetType;
  /** What fails with it. */
  readonly part: 'masquerade' | 'guard';
  /** Network → whether it is cut out (`nomatch`). */
  readonly entries: ReadonlyMap<string, boolean>;
};

export type SetType = 'hash:net' | 'hash:ip';

export type MasqueradeRule = {
  readonly overlay: string;
  readonly family: Family;
  /** This agent's subnet of the overlay. */
  readonly source: string;
  readonly set: string;
};

/** The firewall for the overlays that this agent holds, given all overlays of the network. */
export function firewall(
  input: HostInput,
  held: readonly OverlayLease[],
  containers: readonly BridgeLease[],
): DesiredFirewall {
  const masquerade = held
    .filter(({ mesosBridge, dockerBridge }) => mesosBridge !== undefined || dockerBridge !== undefined)
    .flatMap((overlay) => masqueradeRules(overlay));
  return {
    sets: ([4, 6] as const)
      .filter((family) => masquerade.some((rule) => rule.family === family))
      .map((family) => exceptOverlays(family, input.overlays)),
    masquerade,
    forward: {
      4: forwardDevices(input.lease.vxlan.vtepName, containers, ({ cidr }) => cidr),
      6: forwardDevices(input.lease.vxlan.vtepName, containers, ({ cidr6 }) => cidr6),
    },
  };
}

/**
 * IPv6 is masqueraded only for unique local addresses (RFC 4193): they have no route outside, while a site that gives
 * its containers global addresses wants them seen.
 */
function masqueradeRules({ name, subnet, subnet6 }: OverlayLease): MasqueradeRule[] {
  const rules: MasqueradeRule[] = [];
  if (subnet !== undefined) rules.push({ overlay: name, family: 4, source: subnet, set: masqueradeSet[4] });
  if (subnet6 !== undefined && isMasqueraded6(subnet6)) {
    rules.push({ overlay: name, family: 6, source: subnet6, set: masqueradeSet[6] });
  }
  return rules;
}

/** Whether a subnet is of unique local addresses. */
export function isMasqueraded6(subnet6: string): boolean {
  return /^f[cd]/.test(subnet6);
}

/**
 * Both halves of the address space, and each overlay's subnet cut out of them: `hash:net` takes no /0.
 */
function exceptOverlays(family: Family, overlays: readonly NetworkOverlay[]): DesiredSet {
  const everything = family === 4 ? ['0.0.0.0/1', '128.0.0.0/1'] : ['::/1', '8000::/1'];
  const subnets = overlays.flatMap(({ subnet, subnet6 }) => (family === 4 ? subnet : subnet6) ?? []);
  const entries = new Map(everything.map((half) => [half, false]));
  for (const subnet of subnets) entries.set(subnet, true);
  return { name: masqueradeSet[family], family, type: 'hash:net', part: 'masquerade', entries };
}

function forwardDevices(
  vtepName: string,
  containers: readonly BridgeLease[],
  range: (bridge: BridgeLease) => string | undefined,
): string[] {
  const bridges = containers.filter((bridge) => range(bridge) !== undefined).map(({ name }) => name);
  return bridges.length === 0 ? [] : [...bridges, vtepName];
}
