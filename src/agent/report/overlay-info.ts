/**
 * The agent's view in the form of DC/OS's `AgentInfo` message, for scripts made for `GET /overlay-agent/overlay`:
 * snake_case, the VXLAN backend repeated in each overlay, absent fields left out.
 */
import type { Lease, LeasedBridge, LeasedOverlay, LeaseNetwork } from '#agent/lease/lease.js';
import type { HostStatus } from '#host/host-status.js';

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export type OverlayInfoParts = {
  readonly lease: Lease;
  readonly network: LeaseNetwork;
  readonly host: HostStatus;
  /** Whether the agent asks for subnets; one on a master may not. */
  readonly takesSubnets: boolean;
};

/** Lists what the agent holds and, without a subnet, the enabled overlays of which it holds nothing. */
export function overlayInfo(parts: OverlayInfoParts): Json {
  const { lease, network } = parts;
  const listed = network.overlays.filter(({ name, enabled }) => enabled || held(lease, name) !== undefined);
  return { ip: lease.nodeIp, overlays: listed.map((overlay) => agentOverlay(overlay, parts)) };
}

function agentOverlay(overlay: LeasedOverlay, parts: OverlayInfoParts): Json {
  const { lease } = parts;
  const mine = held(lease, overlay.name);
  return {
    info: {
      name: overlay.name,
      ...text({ subnet: overlay.subnet }),
      ...(overlay.subnet === '' ? {} : { prefix: overlay.prefix }),
      ...text({ subnet6: overlay.subnet6 }),
      ...(overlay.subnet6 === '' ? {} : { prefix6: overlay.prefix6 }),
      enabled: overlay.enabled,
    },
    ...text({ subnet: mine?.subnet ?? '', subnet6: mine?.subnet6 ?? '' }),
    backend: { vxlan: vxlan(lease.vxlan) },
    ...(mine?.mesosBridge ? { mesos_bridge: bridge(mine.mesosBridge) } : {}),
    ...(mine?.dockerBridge ? { docker_bridge: bridge(mine.dockerBridge) } : {}),
    state: state(overlay.name, parts),
  };
}

function held(lease: Lease, overlay: string): Lease['overlays'][number] | undefined {
  return lease.overlays.find(({ name }) => name === overlay);
}

function vxlan({ vni, vtepName, vtepIp, vtepIp6, vtepMac, vtepMtu }: Lease['vxlan']): Json {
  return {
    vni,
    vtep_name: vtepName,
    vtep_ip: vtepIp,
    vtep_mac: vtepMac,
    ...text({ vtep_ip6: vtepIp6 }),
    ...(vtepMtu === 0 ? {} : { vtep_mtu: vtepMtu }),
  };
}

function bridge({ name, ip, ip6 }: LeasedBridge): Json {
  return { name, ...text({ ip, ip6 }) };
}

/**
 * DC/OS's own agent calls an overlay OK when everything that it was to have is there; for an agent that takes no subnet,
 * on a master say, that is the tunnel alone, and its network daemon uses what is OK only.
 */
function state(overlay: string, { lease, host, takesSubnets }: OverlayInfoParts): Json {
  const { overlays, problems, converged } = host;
  const problem = lease.problems.find((one) => one.overlay === overlay);
  if (problem !== undefined) return { status: 'STATUS_FAILED', error: problem.reason };
  const status = overlays.find(({ name }) => name === overlay);
  switch (status?.kind) {
    case undefined:
      if (problems.length > 0) return { status: 'STATUS_FAILED', error: problems.join('. ') };
      return { status: converged && !takesSubnets ? 'STATUS_OK' : 'STATUS_CONFIGURING' };
    case 'ok':
      return { status: 'STATUS_OK' };
    case 'configuring':
    case 'planned':
      return { status: 'STATUS_CONFIGURING' };
    case 'failed':
      return { status: 'STATUS_FAILED', error: status.error };
  }
}

function text(fields: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== ''));
}
