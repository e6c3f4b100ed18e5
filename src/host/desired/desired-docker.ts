/**
 * The Docker network of an overlay's `d-` half, and the request that makes it on a given Docker engine. Plain data.
 */

import { dockerLabel, type Marks } from '#host/desired/marks.js';
import type { OverlayLease } from '#host/input.js';

export type DesiredDockerNetwork = {
  /** Also the network's name. */
  readonly overlay: string;
  readonly bridge: string;
  readonly subnet?: string;
  readonly subnet6?: string;
  /** Bytes. */
  readonly mtu: number;
  readonly mark: string;
  /** Host interfaces that containers of other halves and other hosts come in by. */
  readonly trusted: readonly string[];
  /** Those of them by which containers of this overlay come in: on other hosts, and of the other half. */
  readonly reachedBy: readonly string[];
};

/** The part of `POST /networks/create` that we send. */
export type DockerNetworkRequest = {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: 'bridge';
  readonly EnableIPv4?: false;
  readonly EnableIPv6: boolean;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] };
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
};

/** Engine version as [major, minor]. */
export type DockerVersion = readonly [major: number, minor: number];

/** What decides which options a network needs. */
export type DockerEngineFacts = {
  readonly version: DockerVersion;
  /** Where the engine writes its rules; `nftables` has no chain DOCKER-USER, and its drop stands beside any accept. */
  readonly firewall: 'iptables' | 'nftables';
};

export const dockerOption = {
  bridge: 'com.docker.network.bridge.name',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  mtu: 'com.docker.network.driver.mtu',
  trusted: 'com.docker.network.bridge.trusted_host_interfaces',
  gatewayMode4: 'com.docker.network.bridge.gateway_mode_ipv4',
  gatewayMode6: 'com.docker.network.bridge.gateway_mode_ipv6',
} as const;

export function dockerNetworks(
  held: readonly OverlayLease[],
  { marks, mtu, vtepName, bridges }: { marks: Marks; mtu: number; vtepName: string; bridges: readonly string[] },
): DesiredDockerNetwork[] {
  return held.flatMap(({ name, mesosBridge, dockerBridge }) => {
    if (dockerBridge === undefined) return [];
    const { cidr, cidr6 } = dockerBridge;
    return {
      overlay: name,
      bridge: dockerBridge.name,
      ...(cidr === undefined ? {} : { subnet: cidr }),
      ...(cidr6 === undefined ? {} : { subnet6: cidr6 }),
      mtu,
      mark: marks.current,
      trusted: [vtepName, ...bridges].filter((device) => device !== dockerBridge.name),
      reachedBy: [vtepName, ...(mesosBridge === undefined ? [] : [mesosBridge.name])],
    };
  });
}

/** The request for this engine. Before 28 a network always has IPv4. */
export function dockerRequest(network: DesiredDockerNetwork, engine: DockerEngineFacts): DockerNetworkRequest {
  const subnets = [network.subnet, network.subnet6].filter((subnet) => subnet !== undefined);
  return {
    Name: network.overlay,
    CheckDuplicate: true,
    Driver: 'bridge',
    ...(network.subnet === undefined && engine.version[0] >= 28 ? { EnableIPv4: false } : {}),
    EnableIPv6: network.subnet6 !== undefined,
    IPAM: { Config: subnets.map((Subnet) => ({ Subnet })) },
    Options: {
      [dockerOption.bridge]: network.bridge,
      [dockerOption.masquerade]: 'false',
      [dockerOption.mtu]: String(network.mtu),
      ...directRouting(network, engine),
    },
    Labels: { [dockerLabel.cluster]: network.mark, [dockerLabel.overlay]: network.overlay },
  };
}

const unprotected = 'nat-unprotected';

/**
 * From 28 on Docker drops in raw PREROUTING what comes to a container from another interface: 28.2 takes a list of
 * interfaces to trust, 28.0 and 28.1 only an option to protect nothing on that network. With nftables it drops what
 * goes to unpublished ports in a forward chain of its own as well, which no accept elsewhere undoes: there, too,
 * nothing is protected.
 */
function directRouting({ subnet, subnet6, trusted }: DesiredDockerNetwork, { version, firewall }: DockerEngineFacts) {
  const [major, minor] = version;
  if (major < 28) return {};
  if (firewall === 'iptables' && (major > 28 || minor >= 2)) return { [dockerOption.trusted]: trusted.join(':') };
  return {
    ...(subnet === undefined ? {} : { [dockerOption.gatewayMode4]: unprotected }),
    ...(subnet6 === undefined ? {} : { [dockerOption.gatewayMode6]: unprotected }),
  };
}

/**
 * What keeps other hosts' containers from those of a network that was made with these options, in words; undefined:
 * nothing. `via` are the interfaces that they come in by.
 */
export function directRoutingBlock(
  { subnet, subnet6 }: DesiredDockerNetwork,
  engine: DockerEngineFacts,
  options: Readonly<Record<string, string>>,
  via: readonly string[],
): string | undefined {
  if (engine.version[0] < 28) return undefined;
  const modes = [
    ...(subnet === undefined ? [] : [options[dockerOption.gatewayMode4]]),
    ...(subnet6 === undefined ? [] : [options[dockerOption.gatewayMode6]]),
  ];
  // Docker's own rules for `routed` come after DOCKER-USER, which is where ours accept; with nftables nothing of ours does.
  const open = engine.firewall === 'iptables' ? [unprotected, 'routed'] : [unprotected];
  if (modes.every((mode) => open.includes(mode ?? ''))) return undefined;
  const docker = `Docker ${engine.version.join('.')}`;
  if (engine.firewall === 'nftables') {
    return `${docker} with nftables drops what comes from other hosts to ports that are not published, since the network was not made with gateway_mode_ipv4=${unprotected}`;
  }
  const trusted = (options[dockerOption.trusted] ?? '').split(':');
  const lacking = via.filter((device) => !trusted.includes(device));
  if (lacking.length === 0) return undefined;
  return `${docker} drops what comes to its containers by ${lacking.join(' and ')}, since the network was made without trusted_host_interfaces=${via.join(':')}`;
}

/** `28.2.2` or `20.10.24+dfsg1` → [28, 2], [20, 10]; an unreadable version counts as an old engine. */
export function dockerVersion(text: string): DockerVersion {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
