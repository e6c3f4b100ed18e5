/**
 * The addresses that host-local keeps for containers that are gone. It keeps one file for each address, on a disk that
 * outlives a boot, and only the container engine gives it back: after a crash or a boot the files stay, until no
 * address is left.
 *
 * A container is on a veth pair, one end of which is in this network namespace, on the bridge. So where there is
 * neither the bridge nor an end that is on no bridge, all reservations are of containers that are gone. Where there is
 * one of them, those are gone whose address is in no namespace, if all namespaces can be seen; and with a bridge, that
 * were made before this boot, since a container that is just being made has no address yet.
 *
 * They are removed under the lock of host-local, and the bridge is looked at again there: the plugin makes it before it
 * reserves an address.
 */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { contains4, parseCidr4 } from '#address/cidr4.js';
import { contains6, parseCidr6 } from '#address/cidr6.js';
import { readIpv4 } from '#address/ipv4.js';
import { readIpv6 } from '#address/ipv6.js';
import { errorCode } from '#errors/unknown-error.js';
import type { HostInput } from '#host/input.js';
import { ask } from '#host/observe/observe-kernel.js';
import type { Runner } from '#host/tools/runner.js';

/** Where host-local keeps its files by default. */
export const defaultCniDataDir = '/var/lib/cni/networks';

export type AddressReservation = {
  /** The file. */
  readonly path: string;
  readonly address: string;
  /** Tells this file from one that is made anew under its name: inode and time in s. */
  readonly stamp: string;
  readonly madeMs: number;
};

/** What is known of this host when the reservations of a network are judged. */
export type ReservationView = {
  readonly reservations: readonly AddressReservation[];
  /** Whether the bridge of the network is there. */
  readonly bridge: boolean;
  /** Whether there are ends of veth pairs on no bridge, as those of containers whose bridge was deleted. */
  readonly cutOff: boolean;
  /** When the host was booted, by the wall clock, as the times of files are. */
  readonly bootMs: number;
};

/** `all`: whether the namespaces of all processes could be seen. */
export type AddressesInUse = { readonly addresses: ReadonlySet<string>; readonly all: boolean };

/** The reservations whose containers are gone. `look` is asked only where it matters. */
export async function staleReservations(
  { reservations, bridge, cutOff, bootMs }: ReservationView,
  look: () => Promise<AddressesInUse>,
): Promise<readonly AddressReservation[]> {
  if (!bridge && !cutOff) return reservations;
  const candidates = reservations.filter(({ madeMs }) => !bridge || madeMs < bootMs);
  if (candidates.length === 0) return [];
  const { addresses, all } = await look();
  return all ? candidates.filter(({ address }) => !addresses.has(address)) : [];
}

/** One network of host-local with an address range of this host. */
export type ReservedNetwork = {
  readonly overlay: string;
  readonly folder: string;
  readonly bridge: string;
  readonly ranges: readonly string[];
};

/** Of overlays with an `m-` bridge. */
export function reservedNetworks(
  overlays: HostInput['lease']['overlays'],
  cniDataDir: string = defaultCniDataDir,
): readonly ReservedNetwork[] {
  return overlays.flatMap(({ name, mesosBridge }): ReservedNetwork[] => {
    if (mesosBridge === undefined) return [];
    const folder = join(cniDataDir, name);
    const ranges = [mesosBridge.cidr, mesosBridge.cidr6].filter((range) => range !== undefined);
    return [{ overlay: name, folder, bridge: mesosBridge.name, ranges }];
  });
}

export type FreedAddresses = { readonly overlay: string; readonly addresses: number };

/** Files that one process removes at most. */
const filesAtOnceMax = 500;

/**
 * Frees what is stale in the networks of this host; gives how much of each.
 * @throws Error when the host can't be looked at, or a file can't be removed
 */
