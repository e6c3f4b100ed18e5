/**
 * The `network` and `lease` of a master's configuration: the address plan that a new cluster begins with. Here they
 * are read for their form; what makes sound sense together is for `ipam` to say, by the same check as for any change.
 */
import { z } from 'zod';
import { type Cidr4, parseCidr4 } from '#address/cidr4.js';
import { type Cidr6, parseCidr6 } from '#address/cidr6.js';
import { parseOui } from '#address/mac.js';
import { overlayNameAllowed, overlayNameForm } from '#address/overlay-name.js';
import { showValue } from '#config/schema/config-problem.js';
import type { ConfigDocument, Finding } from '#config/schema/document.js';
import type { Path } from '#config/schema/json-text.js';
import { duration, matching, neverOr, parsedBy, type Schema, whole, yesNo } from '#config/schema/reading.js';
import { list, section } from '#config/schema/section.js';
import { checkNetwork, quarantineMsLeast } from '#ipam/changes/network-check.js';
import { defaultQuarantineMs, mtuMax, mtuMin, overlaysMax, prefix6Max, prefixMax, vniMax } from '#ipam/limits.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { formatDuration } from '#text/duration.js';

export type NetworkSection = {
  /** What was said, and nothing else: only this can disagree with what is replicated. */
  readonly mentioned: Partial<NetworkSettings>;
  /** What a new cluster begins with: what was said, and defaults for the rest. */
  readonly settings: NetworkSettings;
  /** As written; undefined: nothing was said of overlays: a new cluster has none, and those of the plan are not compared. */
  readonly overlays: readonly Overlay[] | undefined;
};

/** DC/OS's tunnel addresses, for a cluster that configures none. */
const defaultSettings: NetworkSettings = {
  vtepSubnet: parseCidr4('44.128.0.0/20'),
  vtepSubnet6: undefined,
  vtepMacOui: parseOui('70:b3:d5:00:00:00'),
  vtepMtu: 0,
  vni: 1024,
  vtepName: 'vtep1024',
  vxlanPort: 64_000,
  quarantineMs: defaultQuarantineMs,
  reclaimMs: undefined,
};

export const subnet4: Schema<Cidr4> = parsedBy(parseCidr4, '9.0.0.0/8');
export const subnet6: Schema<Cidr6> = parsedBy(parseCidr6, 'fd01:b::/64');

/** The keys of an overlay in a file. */
export const overlayKeys = {
  name: matching({ pattern: overlayNameForm, allowed: overlayNameAllowed }),
  subnet: subnet4.optional(),
  prefix: whole(1, prefixMax, 'bits').optional(),
  subnet6: subnet6.optional(),
  prefix6: whole(1, prefix6Max, 'bits').optional(),
  enabled: yesNo.optional(),
};

type GivenOverlay = {
  readonly name: string;
  readonly subnet?: Cidr4 | undefined;
  readonly prefix?: number | undefined;
  readonly subnet6?: Cidr6 | undefined;
  readonly prefix6?: number | undefined;
  readonly enabled?: boolean | undefined;
};

/** The overlay that these keys are, if each subnet goes with its prefix. */
export function overlayOfSection(
  { name, subnet, prefix, subnet6, prefix6, enabled = true }: GivenOverlay,
  context: z.RefinementCtx,
): Overlay {
  const missing = (key: string, beside: string) => {
    context.addIssue({ code: 'custom', path: [key], message: `is missing beside ${beside}: they go together` });
    return z.NEVER;
  };
  if (subnet === undefined && prefix !== undefined) return missing('subnet', 'prefix');
  if (subnet6 === undefined && prefix6 !== undefined) return missing('subnet6', 'prefix6');
  if (subnet !== undefined && prefix === undefined) return missing('prefix', 'subnet');
  if (subnet6 !== undefined && prefix6 === undefined) return missing('prefix6', 'subnet6');
  return {
    name,
    v4: subnet && { subnet, prefix: prefix ?? 0 },
    v6: subnet6 && { subnet: subnet6, prefix: prefix6 ?? 0 },
    enabled,
  };
}

