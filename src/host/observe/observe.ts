/**
 * Reads the host. Reads only the areas that are asked for and keeps what is known of the others, so that the expensive
 * tables (thousands of peers) are read less often than the cheap ones. Changes nothing.
 */

import { marksOf } from '#host/desired/marks.js';
import { FilterReader } from '#host/filter/filter-reader.js';
import type { HostInput, HostSettings } from '#host/input.js';
import { observeCni } from '#host/observe/observe-cni.js';
import { observeSets, observeTables, saveTables } from '#host/observe/observe-firewall.js';
import { observeLinks, observePeers, observeRules } from '#host/observe/observe-kernel.js';
import { observeRunFiles } from '#host/observe/observe-run-files.js';
import { observeDetours, observeStrangers, type WayQuestion } from '#host/observe/observe-strangers.js';
import { observeSurroundings } from '#host/observe/observe-surroundings.js';
import { observeRaDevices, observeSysctls } from '#host/observe/observe-sysctl.js';
import type { ObservedHost } from '#host/observe/observed.js';
import type { DockerEngine } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';
import { addressBehind, hostRoute } from '#host/tools/text.js';

/** What can be read on its own. `peers`: neighbours, FDB and routes, the tables that grow with the network. */
export type Area = 'links' | 'peers' | 'strangers' | 'rules' | 'sysctls' | 'firewall' | 'cni' | 'docker' | 'files';

export const allAreas: ReadonlySet<Area> = new Set([
  'links',
  'peers',
  'strangers',
  'rules',
  'sysctls',
  'firewall',
  'cni',
  'docker',
  'files',
]);

/** What to look at: names from the input, and the tools to look with. */
export type Lookout = {
  readonly run: Runner;
  readonly docker: DockerEngine;
  readonly vtepName: string;
  readonly bridges: readonly string[];
  /** Subnets of the network's overlays. */
  readonly overlays: readonly string[];
  /** Asked of the kernel's routing. */
  readonly ways: readonly WayQuestion[];
  /** Whether IPv6 is to be forwarded: a device that depends on router advertisements matters only then. */
  readonly forwards6: boolean;
  /** Comments of iptables rules that are ours. */
  readonly marks: readonly string[];
  readonly settings: HostSettings;
};

export function lookoutOf(input: HostInput, run: Runner, docker: DockerEngine): Lookout {
  const { lease, settings } = input;
  const bridges = lease.overlays.flatMap(({ mesosBridge, dockerBridge }) =>
    [mesosBridge, dockerBridge].filter((b) => !!b),
  );
  const forwards6 = settings.enableIpv6 && bridges.some(({ cidr6 }) => cidr6 !== undefined);
  const names = bridges.map(({ name }) => name);
  const marks = [...marksOf(input.clusterId, input.formerClusterIds).all];
  const overlays = input.overlays.flatMap(({ subnet, subnet6 }) => [subnet, subnet6].flatMap((text) => text ?? []));
  const ways = waysOf(input);
  return { run, docker, vtepName: lease.vxlan.vtepName, bridges: names, overlays, ways, forwards6, marks, settings };
}

/** Peers of each overlay and family whose ways are asked for, and those of all overlays together. */
const waysMax = 2;
const waysInAllMax = 16;

function waysOf({ lease, peers, settings }: HostInput): WayQuestion[] {
  const ways = lease.overlays.flatMap(({ name, mesosBridge, dockerBridge }) => {
    const bridge = mesosBridge ?? dockerBridge;
    return (['subnet', 'subnet6'] as const).flatMap((family) => {
      const range = family === 'subnet' ? bridge?.cidr : bridge?.cidr6;
      if (bridge === undefined || range === undefined || (family === 'subnet6' && !settings.enableIpv6)) return [];
      return firstSubnets(peers, name, family).map((subnet): WayQuestion => {
        return {
          subnet: hostRoute(subnet),
          to: addressBehind(subnet),
          from: addressBehind(range),
          bridge: bridge.name,
        };
      });
    });
  });
  return ways.slice(0, waysInAllMax);
}

function firstSubnets(peers: HostInput['peers'], overlay: string, family: 'subnet' | 'subnet6'): string[] {
  const found: string[] = [];
  for (const peer of peers) {
    const subnet = peer.overlays.find(({ name }) => name === overlay)?.[family];
    if (subnet !== undefined && found.push(subnet) === waysMax) break;
  }
  return found;
}

