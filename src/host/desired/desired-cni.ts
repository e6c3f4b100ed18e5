/**
 * The network file by which a container engine attaches containers to the `m-` half of an overlay: the standard
 * `bridge` and `host-local` plugins, as a `.conflist` with `portmap`, or wrapped for Mesos's own port mapper.
 */

import { markOf } from '#host/desired/marks.js';
import type { BridgeLease, HostSettings } from '#host/input.js';

export type DesiredCni = {
  readonly dir: string;
  /** File name → content. */
  readonly files: ReadonlyMap<string, string>;
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
  return [`${network.overlay}${mesos ? '.conf' : '.conflist'}`, `${JSON.stringify(config, null, 2)}\n`];
}

/** Which cluster wrote a CNI file: its mark, or undefined for anybody else's file. */
export function cniMark(content: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(content);
    return markIn(parsed);
  } catch {
    return undefined; // Not JSON: certainly not ours.
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

/** A network configuration list (CNI specification 0.3.1, which every engine since 2017 reads). */
function standardConfig(network: CniNetwork) {
  return {
    cniVersion: '0.3.1',
    name: network.overlay,
    args: ownership(network.clusterId),
    plugins: [bridgePlugin(network), { type: 'portmap', capabilities: { portMappings: true } }],
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
