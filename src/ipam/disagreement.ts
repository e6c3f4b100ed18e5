/**
 * How a master's configuration file differs from the plan (rule 9). The plan counts; the file can add overlays whose
 * names were never removed, and for anything else there is a command, which is named here.
 */
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { describeOverlay, sameOverlay } from '#ipam/network-change.js';
import type { Plan } from '#ipam/plan.js';
import { settingFields } from '#ipam/setting-fields.js';

export type Disagreement = {
  /** As in the file: `network.vtep_subnet`, `network.overlays.dcos`. */
  readonly field: string;
  readonly configured: string;
  readonly replicated: string;
  /** The command or step that would end the difference. */
  readonly remedy: string;
};

export type Disagreements = {
  /** New in the file: to be proposed as `add-overlay` with `source: 'config'`. */
  readonly additions: readonly Overlay[];
  readonly differences: readonly Disagreement[];
};

/**
 * What the file does not mention is not compared: a setting that is not there, and all overlays when `overlays` is
 * undefined. An empty list is one: it says that there are none. Without a network everything agrees.
 */
export function disagreementsWith(
  plan: Plan,
  settings: Partial<NetworkSettings>,
  overlays: readonly Overlay[] | undefined,
): Disagreements {
  if (plan.settings === undefined) return { additions: [], differences: [] };
  const differences = [...settingDifferences(plan.settings, settings)];
  if (overlays === undefined) return { additions: [], differences };
  const of = overlayDisagreements(plan, overlays);
  return { additions: of.additions, differences: [...differences, ...of.differences] };
}

function overlayDisagreements(plan: Plan, overlays: readonly Overlay[]): Disagreements {
  const differences: Disagreement[] = [];
  const additions: Overlay[] = [];
  for (const overlay of overlays) {
    const { name } = overlay;
    const field = `network.overlays.${name}`;
    const old = plan.overlays.get(name)?.overlay;
    const configured = describeOverlay(overlay);
    if (old !== undefined) {
      if (sameOverlay(old, overlay)) continue;
      differences.push({ field, configured, replicated: describeOverlay(old), remedy: remedyFor(old, overlay) });
    } else if (plan.removed.get(name) !== undefined) {
      const remedy = `take it out of the file, or bring it back with: sublet overlay add ${name}`;
      differences.push({ field, configured, replicated: 'removed', remedy });
    } else {
      additions.push(overlay);
    }
  }
  for (const { name, ...rest } of plan.overlayList()) {
    if (overlays.some((overlay) => overlay.name === name)) continue;
    const remedy = `add it to the file, or take it away with: sublet overlay remove ${name}`;
    const replicated = describeOverlay({ name, ...rest });
    differences.push({ field: `network.overlays.${name}`, configured: 'absent', replicated, remedy });
  }
  return { additions, differences };
}

function* settingDifferences(old: NetworkSettings, file: Partial<NetworkSettings>): Generator<Disagreement> {
  const wanted: NetworkSettings = { ...old, ...file };
  for (const { name: field, key, of } of settingFields) {
    if (!(key in file) || of(wanted) === of(old)) continue;
    yield { field, configured: of(wanted), replicated: of(old), remedy: settingRemedy(key, of(wanted)) };
  }
}

function settingRemedy(key: keyof NetworkSettings, wanted: string): string {
  switch (key) {
    case 'vtepSubnet':
      return `change the file, or grow the subnet with: sublet network grow --vtep-subnet ${wanted}`;
    case 'vtepSubnet6':
      return `change the file, or grow the subnet with: sublet network grow --vtep-subnet6 ${wanted}`;
    case 'vtepMtu':
      return `change the file, or: sublet network set --vtep-mtu ${wanted}`;
    case 'quarantineMs':
      return `change the file, or: sublet network set --quarantine ${wanted.replaceAll(' ', '')}`;
    case 'reclaimMs':
      return `change the file, or: sublet network set --reclaim ${wanted.replaceAll(' ', '')}`;
    case 'vtepMacOui':
    case 'vni':
    case 'vtepName':
    case 'vxlanPort':
      return 'change the file: this was fixed when the network was established';
  }
}

function remedyFor(old: Overlay, wanted: Overlay): string {
  const { name } = old;
  const toggled = { ...old, enabled: wanted.enabled };
  if (sameOverlay(toggled, wanted))
    return `change the file, or: sublet overlay ${wanted.enabled ? 'enable' : 'disable'} ${name}`;
  const samePieces = old.v4?.prefix === wanted.v4?.prefix && old.v6?.prefix === wanted.v6?.prefix;
  return samePieces
    ? `change the file, or grow the subnet with: sublet overlay grow ${name}`
    : 'change the file: the pieces of an overlay can only change by removing it and adding it anew';
}