/** `known` with the given areas read anew. */
export async function observe(lookout: Lookout, areas: ReadonlySet<Area>, known: ObservedHost): Promise<ObservedHost> {
  const { run, settings, vtepName } = lookout;
  const when = <Value>(area: Area, read: () => Promise<Value>): Promise<Value | Record<string, never>> =>
    areas.has(area) ? read() : Promise.resolve({});
  const parts = await Promise.all([
    when('links', async () => {
      const around = observeSurroundings(run, settings.masters ?? []);
      const [links, surroundings] = await Promise.all([observeLinks(run), around]);
      return { links, surroundings };
    }),
    when('peers', () => observePeers(run, vtepName)),
    when('strangers', async () => {
      const there = { vtep: vtepName, bridges: new Set(lookout.bridges.filter((name) => known.links.get(name)?.up)) };
      const asked = [observeStrangers(run, lookout.overlays), observeDetours(run, lookout.ways, there)] as const;
      const [strangers, detours] = await Promise.all(asked);
      return { strangers, detours };
    }),
    when('rules', async () => ({ rules: await observeRules(run) })),
    when('sysctls', async () => {
      const sysctls = await observeSysctls(vtepName, lookout.bridges);
      return { sysctls, raDevices: lookout.forwards6 ? await observeRaDevices(run, sysctls) : [] };
    }),
    when('firewall', () => observeFirewall(lookout, known.sets, areas.has('peers'))),
    when('cni', async () => {
      const beside = (settings.cniDirsBeside ?? []).filter((dir) => dir !== settings.cniDir);
      const read = beside.map(async (dir) => [dir, await observeCni(dir)] as const);
      const cni = await observeCni(settings.cniDir);
      const cniBeside = new Map(await Promise.all(read));
      return { cni, cniBeside, cniFirst: firstFiles(lookout, new Map([[settings.cniDir, cni], ...cniBeside]), known) };
    }),
    when('files', async () => ({ runFiles: await observeRunFiles(settings.runFiles ?? {}) })),
    when('docker', async () => ({ docker: await lookout.docker.observe() })),
  ]);
  return Object.assign({}, known, ...parts);
}

/** What was written since the last look counts too: a file that is removed before the next look keeps its place. */
function firstFiles(
  { bridges, marks, settings }: Lookout,
  folders: ReadonlyMap<string, ObservedHost['cni']>,
  known: ObservedHost,
): ObservedHost['cniFirst'] {
  const isHeld = (overlay: string | undefined) => overlay !== undefined && bridges.includes(`m-${overlay}`);
  const firstHeld = (files: ObservedHost['cni'] | undefined): string | undefined => {
    if (files?.kind !== 'read') return undefined;
    const ours = [...files.value].filter(([, { mark, network }]) => marks.includes(mark ?? '') && isHeld(network));
    return ours.sort(([a], [b]) => (a < b ? -1 : 1))[0]?.[1].network;
  };
  const first = (dir: string, files: ObservedHost['cni']): string | undefined => {
    const before = known.cniFirst.get(dir);
    if (isHeld(before)) return before;
    const knownFiles = dir === settings.cniDir ? known.cni : known.cniBeside.get(dir);
    return firstHeld(knownFiles) ?? firstHeld(files);
  };
  return new Map(
    [...folders].flatMap(([dir, files]) => {
      const overlay = first(dir, files);
      return overlay === undefined ? [] : [[dir, overlay] as const];
    }),
  );
}

async function observeFirewall(
  { run, settings, marks }: Lookout,
  known: ObservedHost['sets'],
  whole: boolean,
): Promise<Pick<ObservedHost, 'sets' | 'tables' | 'filters'>> {
  const saves = await saveTables(run, settings.iptables);
  const [sets, tables, filters] = await Promise.all([
    observeSets(run, known, whole),
    observeTables(run, settings.iptables, saves, marks),
    filterReaderOf(run).read(settings.iptables, saves),
  ]);
  return { sets, tables, filters };
}

const filterReaders = new WeakMap<Runner, FilterReader>();

/** One for each runner: a reader remembers how long nftables took, and reads them less often for it. */
function filterReaderOf(run: Runner): FilterReader {
  const reader = filterReaders.get(run) ?? new FilterReader(run);
  filterReaders.set(run, reader);
  return reader;
}
