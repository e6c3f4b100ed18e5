/**
 * The input of the reconciler: this host's lease, the network's overlays, the peers, and the site's settings, as plain
 * data. The agent maps the API's messages to it. Addresses are canonical text (IPv4 dotted, IPv6 as RFC 5952, MACs in
 * lower case with colons), since text is what the host's tools take and print; `checkHostInput` refuses anything else
 * before it can reach a command line.
 */

/** All that decides how the host should look; equal inputs on equal hosts give no steps. */
export type HostInput = {
  /** Marks what is ours on the host: `sublet:<clusterId>`. 1–63 characters of `[A-Za-z0-9._-]`. */
  readonly clusterId: string;
  /** Ids this cluster had before a recovery: what they mark on this host is adopted, not foreign. */
  readonly formerClusterIds: readonly string[];
  readonly lease: HostLease;
  /** False once a TTL ran out while cut off: the device is set down until it is true again (rule 5). */
  readonly leaseValid: boolean;
  /** Every overlay of the network, held here or not: they are routed, and not masqueraded. */
  readonly overlays: readonly NetworkOverlay[];
  /** Every other agent whose addresses stand; this host is not among them. */
  readonly peers: readonly Peer[];
  readonly settings: HostSettings;
};

export type HostLease = {
  /** For the files of the lease alone. */
  readonly agentId?: string;
  /** Underlay address; must be on an interface of this host. */
  readonly nodeIp: string;
  readonly vxlan: VxlanLease;
  /** The overlays this agent has a part of, and those it was refused (without subnets). */
  readonly overlays: readonly OverlayLease[];
};

export type VxlanLease = {
  /** 1 … 16777215. */
  readonly vni: number;
  /** UDP port of the VXLAN, 1 … 65535; all hosts use the same. */
  readonly port: number;
  readonly vtepName: string;
  /** Address with the VTEP subnet's prefix: `44.128.0.1/20`. */
  readonly vtepIp: string;
  /** Likewise: `fd01:a::1/64`. */
  readonly vtepIp6?: string;
  readonly vtepMac: string;
  /** Bytes; absent: the underlay's MTU less 50 (IPv4 underlay) or 70 (IPv6). */
  readonly vtepMtu?: number;
};

/** What this agent holds of one overlay. No `subnet` and no `subnet6`: it holds nothing of it. */
export type OverlayLease = {
  readonly name: string;
  readonly subnet?: string;
  readonly subnet6?: string;
  readonly mesosBridge?: BridgeLease;
  readonly dockerBridge?: BridgeLease;
};

/** A half of an agent's subnet, or the whole; the first host of each range is its gateway. */
export type BridgeLease = {
  /** `m-<overlay>` or `d-<overlay>`. */
  readonly name: string;
  /** IPv4 range: `9.0.0.0/25`. */
  readonly cidr?: string;
  /** IPv6 range: `fd01:b::/81`. */
  readonly cidr6?: string;
};

export type NetworkOverlay = {
  readonly name: string;
  /** The whole overlay: `9.0.0.0/8`. */
  readonly subnet?: string;
  readonly subnet6?: string;
  readonly enabled: boolean;
};

export type Peer = {
  readonly agentId: string;
  readonly nodeIp: string;
  /** Without a prefix length: `44.128.0.2`. */
  readonly vtepIp: string;
  readonly vtepIp6?: string;
  readonly vtepMac: string;
  readonly overlays: readonly PeerOverlay[];
};

export type PeerOverlay = {
  readonly name: string;
  readonly subnet?: string;
  readonly subnet6?: string;
};

export type HostSettings = {
  /** Folder the container engine reads its networks from. */
  readonly cniDir: string;
  /** Further folders that get the same files. */
  readonly cniDirsBeside?: readonly string[];
  /** Goes before the names of the files: `10-`. */
  readonly cniFilePrefix?: string;
  /** The overlay whose file comes before those of the others. */
  readonly cniDefault?: string;
  /** False leaves portmap out. */
  readonly cniPortmap?: boolean;
  /** Plugins after those of Sublet, each with its `type`. */
  readonly cniChain?: readonly { readonly type: string }[];
  /** Where host-local keeps its leases; absent: the plugin's own default. */
  readonly cniDataDir?: string;
  /** `standard`: `<overlay>.conflist` with portmap; `mesos`: `<overlay>.conf` for mesos-cni-port-mapper. */
  readonly cniStyle: CniStyle;
  /** Bytes; the containers' MTU is this or the VTEP's, whichever is less. */
  readonly overlayMtu: number;
  /** False leaves IPv6 alone, whatever the lease holds. */
  readonly enableIpv6: boolean;
  /** `unix:///path` or `tcp://HOST:PORT`; absent: the local socket. */
  readonly dockerHost?: string;
  /** True: a host on which there is no Docker, and has been none for these overlays, is as it should be. */
  readonly dockerOptional?: boolean;
  /** Whether Docker networks are wanted; where they are not, a Docker that does not answer leaves nothing behind. */
  readonly usesDocker: boolean;
  /**
   * The bounds of the overlays, by this host's own configuration; absent: anything that takes nothing from the host.
   */
  readonly overlaysAllowed?: readonly string[];
  /** Names and addresses of the masters, which no overlay may take away. */
  readonly masters?: readonly string[];
  /** Whether the underlay is kept out of the overlays; absent: it is. */
  readonly guard?: boolean;
  /** Devices beside the tunnel and the bridges from which packets may be routed into overlays. */
  readonly guardExcept?: readonly string[];
  /**
   * Absent or `as-needed`: a CNI plugin makes an `m-` bridge for its first container. `now`: the reconciler makes the
   * `m-` bridges and repairs them.
   */
  readonly bridges?: 'as-needed' | 'now';
  /** A command, its path absolute, that is run after other programs find something else on this host than before. */
  readonly onChange?: readonly string[];
  /** Where the lease is written as files; absent: nowhere. */
  readonly runFiles?: RunFileSettings;
  /** Which iptables to call. `iptables` is whatever the site chose, which is also what Docker calls. */
  readonly iptables: IptablesFlavour;
};

/** Absolute paths. */
export type RunFileSettings = {
  /** Folder of lease.json and the overlays' env files. */
  readonly runDir?: string;
  /** The file of flannel's daemon, written for one overlay. */
  readonly flannelFile?: string;
  /** Absent: the only one that the host has. */
  readonly flannelOverlay?: string;
};

export type CniStyle = 'standard' | 'mesos';
export type IptablesFlavour = 'iptables' | 'iptables-nft' | 'iptables-legacy';

export const defaultHostSettings: HostSettings = {
  cniDir: '/etc/cni/net.d',
  cniStyle: 'standard',
  overlayMtu: 1420,
  enableIpv6: true,
  usesDocker: true,
  iptables: 'iptables',
};