/** The keys of `network` in a file, but for its overlays. */
export const networkKeys = {
  vtep_subnet: subnet4.optional(),
  vtep_subnet6: subnet6.optional(),
  vtep_mac_oui: parsedBy(parseOui, '70:b3:d5:00:00:00').optional(),
  vtep_mtu: whole(mtuMin, mtuMax, 'bytes').optional(),
  vtep_name: parsedBy((text) => text, 'vtep1024').optional(),
  vni: whole(1, vniMax).optional(),
  vxlan_port: whole(1, 65_535).optional(),
};

export const networkSection = section({
  ...networkKeys,
  overlays: list(section(overlayKeys).transform(overlayOfSection), overlaysMax).optional(),
});

export const lease = section({
  reclaim: neverOr('30s', '365d').optional(),
  quarantine: duration('0s', '365d').optional(),
});

type Network = z.infer<typeof networkSection> | undefined;
type Lease = z.infer<typeof lease> | undefined;

/** `reclaimSaid`: whether `lease.reclaim` is there; its value is undefined for `never`, too. */
export function networkConfig(given: Network, lease: Lease, reclaimSaid: boolean): NetworkSection {
  const mentioned: Partial<NetworkSettings> = {
    ...(given?.vtep_subnet && { vtepSubnet: given.vtep_subnet }),
    ...(given?.vtep_subnet6 && { vtepSubnet6: given.vtep_subnet6 }),
    ...(given?.vtep_mac_oui !== undefined && { vtepMacOui: given.vtep_mac_oui }),
    ...(given?.vtep_mtu !== undefined && { vtepMtu: given.vtep_mtu }),
    ...(given?.vtep_name !== undefined && { vtepName: given.vtep_name }),
    ...(given?.vni !== undefined && { vni: given.vni }),
    ...(given?.vxlan_port !== undefined && { vxlanPort: given.vxlan_port }),
    ...(lease?.quarantine !== undefined && { quarantineMs: lease.quarantine }),
    ...(reclaimSaid && { reclaimMs: lease?.reclaim }),
  };
  const quarantineMs = defaultQuarantine(lease?.reclaim);
  return { mentioned, settings: { ...defaultSettings, quarantineMs, ...mentioned }, overlays: given?.overlays };
}

/** The shortest quarantine that a block may have under this TTL is the default. */
function defaultQuarantine(reclaimMs: number | undefined): number {
  return reclaimMs === undefined ? defaultQuarantineMs : quarantineMsLeast(reclaimMs);
}

/** What is wrong with the network as a whole; looked at only when each value by itself is right. */
export function networkFindings(document: ConfigDocument): readonly Finding[] {
  const given = networkSection.optional().safeParse(document.at('network'));
  const times = lease.optional().safeParse(document.at('lease'));
  if (!given.success || !times.success) return [];
  const { settings, overlays } = networkConfig(given.data, times.data, true);
  const refusal = checkNetwork(settings, overlays ?? []);
  if (refusal === undefined) return [];
  if (refusal.field === 'lease.quarantine') return [quarantineFinding(document, settings)];
  return [{ path: pathOf(refusal.field), message: refusal.message.replace(`${refusal.field}: `, '') }];
}

/** In the words of the file, rather than milliseconds. */
function quarantineFinding(document: ConfigDocument, { reclaimMs }: NetworkSettings): Finding {
  const [quarantine, reclaim] = [document.at('lease', 'quarantine'), document.at('lease', 'reclaim')].map(showValue);
  const least = formatDuration(defaultQuarantine(reclaimMs));
  const message = `${quarantine} is too short beside lease.reclaim ${reclaim}: at least ${least} (15 minutes, or a fourth of the TTL if that is longer) is allowed`;
  return { path: ['lease', 'quarantine'], message };
}

/** `network.overlays[0].name` → its steps. */
function pathOf(field: string): Path {
  return field.split(/[.[\]]+/).flatMap((step) => (step === '' ? [] : [/^[0-9]+$/.test(step) ? Number(step) : step]));
}
