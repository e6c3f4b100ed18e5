/**
 * The network file by which a container engine attaches containers to the `m-` half of an overlay: the standard
 * `bridge` and `host-local` plugins, as a `.conflist` with `portmap`, or wrapped for Mesos's own port mapper.
 */

import { markOf } from '#host/desired/marks.js';
import type { BridgeLease, HostSettings } from '#host/input.js';

export type DesiredCni = {
  /** Each gets the same networks. */
  readonly dirs: readonly string[];
  /** File name → content, of the overlays in the order of their names. */
  readonly files: ReadonlyMap<string, string>;
  /** The overlay whose file comes first; absent: the one whose file came first until now. */
  readonly first?: string;
  /** Whether this host's own settings say which place the files have among those of others. */
  readonly isPlaced: boolean;
};

export type CniNetwork = {
  readonly clusterId: string;
  readonly overlay: string;
  readonly bridge: BridgeLease;
  /** Bytes. */
  readonly mtu: number;
  readonly settings: HostSettings;
};

/** File name and content for one overlay. */
export function cniFile(network: CniNetwork): [name: string, content: string] {
  const mesos = network.settings.cniStyle === 'mesos';
  const config = mesos ? mesosConfig(network) : standardConfig(network);
  const name = `${network.settings.cniFilePrefix ?? ''}${network.overlay}${mesos ? '.conf' : '.conflist'}`;
  return [name, `${JSON.stringify(config, null, 2)}\n`];
}

/** The folders and what says which file comes first. */
export function cniPlaces(settings: HostSettings): Omit<DesiredCni, 'files'> {
  const { cniDir, cniDirsBeside = [], cniFilePrefix = '', cniDefault } = settings;
  return {
    dirs: [...new Set([cniDir, ...cniDirsBeside])],
    ...(cniDefault === undefined ? {} : { first: cniDefault }),
    isPlaced: cniFilePrefix !== '' || cniDefault !== undefined,
  };
}

/** Which cluster wrote a CNI file: its mark, or undefined for a foreign file. */
export function cniMark(content: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(content);
    return markIn(parsed);
  } catch {
    return undefined; // Not JSON: certainly not ours.
  }
}

/** The network that a file describes; undefined: none that can be read. */
export function cniNetworkName(content: string): string | undefined {
  try {
    const name = member(JSON.parse(content), 'name');
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

function markIn(config: unknown): string | undefined {
  const args = member(config, 'args');
  const mark = member(member(args, 'sublet'), 'mark');
  return typeof mark === 'string' ? mark : undefined;
}

function member(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.entries(value).find(([name]) => name === key)?.[1]
    : undefined;
}

/** The CNI specification leaves `args` to the runtime, and has plugins ignore what they don't know in it. */
function ownership(clusterId: string) {
  return { sublet: { mark: markOf(clusterId) } };
}

const portmap = { type: 'portmap', capabilities: { portMappings: true } };

/** A network configuration list (CNI specification 0.3.1, which every engine since 2017 reads). */
function standardConfig(network: CniNetwork) {
  const { cniPortmap = true, cniChain = [] } = network.settings;
  return {
    cniVersion: '0.3.1',
    name: network.overlay,
    args: ownership(network.clusterId),
    plugins: [bridgePlugin(network), ...(cniPortmap ? [portmap] : []), ...cniChain],
  };
}

/** As the DC/OS overlay module wrote it: Mesos's port mapper delegates to the bridge plugin. */
function mesosConfig(network: CniNetwork) {
  return {
    name: network.overlay,
    type: 'mesos-cni-port-mapper',
    args: ownership(network.clusterId),
    chain: network.bridge.name.toUpperCase(),
    excludeDevices: [network.bridge.name],
    delegate: bridgePlugin(network),
  };
}

function bridgePlugin({ bridge, mtu, settings }: CniNetwork) {
  const ranges = [bridge.cidr, bridge.cidr6].filter((range) => range !== undefined);
  return {
    type: 'bridge',
    bridge: bridge.name,
    isGateway: true,
    ipMasq: false,
    hairpinMode: true,
    mtu,
    ipam: {
      type: 'host-local',
      ...(settings.cniDataDir === undefined ? {} : { dataDir: settings.cniDataDir }),
      ...(ranges.length === 1 ? { subnet: ranges[0] } : { ranges: ranges.map((subnet) => [{ subnet }]) }),
      routes: ranges.map((range) => ({ dst: range.includes(':') ? '::/0' : '0.0.0.0/0' })),
    },
  };
}
