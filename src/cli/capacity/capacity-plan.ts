/** The address spaces whose capacity is asked for: of the masters, or of a file alone. */
import { AddressError } from '#address/brand.js';
import { type Cidr, familyOf, formatCidr, parseCidr } from '#address/ip.js';
import type { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { usage } from '#cli/failure.js';
import { readLivePlan } from '#cli/plan-file/live-plan.js';
import type { PlanFile } from '#config/files/plan-file.js';
import { defaultQuarantineMs, prefix6Max, prefixMax } from '#ipam/limits.js';
import { type BlockCounts, unusedCounts } from '#ipam/space/capacity.js';
import type { sublet } from '#proto/sublet.js';

/** One address space. `overlay` is empty for the VTEP subnet. */
export type CapacitySpace = {
  readonly overlay: string;
  readonly subnet: string;
  readonly prefix: number;
  readonly counts: BlockCounts;
};

export type CapacityPlan = {
  /** 0: of a file. */
  readonly revision: number;
  readonly quarantineMs: number;
  readonly agents: number;
  readonly vtep: CapacitySpace | undefined;
  /** The overlays that allocate, each with its families. */
  readonly overlays: readonly (readonly CapacitySpace[])[];
  /** Names of the overlays that are disabled or draining. */
  readonly disabled: readonly string[];
  readonly ranges: readonly SetAsideRange[];
};

type SetAsideRange = { readonly overlay: string; readonly subnet: Cidr; readonly excluded: boolean };

/** What a `--prefix` or `--prefix6` asks. */
export type PrefixWish = { readonly overlay: string; readonly prefix: number; readonly family: 4 | 6 };

export async function liveCapacity(client: MasterClient): Promise<CapacityPlan> {
  const { network, reservations } = await readLivePlan(client);
  const { overlays, vtep, revision } = await client.call(operatorService.listOverlays, {}, { idempotent: true });
  const usable = overlays.filter(({ overlay }) => overlay?.enabled);
  return {
    revision,
    quarantineMs: network.quarantineMs ?? 0,
    // Each agent holds one address.
    agents: vtep?.held ?? 0,
    vtep:
      vtep == null ? undefined : { overlay: '', subnet: network.vtepSubnet ?? '', prefix: 32, counts: countsOf(vtep) },
    overlays: usable.map(({ overlay, usage: usage4, usage6 }) => [
      ...liveSpace(overlay?.name, overlay?.subnet, overlay?.prefix, usage4),
      ...liveSpace(overlay?.name, overlay?.subnet6, overlay?.prefix6, usage6),
    ]),
    disabled: overlays.filter((each) => !usable.includes(each)).map(({ overlay }) => overlay?.name ?? ''),
    ranges: reservations.flatMap(({ overlay, subnet, agentId, nodeIp }) => {
      const parsed = cidrOf(subnet ?? '');
      return parsed === undefined ? [] : [{ overlay: overlay ?? '', subnet: parsed, excluded: !agentId && !nodeIp }];
    }),
  };
}

function liveSpace(
  overlay: string | null | undefined,
  subnet: string | null | undefined,
  prefix: number | null | undefined,
  counts: sublet.v1.PoolUsage.$Properties | null | undefined,
): readonly CapacitySpace[] {
  return subnet ? [{ overlay: overlay ?? '', subnet, prefix: prefix ?? 0, counts: countsOf(counts ?? {}) }] : [];
}

function countsOf(usage: sublet.v1.PoolUsage.$Properties): BlockCounts {
  const { held, reserved, excluded, quarantined, free, total } = usage;
  return {
    held: held ?? 0,
    reserved: reserved ?? 0,
    excluded: excluded ?? 0,
    quarantined: quarantined ?? 0,
    free: free ?? 0,
    total: total ?? 0,
  };
}

/** Of masters; a newer one may have another form of address. */
function cidrOf(text: string): Cidr | undefined {
  try {
    return parseCidr(text);
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}

/** The plan that the file makes where there was none: no agent, and nothing in quarantine. */
export function fileCapacity({ network, lease, overlays = [], reservations, exclusions }: PlanFile): CapacityPlan {
  const ranges = [
    ...(reservations ?? []).map((range) => ({ ...range, excluded: false })),
    ...(exclusions ?? []).map((range) => ({ ...range, excluded: true })),
  ].map(({ overlay, subnet, excluded }) => ({ overlay, subnet: parseCidr(subnet), excluded }));
  const unused = (overlay: string, subnet: string, prefix: number): readonly CapacitySpace[] =>
    subnet === '' ? [] : [{ overlay, subnet, prefix, counts: unusedOf(ranges, overlay, subnet, prefix) }];
  const usable = overlays.filter(({ state }) => state === 'enabled');
  return {
    revision: 0,
    quarantineMs: lease.quarantineMs ?? defaultQuarantineMs,
    agents: 0,
    vtep: unused('', network.vtepSubnet ?? '', 32)[0],
    overlays: usable.map(({ name, subnet, prefix, subnet6, prefix6 }) => [
      ...unused(name, subnet, prefix),
      ...unused(name, subnet6, prefix6),
    ]),
    disabled: overlays.filter(({ state }) => state !== 'enabled').map(({ name }) => name),
    ranges,
  };
}

function unusedOf(ranges: readonly SetAsideRange[], overlay: string, subnet: string, prefix: number): BlockCounts {
  const network = parseCidr(subnet);
  const family = familyOf(network.address);
  const own = ranges.filter((range) => range.overlay === overlay && familyOf(range.subnet.address) === family);
  const subnets = (excluded: boolean): readonly Cidr[] =>
    own.filter((range) => range.excluded === excluded).map((range) => range.subnet);
  return unusedCounts(network, overlay === '' ? undefined : prefix, {
    excluded: subnets(true),
    reserved: subnets(false),
  });
}

/**
 * The overlay with other pieces: as many are held, reserved and quarantined as now. Both families of the overlay are in it.
 * @throws Failure for an overlay that there is not, and for a prefix that can't be
 */
export function withPrefix(plan: CapacityPlan, { overlay, prefix, family }: PrefixWish): readonly CapacitySpace[] {
  const flag = family === 4 ? '--prefix' : '--prefix6';
  const found = plan.overlays.find((families) => families[0]?.overlay === overlay);
  if (found === undefined) {
    const names = plan.overlays.map((families) => families[0]?.overlay ?? '').join(', ') || 'none';
    throw usage(`${flag}: no overlay "${overlay}" allocates; those that do: ${names}`);
  }
  const isAsked = ({ subnet }: CapacitySpace): boolean => {
    const network = cidrOf(subnet);
    return network !== undefined && familyOf(network.address) === family;
  };
  const asked = found.find(isAsked);
  if (asked === undefined) throw usage(`${flag}: overlay ${overlay} has no IPv${family}`);
  const least = parseCidr(asked.subnet).prefix;
  const most = family === 4 ? prefixMax : prefix6Max;
  if (prefix < least || prefix > most) {
    throw usage(
      `${flag}: ${overlay}=${prefix} is out of range: ${least} (that of ${formatCidr(parseCidr(asked.subnet))}) to ${most} is allowed`,
    );
  }
  return found.map((space) => {
    if (!isAsked(space)) return space;
    const { held, quarantined, reserved } = space.counts;
    const unused = unusedOf(plan.ranges, overlay, space.subnet, prefix);
    const free = unused.total - unused.excluded - held - quarantined - reserved;
    return { ...space, prefix, counts: { ...unused, held, quarantined, reserved, free } };
  });
}
