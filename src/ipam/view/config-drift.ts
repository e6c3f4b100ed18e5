/**
 * How a master's configuration file differs from the plan (rule 9). The plan counts; the file can add overlays whose
 * names were never removed, and for anything else the command is named that would end the difference. A command that the
 * plan would refuse is not named, but why it can't be had.
 */

import { formatCidr } from '#address/ip.js';
import { describeOverlay, sameOverlay, unfitSettings } from '#ipam/changes/network-change.js';
import { quarantineMsLeast } from '#ipam/changes/network-check.js';
import { unfitAddition, unfitUpdate } from '#ipam/changes/overlay-change.js';
import type { Refusal } from '#ipam/commands/result.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { Plan } from '#ipam/plan.js';
import { type SettingField, settingFields } from '#ipam/view/setting-fields.js';
import { formatDuration } from '#text/duration.js';

export type ConfigDrift = {
  /** `extra`: an overlay that the file does not name. All that the file asks for is there. */
  readonly kind: 'differs' | 'extra';
  /** As in the file: `network.vtep_subnet`, `network.overlays.dcos`. */
  readonly field: string;
  readonly configured: string;
  readonly replicated: string;
  /** The command or step that would end the difference. */
  readonly remedy: string;
};

export type ConfigDrifts = {
  /** New in the file: to be proposed as `add-overlay` with `source: 'config'`. */
  readonly additions: readonly Overlay[];
  readonly differences: readonly ConfigDrift[];
};

/**
 * What the file does not mention is not compared: a setting that is not there, and all overlays when `overlays` is
 * undefined. An empty list is one: it says that there are none. Without a network everything agrees.
 */
export function configDriftsOf(
  plan: Plan,
  settings: Partial<NetworkSettings>,
  overlays: readonly Overlay[] | undefined,
): ConfigDrifts {
  if (plan.settings === undefined) return { additions: [], differences: [] };
  const differences = [...settingDifferences(plan, plan.settings, settings)];
  if (overlays === undefined) return { additions: [], differences };
  const of = overlayDisagreements(plan, overlays);
  return { additions: of.additions, differences: [...differences, ...of.differences] };
}

/** `sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24` */
export function overlayAddCommand(overlay: Overlay): string {
  const { name, v4, v6, enabled } = overlay;
  return overlayCommand('add', name, [
    ...(v4 === undefined ? [] : [`--subnet ${formatCidr(v4.subnet)} --prefix ${v4.prefix}`]),
    ...(v6 === undefined ? [] : [`--subnet6 ${formatCidr(v6.subnet)} --prefix6 ${v6.prefix}`]),
    ...(enabled ? [] : ['--disabled']),
  ]);
}

function overlayCommand(what: string, name: string, options: readonly string[] = []): string {
  return ['sublet overlay', what, name, ...options].join(' ');
}

/** The reason without the action, which was not carried out. */
function reason({ message }: Refusal): string {
  return message.slice(message.indexOf(': ') + 2);
}

function overlayDisagreements(plan: Plan, overlays: readonly Overlay[]): ConfigDrifts {
  const differences: ConfigDrift[] = [];
  const additions: Overlay[] = [];
  for (const overlay of overlays) {
    const { name } = overlay;
    const field = `network.overlays.${name}`;
    const old = plan.overlays.get(name)?.overlay;
    const configured = describeOverlay(overlay);
    if (old !== undefined) {
      if (sameOverlay(old, overlay)) continue;
      differences.push({
        kind: 'differs',
        field,
        configured,
        replicated: describeOverlay(old),
        remedy: remedyFor(plan, old, overlay),
      });
      continue;
    }
    const removed = plan.removed.get(name) !== undefined;
    const unfit = unfitAddition(plan, overlay);
    if (unfit === undefined && !removed) {
      additions.push(overlay);
      continue;
    }
    const remedy =
      unfit === undefined
        ? `take it out of the file, or bring it back with: ${overlayAddCommand(overlay)}`
        : `change the file, or what stands in its way: ${reason(unfit)}`;
    differences.push({
      kind: 'differs',
      field,
      configured,
      replicated: removed ? 'removed' : 'none of that name',
      remedy,
    });
  }
  for (const { name, ...rest } of plan.overlayList()) {
    if (overlays.some((overlay) => overlay.name === name)) continue;
    const remedy = `add it to the file, or take it away, once no agent holds a block of it, with: ${overlayCommand('remove', name)}`;
    const replicated = describeOverlay({ name, ...rest });
    differences.push({ kind: 'extra', field: `network.overlays.${name}`, configured: 'absent', replicated, remedy });
  }
  return { additions, differences };
}

