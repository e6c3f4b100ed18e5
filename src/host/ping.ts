/**
 * Probes peers' VTEPs through the tunnel, small and at full MTU, and where nothing comes back looks for the entry that
 * is missing. Uses the system's `ping`, since Node has no raw sockets.
 */

import { type DesiredHost, desired } from '#host/desired.js';
import { noDocker } from '#host/docker-engine.js';
import { factsOf } from '#host/host-facts.js';
import type { HostInput, Peer } from '#host/input.js';
import { type Area, lookoutOf, observe } from '#host/observe.js';
import { bareHost, type ObservedHost } from '#host/observed.js';
import { type Runner, ToolMissingError } from '#host/runner.js';
import type { PingProbe, PingReport } from '#host/status.js';
import { addressOf, isIpv6Text } from '#host/text.js';
import { formatDuration } from '#text/duration.js';

/** Peers probed at once, and in all when no target is given. */
const probesAtOnce = 16;
const peersMax = 1_000;
const answerSeconds = 2;
const smallBytes = 84;

/** Reports on all peers, or the one that `target` names by agent id, node or VTEP address. Rejects if nobody has that name. */
export async function pingPeers(input: HostInput, run: Runner, target?: string): Promise<readonly PingReport[]> {
  const peers =
    target === undefined
      ? input.peers.slice(0, peersMax)
      : input.peers.filter((peer) => namesOf(peer).includes(target));
  if (target !== undefined && peers.length === 0) {
    throw new Error(`no agent has the id or address ${target}: "sublet agents" lists them`);
  }
  const areas = new Set<Area>(['links', 'peers', 'sysctls']);
  const observed = await observe(lookoutOf(input, run, noDocker), areas, bareHost);
  const wish = desired(input, factsOf(observed, input));
  const reports: PingReport[] = [];
  for (let at = 0; at < peers.length; at += probesAtOnce) {
    reports.push(
      ...(await Promise.all(peers.slice(at, at + probesAtOnce).map((peer) => pingPeer(peer, wish, observed, run)))),
    );
  }
  return reports;
}

function namesOf({ agentId, nodeIp, vtepIp, vtepIp6 }: Peer): (string | undefined)[] {
  return [agentId, nodeIp, vtepIp, vtepIp6];
}

async function pingPeer(peer: Peer, wish: DesiredHost, observed: ObservedHost, run: Runner): Promise<PingReport> {
  const device = wish.device.kind === 'present' ? wish.device.device : undefined;
  const mtu = device?.mtu ?? smallBytes;
  const has6 = peer.vtepIp6 !== undefined && device?.addresses.some(isIpv6Text);
  const probes = await Promise.all([
    probe(run, 'vtep', peer.vtepIp, smallBytes),
    probe(run, 'vtep', peer.vtepIp, mtu),
    ...(has6 && peer.vtepIp6 !== undefined
      ? [probe(run, 'vtep6', peer.vtepIp6, smallBytes), probe(run, 'vtep6', peer.vtepIp6, mtu)]
      : []),
  ]);
  const reachable = probes.every(({ ok }) => ok);
  // The tunnel's packets leave from node_ip; the host may have other addresses and other routes for those.
  if (!reachable) probes.push(await probe(run, 'underlay', peer.nodeIp, smallBytes, device?.local));
  return {
    agentId: peer.agentId,
    vtepIp: peer.vtepIp,
    nodeIp: peer.nodeIp,
    reachable,
    probes,
    causes: reachable ? [] : causesOf(peer, wish, observed, probes),
  };
}

/** One echo of a whole IP packet of `packetBytes`, don't-fragment set. */
async function probe(
  run: Runner,
  path: PingProbe['path'],
  to: string,
  packetBytes: number,
  from?: string,
): Promise<PingProbe> {
  const headers = isIpv6Text(to) ? 48 : 28;
  const source = from === undefined ? [] : ['-I', from];
  const size = String(packetBytes - headers);
  const args = ['-n', '-c', '1', '-W', String(answerSeconds), '-M', 'do', '-s', size, ...source, to];
  try {
    const { code, stdout, stderr } = await run.run('ping', args, { timeoutMs: (answerSeconds + 2) * 1000 });
    const time = /time=([\d.]+) ms/.exec(stdout)?.[1];
    const says = code === 0 ? 'answered' : reason(`${stdout}\n${stderr}`);
    return { path, packetBytes, ok: code === 0, says, ...(time === undefined ? {} : { roundTripMs: Number(time) }) };
  } catch (error) {
    if (error instanceof ToolMissingError) return { path, packetBytes, ok: false, says: error.message };
    throw error;
  }
}

function reason(output: string): string {
  const line = output
    .split('\n')
    .find((text) => /unreachable|too long|exceeded|prohibited|not permitted|error|ping:/i.test(text));
  return line?.trim() ?? `no answer within ${formatDuration(answerSeconds * 1_000)}`;
}

/** Entries that this host lacks first; then what the probes tell of the way and of the other side. */
function causesOf(peer: Peer, wish: DesiredHost, observed: ObservedHost, probes: readonly PingProbe[]): string[] {
  const causes = missingEntries(peer, wish, observed);
  if (causes.length > 0) return causes;
  const passed = (path: PingProbe['path'], isSmall: boolean) =>
    probes.some((one) => one.path === path && one.ok && (one.packetBytes === smallBytes) === isSmall);
  if (probes.some(({ says }) => says.includes('not installed')))
    return [probes.map(({ says }) => says).find((says) => says.includes('not installed')) ?? ''];
  if (passed('vtep', true) && !passed('vtep', false)) {
    return [
      'small packets pass and full ones do not: the underlay between the hosts carries less than its MTU here; lower vtep_mtu or raise that MTU',
    ];
  }
  if (!passed('underlay', true)) {
    return [
      `the host itself does not answer at ${peer.nodeIp} beside the tunnel: it is down, unreachable, or blocks ICMP`,
    ];
  }
  const port = wish.device.kind === 'present' ? wish.device.device.port : 0;
  return [
    `this host has every entry and ${peer.nodeIp} answers beside the tunnel: UDP port ${port} is blocked between the hosts, or the other side lacks its entries for this host ("sublet agent ping" there tells)`,
  ];
}

function missingEntries(peer: Peer, wish: DesiredHost, observed: ObservedHost): string[] {
  if (wish.device.kind !== 'present') return wish.problems.map(({ error }) => error);
  const { name } = wish.device.device;
  const link = observed.links.get(name);
  if (link === undefined) return [`the device ${name} is missing on this host`];
  if (!link.up) return [`the device ${name} is down on this host`];
  const missing: string[] = [];
  const compare = (
    what: string,
    wanted: ReadonlyMap<string, string>,
    there: ReadonlyMap<string, string>,
    key: string | undefined,
  ) => {
    if (key === undefined || !wanted.has(key) || wanted.get(key) === there.get(key)) return;
    missing.push(
      `${what} ${key} → ${wanted.get(key)} is ${there.has(key) ? `${there.get(key)} instead` : 'missing'} on this host`,
    );
  };
  compare('neighbour', wish.neighbours, observed.neighbours, peer.vtepIp);
  compare('neighbour', wish.neighbours, observed.neighbours, peer.vtepIp6);
  compare('FDB entry', wish.fdb, observed.fdb, peer.vtepMac);
  const own = wish.device.device.addresses.find((cidr) => !link.addresses.includes(cidr));
  if (own !== undefined) missing.push(`address ${addressOf(own)} of ${name} is missing on this host`);
  return missing;
}