export async function freeReservations(input: HostInput, run: Runner): Promise<readonly FreedAddresses[]> {
  const all: FreedAddresses[] = [];
  for (const network of reservedNetworks(input.lease.overlays, input.settings.cniDataDir)) {
    // Listed before the bridge is looked at: what is reserved after that is not judged.
    const reservations = addressReservations(network);
    if (reservations.length === 0) continue;
    const devices = await observeDevices(run);
    const bridge = devices.some(({ name }) => name === network.bridge);
    const stale = await staleReservations(
      {
        reservations,
        bridge,
        cutOff: devices.some(({ isCutOff }) => isCutOff),
        bootMs: bootTimeMs(readFileSync('/proc/stat', 'utf8')),
      },
      () => addressesInUse(run),
    );
    for (let at = 0; at < stale.length; at += filesAtOnceMax) {
      const addresses = await remove(network, bridge, stale.slice(at, at + filesAtOnceMax), run);
      if (addresses > 0) all.push({ overlay: network.overlay, addresses });
    }
  }
  return all;
}

/** A container that is being made has no address for moments; the longest that an engine takes for it. */
const makingMs = 600_000;

export type DeadReservation = AddressReservation & {
  /** Container and interface, as host-local has noted them; empty: nothing. */
  readonly owner: string;
};

/**
 * The reservations of one network that no container has: made 10 minutes ago or longer, and in no network namespace.
 * `nowMs` is of the wall clock, as the times of files are. Undefined: not all namespaces can be seen, so that nothing
 * can be said.
 * @throws Error when the host can't be looked at
 */
export async function deadReservations(
  network: ReservedNetwork,
  nowMs: number,
  run: Runner,
): Promise<readonly DeadReservation[] | undefined> {
  const dead = await unusedReservations(addressReservations(network), nowMs, () => addressesInUse(run));
  return dead?.map((one) => ({ ...one, owner: ownerIn(one.path) }));
}

/** Those that are old enough and in no namespace; undefined: not all namespaces can be seen. */
export async function unusedReservations(
  reservations: readonly AddressReservation[],
  nowMs: number,
  look: () => Promise<AddressesInUse>,
): Promise<readonly AddressReservation[] | undefined> {
  const old = reservations.filter(({ madeMs }) => madeMs < nowMs - makingMs);
  if (old.length === 0) return [];
  const { addresses, all } = await look();
  return all ? old.filter(({ address }) => !addresses.has(address)) : undefined;
}

