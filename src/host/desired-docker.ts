/**
 * The Docker network of an overlay's `d-` half, and the request that makes it on a given Docker engine. Plain data.
 */
import type { OverlayLease } from '#host/input.js';
import { dockerLabel, type Marks } from '#host/marks.js';

export interface DesiredDockerNetwork {
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
}

/** The part of `POST /networks/create` that we send. */
export interface DockerNetworkRequest {
  readonly Name: string;
  readonly CheckDuplicate: true;
  readonly Driver: 'bridge';
  readonly EnableIPv4?: false;
  readonly EnableIPv6: boolean;
  readonly IPAM: { readonly Config: readonly { readonly Subnet: string }[] };
  readonly Options: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
}

/** Engine version as [major, minor]. */
export type DockerVersion = readonly [major: number, minor: number];

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
  { marks, mtu, trusted }: { marks: Marks; mtu: number; trusted: readonly string[] },
): DesiredDockerNetwork[] {
  return held.flatMap(({ name, dockerBridge }) => {
    if (dockerBridge === undefined) return [];
    const { cidr, cidr6 } = dockerBridge;
    const others = trusted.filter((device) => device !== dockerBridge.name);
    return {
      overlay: name,
      bridge: dockerBridge.name,
      ...(cidr === undefined ? {} : { subnet: cidr }),
      ...(cidr6 === undefined ? {} : { subnet6: cidr6 }),
      mtu,
      mark: marks.current,
      trusted: others,
    };
  });
}

/**
 * The request for an engine of `version`. From 28 on Docker drops in raw PREROUTING what comes to a container from
 * another interface: 28.2 can be told which to trust, 28.0 and 28.1 only to protect nothing on that network.
 * Before 28 a network always has IPv4.
 */
export function dockerRequest(network: DesiredDockerNetwork, version: DockerVersion): DockerNetworkRequest {
  const subnets = [network.subnet, network.subnet6].filter((subnet) => subnet !== undefined);
  return {
    Name: network.overlay,
    CheckDuplicate: true,
    Driver: 'bridge',
    ...(network.subnet === undefined && version[0] >= 28 ? { EnableIPv4: false } : {}),
    EnableIPv6: network.subnet6 !== undefined,
    IPAM: { Config: subnets.map((Subnet) => ({ Subnet })) },
    Options: {
      [dockerOption.bridge]: network.bridge,
      [dockerOption.masquerade]: 'false',
      [dockerOption.mtu]: String(network.mtu),
      ...directRouting(network, version),
    },
    Labels: { [dockerLabel.cluster]: network.mark, [dockerLabel.overlay]: network.overlay },
  };
}

function directRouting({ subnet, subnet6, trusted }: DesiredDockerNetwork, [major, minor]: DockerVersion) {
  if (major < 28) return {};
  if (major > 28 || minor >= 2) return { [dockerOption.trusted]: trusted.join(':') };
  return {
    ...(subnet === undefined ? {} : { [dockerOption.gatewayMode4]: 'nat-unprotected' }),
    ...(subnet6 === undefined ? {} : { [dockerOption.gatewayMode6]: 'nat-unprotected' }),
  };
}

/** `28.2.2` or `20.10.24+dfsg1` → [28, 2], [20, 10]; an unreadable version counts as an old engine. */
export function dockerVersion(text: string): DockerVersion {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}
