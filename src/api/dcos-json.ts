/**
 * The JSON that DC/OS's overlay modules serve, for scripts made for it: the proto2 messages `State`, `Network` and
 * `AgentInfo` of the Mesos overlay modules, with their snake_case names. Unlike Sublet's own JSON, what is empty is
 * left out only where those messages have an optional field (it is `undefined` here, which JSON leaves out), and
 * `backend.vxlan` repeats in each overlay.
 */
import { sublet } from '#proto/sublet.js';

const { OverlayStatus } = sublet.v1;

export type DcosBridge = {
  readonly name: string;
  readonly ip?: string | undefined;
  readonly ip6?: string | undefined;
};
export type DcosOverlayInfo = {
  readonly name: string;
  readonly subnet?: string | undefined;
  readonly prefix?: number | undefined;
  readonly subnet6?: string | undefined;
  readonly prefix6?: number | undefined;
  readonly enabled: boolean;
};
export type DcosAgentOverlay = {
  readonly info: DcosOverlayInfo;
  readonly subnet?: string | undefined;
  readonly subnet6?: string | undefined;
  readonly mesos_bridge?: DcosBridge | undefined;
  readonly docker_bridge?: DcosBridge | undefined;
  readonly backend: {
    readonly vxlan: {
      readonly vni: number;
      readonly vtep_name: string;
      readonly vtep_ip: string;
      readonly vtep_ip6?: string | undefined;
      readonly vtep_mac: string;
      readonly vtep_mtu?: number | undefined;
    };
  };
  readonly state: { readonly status: DcosStatus; readonly error?: string | undefined };
};
export type DcosStatus = 'STATUS_INVALID' | 'STATUS_OK' | 'STATUS_FAILED' | 'STATUS_CONFIGURING';
export type DcosAgentInfo = { readonly ip: string; readonly overlays: readonly DcosAgentOverlay[] };
export type DcosNetwork = {
  readonly vtep_subnet: string;
  readonly vtep_subnet6?: string | undefined;
  readonly vtep_mac_oui: string;
  readonly vtep_mtu?: number | undefined;
  readonly overlays: readonly DcosOverlayInfo[];
};
export type DcosState = { readonly network?: DcosNetwork | undefined; readonly agents: readonly DcosAgentInfo[] };

/** What `GET /overlay-agent/overlay` answers, and one entry of `agents` in the master's state. */
export function dcosAgentInfo(agent: sublet.v1.Agent.$Properties): DcosAgentInfo {
  return { ip: agent.nodeIp ?? '', overlays: (agent.overlays ?? []).map((overlay) => agentOverlay(overlay, agent)) };
}

/** The network in the answer of `GET /overlay-master/state`. */
export function dcosNetwork(network: sublet.v1.Network.$Properties): DcosNetwork {
  return {
    vtep_subnet: network.vtepSubnet ?? '',
    vtep_subnet6: network.vtepSubnet6 || undefined,
    vtep_mac_oui: network.vtepMacOui ?? '',
    vtep_mtu: network.vtepMtu || undefined,
    overlays: (network.overlays ?? []).map(overlayInfo),
  };
}

function agentOverlay(
  overlay: sublet.v1.AgentOverlay.$Properties,
  agent: sublet.v1.Agent.$Properties,
): DcosAgentOverlay {
  const { vxlan } = agent;
  return {
    info: overlayInfo(overlay.info ?? {}),
    subnet: overlay.subnet || undefined,
    subnet6: overlay.subnet6 || undefined,
    mesos_bridge: bridge(overlay.mesosBridge),
    docker_bridge: bridge(overlay.dockerBridge),
    backend: {
      vxlan: {
        vni: vxlan?.vni ?? 0,
        vtep_name: vxlan?.vtepName ?? '',
        vtep_ip: vxlan?.vtepIp ?? '',
        vtep_ip6: vxlan?.vtepIp6 || undefined,
        vtep_mac: vxlan?.vtepMac ?? '',
        vtep_mtu: vxlan?.vtepMtu || undefined,
      },
    },
    state: { status: statusName(overlay.state?.status), error: overlay.state?.error || undefined },
  };
}

function overlayInfo(overlay: sublet.v1.Overlay.$Properties): DcosOverlayInfo {
  return {
    name: overlay.name ?? '',
    subnet: overlay.subnet || undefined,
    prefix: overlay.prefix || undefined,
    subnet6: overlay.subnet6 || undefined,
    prefix6: overlay.prefix6 || undefined,
    enabled: overlay.enabled ?? false,
  };
}

function bridge(of: sublet.v1.Bridge.$Properties | null | undefined): DcosBridge | undefined {
  return of == null ? undefined : { name: of.name ?? '', ip: of.ip || undefined, ip6: of.ip6 || undefined };
}

function statusName(status: sublet.v1.OverlayStatus | null | undefined): DcosStatus {
  switch (status) {
    case OverlayStatus.OVERLAY_STATUS_OK:
      return 'STATUS_OK';
    case OverlayStatus.OVERLAY_STATUS_FAILED:
      return 'STATUS_FAILED';
    case OverlayStatus.OVERLAY_STATUS_CONFIGURING:
    case OverlayStatus.OVERLAY_STATUS_PLANNED:
      return 'STATUS_CONFIGURING';
    default:
      return 'STATUS_INVALID';
  }
}