function* settingDifferences(plan: Plan, old: NetworkSettings, file: Partial<NetworkSettings>): Generator<ConfigDrift> {
  const wanted: NetworkSettings = { ...old, ...file };
  // A TTL brings its quarantine with it where the file leaves that to the plan.
  const least = wanted.reclaimMs === undefined || 'quarantineMs' in file ? 0 : quarantineMsLeast(wanted.reclaimMs);
  const fit: NetworkSettings = { ...wanted, quarantineMs: Math.max(wanted.quarantineMs, least) };
  for (const { name: field, key, of } of settingFields) {
    if (of(wanted) === of(old)) continue;
    yield {
      kind: 'differs',
      field,
      configured: of(wanted),
      replicated: of(old),
      remedy: settingRemedy(plan, old, fit, key),
    };
  }
}

type Key = SettingField['key'];

/** Settings that bound one another: where one can't be changed by itself, both may. */
const pairs: readonly (readonly [Key, Key])[] = [
  ['vtepSubnet', 'vtepSubnet6'],
  ['quarantineMs', 'reclaimMs'],
];

function settingRemedy(plan: Plan, old: NetworkSettings, wanted: NetworkSettings, key: Key): string {
  if (settingOption(wanted, key) === undefined) {
    return 'change the file: this was fixed when the network was established';
  }
  const unfit = unfitSettings(plan, old, { ...old, [key]: wanted[key] });
  if (unfit === undefined) return `change the file, or: ${settingCommand(wanted, [key])}`;
  const pair = pairs.find((both) => both.includes(key));
  if (pair === undefined) return `change the file: ${reason(unfit)}`;
  const both = { ...old, [pair[0]]: wanted[pair[0]], [pair[1]]: wanted[pair[1]] };
  const unfitBoth = unfitSettings(plan, old, both);
  return unfitBoth === undefined
    ? `change the file, or: ${settingCommand(wanted, pair)}`
    : `change the file: ${reason(unfitBoth)}`;
}

function settingCommand(wanted: NetworkSettings, keys: readonly Key[]): string {
  const command = keys.includes('vtepSubnet') || keys.includes('vtepSubnet6') ? 'grow' : 'set';
  return ['sublet network', command, ...keys.flatMap((key) => settingOption(wanted, key) ?? [])].join(' ');
}

/** The option that changes a setting; undefined: nothing does. */
function settingOption({ vtepSubnet, vtepSubnet6, vtepMtu, ...lease }: NetworkSettings, key: Key): string | undefined {
  switch (key) {
    case 'vtepSubnet':
      return `--vtep-subnet ${formatCidr(vtepSubnet)}`;
    case 'vtepSubnet6':
      return vtepSubnet6 && `--vtep-subnet6 ${formatCidr(vtepSubnet6)}`;
    case 'vtepMtu':
      return `--vtep-mtu ${vtepMtu}`;
    case 'quarantineMs':
      return `--quarantine ${formatDuration(lease.quarantineMs)}`;
    case 'reclaimMs':
      return `--reclaim ${lease.reclaimMs === undefined ? 'never' : formatDuration(lease.reclaimMs)}`;
    case 'vtepMacOui':
    case 'vni':
    case 'vtepName':
    case 'vxlanPort':
      return undefined;
  }
}

function remedyFor(plan: Plan, old: Overlay, wanted: Overlay): string {
  const { name } = old;
  if (old.draining === true) return 'it is drained to be removed: take it out of the file';
  if (!samePieces(old, wanted)) return newPieces(plan, wanted);
  const unfit = unfitUpdate(plan, old, wanted);
  if (unfit !== undefined) return `change the file: ${reason(unfit)}`;
  const larger = [
    ...(wanted.v4 && changed(old.v4, wanted.v4) ? [`--subnet ${formatCidr(wanted.v4.subnet)}`] : []),
    ...(wanted.v6 && changed(old.v6, wanted.v6) ? [`--subnet6 ${formatCidr(wanted.v6.subnet)}`] : []),
  ];
  const commands = [
    ...(larger.length === 0 ? [] : [overlayCommand('grow', name, larger)]),
    ...(old.enabled === wanted.enabled ? [] : [overlayCommand(wanted.enabled ? 'enable' : 'disable', name)]),
  ];
  return `change the file, or: ${commands.join(' && ')}`;
}

function samePieces(a: Overlay, b: Overlay): boolean {
  return a.v4?.prefix === b.v4?.prefix && a.v6?.prefix === b.v6?.prefix;
}

function changed(a: Overlay['v4'] | Overlay['v6'], b: Overlay['v4'] | Overlay['v6']): boolean {
  return (a && formatCidr(a.subnet)) !== (b && formatCidr(b.subnet));
}

/** The pieces of an overlay, and whether it has a family, are as it was added. */
function newPieces(plan: Plan, wanted: Overlay): string {
  const unfit = unfitAddition(plan, wanted);
  if (unfit !== undefined) return `change the file: ${reason(unfit)}`;
  const commands = `${overlayCommand('remove', wanted.name)} && ${overlayAddCommand(wanted)}`;
  return `change the file, or, once no agent holds a block of it: ${commands}`;
}