function ownerIn(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim().split(/\s+/).join(' ');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/**
 * Frees these, as far as they are still the same files; gives how many.
 * @throws Error when a file can't be removed
 */
export async function freeDead(
  network: ReservedNetwork,
  dead: readonly AddressReservation[],
  run: Runner,
): Promise<number> {
  let freed = 0;
  for (let at = 0; at < dead.length; at += filesAtOnceMax) {
    freed += await remove(network, true, dead.slice(at, at + filesAtOnceMax), run);
  }
  return freed;
}

/** Its files of addresses of its ranges. */
export function addressReservations({ folder, ranges }: ReservedNetwork): readonly AddressReservation[] {
  return namesIn(folder).flatMap((address): AddressReservation[] => {
    if (!ranges.some((range) => inRange(range, address))) return [];
    const path = join(folder, address);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return [];
    return [{ path, address, stamp: `${stat.ino}.${Math.floor(stat.mtimeMs / 1000)}`, madeMs: stat.mtimeMs }];
  });
}

export function inRange(range: string, text: string): boolean {
  if (range.includes(':')) {
    const address = readIpv6(text);
    return address !== undefined && contains6(parseCidr6(range), address);
  }
  const address = readIpv4(text);
  return address !== undefined && contains4(parseCidr4(range), address);
}

/** Empty where there is no such folder. */
export function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

const deviceShape = z.object({
  ifname: z.string(),
  master: z.string().optional(),
  linkinfo: z.object({ info_kind: z.string().optional() }).optional(),
});
const addressShape = z.object({
  ifname: z.string().optional(),
  addr_info: z.array(z.object({ local: z.string().optional(), scope: z.string().optional() })),
});
/** RT_SCOPE_LINK, as `-N` prints it. */
const linkScope = '253';

async function observeDevices(run: Runner): Promise<readonly { readonly name: string; readonly isCutOff: boolean }[]> {
  const [links, addresses] = await Promise.all([
    ask(run, 'ip', ['-N', '-j', '-d', 'link', 'show'], deviceShape),
    ask(run, 'ip', ['-N', '-j', 'address', 'show'], addressShape),
  ]);
  const withAddress = new Set(
    addresses.flatMap(({ ifname, addr_info }) => (addr_info.some(({ scope }) => scope !== linkScope) ? [ifname] : [])),
  );
  return links.map(({ ifname: name, master, linkinfo }) => ({
    name,
    isCutOff: linkinfo?.info_kind === 'veth' && master === undefined && !withAddress.has(name),
  }));
}

/** Folders in which namespaces have names, whether or not a process is in them. */
const namedFolders = ['/run/netns', '/run/docker/netns'];

async function addressesInUse(run: Runner): Promise<AddressesInUse> {
  const inUse = new Set<string>();
  const { paths, all } = namespaces();
  for (const path of paths) {
    const { code, stdout, stderr } = await run.run('nsenter', [`--net=${path}`, 'ip', '-N', '-j', 'address', 'show']);
    if (code !== 0) {
      // It ended while it was looked for.
      if (statSync(path, { throwIfNoEntry: false }) === undefined) continue;
      throw new Error(`the addresses in ${path} can't be read: ${stderr.trim()}`);
    }
    const devices = z.array(addressShape).parse(stdout.trim() === '' ? [] : JSON.parse(stdout));
    for (const { addr_info } of devices) for (const { local } of addr_info) if (local !== undefined) inUse.add(local);
  }
  return { addresses: inUse, all };
}

/** The kernel's number of the first process namespace: PROC_PID_INIT_INO. */
const firstPidNamespace = 'pid:[4026531836]';

/** A path to each network namespace but this one. */
function namespaces(): { readonly paths: readonly string[]; readonly all: boolean } {
  const found = new Map<number, string>();
  let all = readlinkSync('/proc/self/ns/pid') === firstPidNamespace;
  const take = (path: string): void => {
    try {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && !found.has(stat.ino)) found.set(stat.ino, path);
    } catch (error) {
      if (!isGone(error)) all = false;
    }
  };
  for (const folder of namedFolders) for (const name of namesIn(folder)) take(join(folder, name));
  for (const name of readdirSync('/proc')) if (/^[0-9]+$/.test(name)) take(`/proc/${name}/ns/net`);
  found.delete(statSync('/proc/self/ns/net').ino);
  return { paths: [...found.values()], all };
}

/** ms of the wall clock, from `/proc/stat`. */
export function bootTimeMs(stat: string): number {
  return Number(/^btime ([0-9]+)$/m.exec(stat)?.[1] ?? 0) * 1000;
}

/** Its exit code tells an error of a tool; what it prints, how many files it has removed. */
const removeScript = `
bridge=$1; shift
if [ -n "$bridge" ]; then
  links=$(ip -o link show) || exit 1
  case "$links" in *": $bridge:"*|*": $bridge@"*) echo 0; exit 0;; esac
fi
removed=0
while [ $# -ge 2 ]; do
  if [ "$(stat -c %i.%Y -- "$2" 2>/dev/null)" = "$1" ]; then rm -f -- "$2" || exit 1; removed=$((removed+1)); fi
  shift 2
done
echo $removed`;
const lockWaitS = '5';

async function remove(
  { folder, bridge }: ReservedNetwork,
  isBridgeThere: boolean,
  reservations: readonly AddressReservation[],
  run: Runner,
): Promise<number> {
  const files = reservations.flatMap(({ stamp, path }) => [stamp, path]);
  const script = ['sh', '-c', removeScript, 'sh', isBridgeThere ? '' : bridge, ...files];
  const { code, stdout, stderr } = await run.run('flock', ['-w', lockWaitS, join(folder, 'lock'), ...script]);
  if (code !== 0) throw new Error(`files in ${folder} can't be removed: ${stderr.trim() || 'the folder is locked'}`);
  return Number(stdout.trim());
}

function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESRCH'].includes(errorCode(error));
}
