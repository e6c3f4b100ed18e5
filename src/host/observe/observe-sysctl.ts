/** Reads the kernel settings that we care for, from /proc/sys of this network namespace. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Runner } from '#host/tools/runner.js';
import { disableIpv6Path, forwardPath, reversePathFilter } from '#host/tools/sysctl-path.js';

const root = '/proc/sys';

/**
 * The forwarding switches, the reverse path filters of the VTEP and the bridges, and whether they may have IPv6; what
 * does not exist is left out.
 */
export async function observeSysctls(
  vtepName: string,
  bridges: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const paths = [
    ...[forwardPath[4], forwardPath[6], disableIpv6Path('default')],
    ...[vtepName, ...bridges].flatMap((device) => [reversePathFilter(device), disableIpv6Path(device)]),
  ];
  const values = await Promise.all(paths.map(async (path) => [path, await read(path)] as const));
  return new Map(values.flatMap(([path, value]) => (value === undefined ? [] : [[path, value]])));
}

async function read(path: string): Promise<string | undefined> {
  try {
    return (await readFile(join(root, path), 'utf8')).trim();
  } catch {
    return undefined; // The device, or the whole family, is not there; that is what the caller wants to know.
  }
}

/** RTPROT_RA, as `-N` prints it. */
const routerAdvertisement = '9';

/**
 * Devices that got a route by router advertisement and would stop listening once the host forwards (`accept_ra` 1).
 * On a host that forwards already there is nothing to save.
 */
export async function observeRaDevices(run: Runner, sysctls: ReadonlyMap<string, string>): Promise<string[]> {
  if (sysctls.get(forwardPath[6]) !== '0') return [];
  const { code, stdout } = await run.run('ip', ['-N', '-6', 'route', 'show', 'proto', routerAdvertisement]);
  if (code !== 0) return [];
  const devices = new Set([...stdout.matchAll(/ dev (\S+)/g)].map((match) => match[1] ?? ''));
  const accepts = await Promise.all([...devices].map((device) => read(`net/ipv6/conf/${device}/accept_ra`)));
  return [...devices].filter((_, index) => accepts[index] === '1');
}
