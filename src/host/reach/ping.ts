/**
 * Probes peers through the tunnel, small and at full MTU: their VTEPs, and what is behind them from this host's own
 * bridges. Where nothing comes back it looks for the reason (`ping-causes`).
 */

import { formatCidr4, halves4, parseCidr4 } from '#address/cidr4.js';
import { formatCidr6, halves6, parseCidr6 } from '#address/cidr6.js';
import { type DesiredHost, desired } from '#host/desired/desired.js';
import type { PingProbe, PingReport } from '#host/host-status.js';
import type { HostInput, Peer } from '#host/input.js';
import { factsOf } from '#host/observe/host-facts.js';
import { type Area, lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import { causesOf, type PeerKnowledge } from '#host/reach/ping-causes.js';
import { echo, hop, smallBytes } from '#host/reach/ping-probe.js';
import { noDocker } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';
import { addressBehind, addressOf, isIpv6Text, prefixOf } from '#host/tools/text.js';

/** Peers probed at once, and in all when no target is given. */
const probesAtOnce = 16;
const peersMax = 1_000;
/** Overlays of one peer that are probed from this host's bridges. */
const overlaysMax = 2;

/**
 * Reports on all peers, or the one that `target` names by agent id, node or VTEP address. Rejects if no peer has that
 * name. `known` is what the masters tell of a peer, where they were asked.
 */
export async function pingPeers(
  input: HostInput,
  run: Runner,
  target?: string,
  known: (agentId: string) => PeerKnowledge = () => ({ kind: 'none' }),
): Promise<readonly PingReport[]> {
  const peers =
    target === undefined
      ? input.peers.slice(0, peersMax)
      : input.peers.filter((peer) => namesOf(peer).includes(target));
  if (target !== undefined && peers.length === 0) {
    throw new Error(`no agent has the id or address ${target}: "sublet agents" lists them`);
  }
  const scene = await sceneOf(input, run, new Set(['links', 'peers', 'sysctls']));
  const probed: Probed[] = [];
  for (let at = 0; at < peers.length; at += probesAtOnce) {
    probed.push(...(await Promise.all(peers.slice(at, at + probesAtOnce).map((peer) => pingPeer(peer, scene)))));
  }
  if (probed.every(({ reachable }) => reachable)) return probed.map((one) => reportOf(one, []));
  // The firewall is read where something does not pass: it is the longest table, and needs root.
  const { observed } = await sceneOf(input, run, new Set(['links', 'peers', 'sysctls', 'firewall']));
  return probed.map((one) => {
    if (one.reachable) return reportOf(one, []);
    return reportOf(one, causesOf({ ...one, wish: scene.wish, observed, known: known(one.peer.agentId) }));
  });
}

type Scene = { readonly wish: DesiredHost; readonly observed: ObservedHost; readonly run: Runner };

async function sceneOf(input: HostInput, run: Runner, areas: ReadonlySet<Area>): Promise<Scene> {
  const observed = await observe(lookoutOf(input, run, noDocker), areas, bareHost);
  return { observed, wish: desired(input, factsOf(observed, input)), run };
}

function namesOf({ agentId, nodeIp, vtepIp, vtepIp6 }: Peer): (string | undefined)[] {
  return [agentId, nodeIp, vtepIp, vtepIp6];
}

type Probed = { readonly peer: Peer; readonly reachable: boolean; readonly probes: readonly PingProbe[] };

function reportOf({ peer, reachable, probes }: Probed, causes: readonly string[]): PingReport {
  const { agentId, vtepIp, nodeIp } = peer;
  return { agentId, vtepIp, nodeIp, reachable, probes, causes };
}

async function pingPeer(peer: Peer, scene: Scene): Promise<Probed> {
  const { wish, run } = scene;
  const device = wish.device.kind === 'present' ? wish.device.device : undefined;
  const mtu = device?.mtu ?? smallBytes;
  const has6 = device?.addresses.some(isIpv6Text) === true;
  const tunnels = await Promise.all([
    throughTunnel(peer, { vtep: peer.vtepIp, isSix: false, mtu }, run),
    ...(has6 && peer.vtepIp6 !== undefined ? [throughTunnel(peer, { vtep: peer.vtepIp6, isSix: true, mtu }, run)] : []),
  ]);
  const probes = tunnels.flatMap((tunnel) => tunnel.probes);
  if (!tunnels.every(({ passes }) => passes)) {
    // From the address that the tunnel uses: a host with two ways out must not blame the port for the other one.
    const from = device?.local;
    const underlay = { path: 'underlay', to: peer.nodeIp, packetBytes: smallBytes } as const;
    probes.push(await echo(run, { ...underlay, ...(from === undefined ? {} : { from }) }));
    return { peer, reachable: false, probes };
  }
  const behind = await fromBridges(peer, scene);
  return { peer, reachable: behind.every(({ ok }) => ok), probes: [...probes, ...behind.filter(({ ok }) => !ok)] };
}

type TunnelEnd = { readonly vtep: string; readonly isSix: boolean; readonly mtu: number };

/** Echoes; where those do not come back, hops, which no firewall of the peer's drops once the tunnel's port is open. */
async function throughTunnel(peer: Peer, { vtep, isSix, mtu }: TunnelEnd, run: Runner) {
  const sizes = [smallBytes, mtu];
  const path = isSix ? 'vtep6' : 'vtep';
  const probes = await Promise.all(sizes.map((packetBytes) => echo(run, { path, to: vtep, packetBytes })));
  if (probes.every(({ ok }) => ok)) return { passes: true, probes };
  const subnet = peer.overlays
    .map(({ subnet, subnet6 }) => (isSix ? subnet6 : subnet))
    .find((one) => one !== undefined);
  // A peer that holds nothing forwards nothing; and where small echoes pass, hops would tell nothing more.
  if (subnet === undefined || probes[0]?.ok === true) return { passes: false, probes };
  const to = addressBehind(subnet);
  const hopPath = isSix ? 'hop6' : 'hop';
  const hops = await Promise.all(sizes.map((packetBytes) => hop(run, { path: hopPath, to, packetBytes }, [vtep])));
  return { passes: hops.every(({ ok }) => ok), probes: [...probes, ...hops] };
}

/**
 * From this host's gateway of each half to both halves behind the peer, one hop: the path of the containers' packets,
 * by all rules and routes of the host, and back.
 */
async function fromBridges(peer: Peer, { wish, observed, run }: Scene): Promise<PingProbe[]> {
  const own = new Map([...wish.bridges, ...wish.docker].map(gatewayEntry));
  const probes = peer.overlays
    .filter(({ name }) => own.has(name))
    .slice(0, overlaysMax)
    .flatMap(({ name, subnet, subnet6 }) =>
      [subnet, subnet6].flatMap((range) => {
        const from = own
          .get(name)
          ?.find((gateway) => isIpv6Text(gateway) === (range !== undefined && isIpv6Text(range)));
        if (range === undefined || from === undefined || !isOnHost(observed, from)) return [];
        const vtep = isIpv6Text(range) ? peer.vtepIp6 : peer.vtepIp;
        if (vtep === undefined) return [];
        return halvesOf(range).map((half) =>
          hop(run, { path: 'bridge', to: addressBehind(half), packetBytes: smallBytes, from }, [vtep]),
        );
      }),
    );
  return Promise.all(probes);
}

type Half = DesiredHost['bridges'][number] | DesiredHost['docker'][number];

function gatewayEntry(half: Half): [overlay: string, gateways: string[]] {
  return [half.overlay, 'gateways' in half ? half.gateways.map(addressOf) : []];
}

function isOnHost({ links }: ObservedHost, address: string): boolean {
  return [...links.values()].some(({ up, addresses }) => up && addresses.some((cidr) => addressOf(cidr) === address));
}

/** A subnet too small for two halves is one. */
function halvesOf(subnet: string): string[] {
  if (isIpv6Text(subnet)) {
    return prefixOf(subnet) > 126 ? [subnet] : halves6(parseCidr6(subnet)).map(formatCidr6);
  }
  return prefixOf(subnet) > 30 ? [subnet] : halves4(parseCidr4(subnet)).map(formatCidr4);
}
