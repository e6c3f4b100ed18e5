/**
 * The lease as files for other programs: `lease.json` and an env file per overlay in the run folder, and on request
 * flannel's file for one overlay. docs/reference/run-files.md has their form. Plain data; texts come from a checked
 * input, so that no value needs quotes.
 */
import type { Marks } from '#host/desired/marks.js';
import { markOf } from '#host/desired/marks.js';
import type { BridgeLease, HostInput, NetworkOverlay, OverlayLease, RunFileSettings } from '#host/input.js';
import { firstAddress, prefixOf } from '#host/tools/text.js';

export type DesiredRunFiles = {
  /** Where files are looked for: those of ours that are no longer wanted are removed. */
  readonly places: RunFileSettings;
  /** Path → file. Undefined: their form is unknown, and they stay as they are. */
  readonly files: ReadonlyMap<string, DesiredRunFile> | undefined;
  /** Why flannel's file can't be written. */
  readonly flannelError?: string;
};

export type DesiredRunFile = {
  /** Undefined: it is of the whole host. */
  readonly overlay: string | undefined;
  readonly content: string;
};

/** What a bridge's range is called in lease.json. */
type BridgeFields = {
  readonly bridge: string;
  readonly range?: string;
  readonly gateway?: string;
  readonly range6?: string;
  readonly gateway6?: string;
};

/** Raised when a field changes its meaning or goes; fields may be added. */
const schemaVersion = 1;

/** `mtu` of the containers, in bytes; undefined: it is not known, since the underlay is not. */
export function runFiles(
  { lease, leaseValid, clusterId, overlays, settings }: HostInput,
  held: readonly OverlayLease[],
  { mtu, vtepMtu }: { readonly mtu: number; readonly vtepMtu: number | undefined },
): DesiredRunFiles {
  const places = settings.runFiles ?? {};
  if (vtepMtu === undefined) return { places, files: undefined };
  const files = new Map<string, DesiredRunFile>();
  const ofNetwork = (name: string) => overlays.find((overlay) => overlay.name === name);
  const { runDir, flannelFile } = places;
  if (runDir !== undefined) {
    const { nodeIp, vxlan } = lease;
    const { vtepName: name, vtepIp: ip, vtepIp6: ip6, vtepMac: mac, vni, port } = vxlan;
    const document = {
      schema: schemaVersion,
      mark: markOf(clusterId),
      cluster_id: clusterId,
      ...(lease.agentId === undefined ? {} : { agent_id: lease.agentId }),
      node_ip: nodeIp,
      valid: leaseValid,
      vtep: { name, ip, ...(ip6 === undefined ? {} : { ip6 }), mac, vni, port, mtu: vtepMtu },
      overlays: held.map((overlay) => overlayFields(overlay, ofNetwork(overlay.name), mtu)),
    };
    files.set(`${runDir}/${leaseFile}`, { overlay: undefined, content: `${JSON.stringify(document, null, 2)}\n` });
    for (const overlay of held) {
      const content = shellFile(clusterId, envWords(overlay, ofNetwork(overlay.name), mtu));
      files.set(`${runDir}/${overlay.name}${envEnding}`, { overlay: overlay.name, content });
    }
  }
  if (flannelFile === undefined) return { places, files };
  const overlay = flannelOverlay(held, places);
  if (typeof overlay === 'string') return { places, files, flannelError: overlay };
  if (overlay !== undefined) {
    const content = shellFile(clusterId, flannelWords(overlay, ofNetwork(overlay.name), mtu));
    files.set(flannelFile, { overlay: overlay.name, content });
  }
  return { places, files };
}

export const leaseFile = 'lease.json';
export const envEnding = '.env';

/** Whose a file of the run folder is; undefined: not Sublet's. */
export function runFileMark(content: string): string | undefined {
  const [, inShell] = /^# (sublet:[A-Za-z0-9._-]+)\n/.exec(content) ?? [];
  if (inShell !== undefined) return inShell;
  try {
    const parsed: unknown = JSON.parse(content);
    if (typeof parsed !== 'object' || parsed === null || !('mark' in parsed)) return undefined;
    return typeof parsed.mark === 'string' ? parsed.mark : undefined;
  } catch {
    return undefined; // Not JSON: certainly not ours.
  }
}

/** Nothing of ours in these places; for leaving. */
export function noRunFiles(places: RunFileSettings): DesiredRunFiles {
  return { places, files: new Map() };
}

export function isOursAt(content: string, marks: Marks): boolean {
  return marks.all.has(runFileMark(content) ?? '');
}

function overlayFields(overlay: OverlayLease, network: NetworkOverlay | undefined, mtu: number) {
  const { name, subnet, subnet6, mesosBridge, dockerBridge } = overlay;
  return {
    name,
    ...(subnet === undefined ? {} : { network: network?.subnet, subnet }),
    ...(subnet6 === undefined ? {} : { network6: network?.subnet6, subnet6 }),
    mtu,
    ...(mesosBridge === undefined ? {} : { cni: bridgeFields(mesosBridge) }),
    ...(dockerBridge === undefined ? {} : { docker: bridgeFields(dockerBridge) }),
  };
}

function bridgeFields({ name, cidr, cidr6 }: BridgeLease): BridgeFields {
  return {
    bridge: name,
    ...(cidr === undefined ? {} : { range: cidr, gateway: firstAddress(cidr) }),
    ...(cidr6 === undefined ? {} : { range6: cidr6, gateway6: firstAddress(cidr6) }),
  };
}

type Words = readonly (readonly [name: string, value: string | number | undefined])[];

function envWords(overlay: OverlayLease, network: NetworkOverlay | undefined, mtu: number): Words {
  const { name, subnet, subnet6 } = overlay;
  const bridge = (kind: string, lease: BridgeLease | undefined): Words => {
    if (lease === undefined) return [];
    const { bridge: device, range, gateway, range6, gateway6 } = bridgeFields(lease);
    return [
      [`SUBLET_${kind}_BRIDGE`, device],
      [`SUBLET_${kind}_RANGE`, range],
      [`SUBLET_${kind}_GATEWAY`, gateway],
      [`SUBLET_${kind}_RANGE6`, range6],
      [`SUBLET_${kind}_GATEWAY6`, gateway6],
    ];
  };
  return [
    ['SUBLET_OVERLAY', name],
    ['SUBLET_NETWORK', subnet && network?.subnet],
    ['SUBLET_SUBNET', subnet],
    ['SUBLET_NETWORK6', subnet6 && network?.subnet6],
    ['SUBLET_SUBNET6', subnet6],
    ['SUBLET_MTU', mtu],
    ...bridge('CNI', overlay.mesosBridge),
    ...bridge('DOCKER', overlay.dockerBridge),
  ];
}

/** The overlay of flannel's file; a text: why there is none; undefined: this host holds nothing of it. */
function flannelOverlay(
  held: readonly OverlayLease[],
  { flannelOverlay: wanted }: RunFileSettings,
): OverlayLease | string | undefined {
  const found = wanted === undefined ? held : held.filter(({ name }) => name === wanted);
  const [only, another] = found;
  if (another === undefined) return only;
  return `flannel_subnet_file is of one overlay, and this host has ${found.map(({ name }) => name).join(', ')}: name one with flannel_overlay`;
}

/**
 * As flannel's daemon writes it: the subnet is the gateway with the prefix of the range. IPMASQ tells plugins that the
 * masquerading is done.
 */
function flannelWords(overlay: OverlayLease, network: NetworkOverlay | undefined, mtu: number): Words {
  const { cidr, cidr6 } = overlay.mesosBridge ?? overlay.dockerBridge ?? wholeRange(overlay);
  const gateway = (range: string | undefined) => range && `${firstAddress(range)}/${prefixOf(range)}`;
  return [
    ['FLANNEL_NETWORK', cidr && network?.subnet],
    ['FLANNEL_SUBNET', gateway(cidr)],
    ['FLANNEL_IPV6_NETWORK', cidr6 && network?.subnet6],
    ['FLANNEL_IPV6_SUBNET', gateway(cidr6)],
    ['FLANNEL_MTU', mtu],
    ['FLANNEL_IPMASQ', 'true'],
  ];
}

function wholeRange({ subnet, subnet6 }: OverlayLease): Omit<BridgeLease, 'name'> {
  return { ...(subnet === undefined ? {} : { cidr: subnet }), ...(subnet6 === undefined ? {} : { cidr6: subnet6 }) };
}

/** Lines that a shell reads, after one that says whose the file is. */
function shellFile(clusterId: string, words: Words): string {
  const lines = words.flatMap(([name, value]) => (value === undefined || value === '' ? [] : `${name}=${value}`));
  return `${[`# ${markOf(clusterId)}`, ...lines].join('\n')}\n`;
}
