/** What this host reaches beside the overlays, which no overlay may take from it: its way out, its name servers, its masters. */
import { lookup } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { AddressError } from '#address/brand.js';
import { formatIp, parseIp } from '#address/ip.js';
import { ask } from '#host/observe/observe-kernel.js';
import type { Surroundings } from '#host/observe/observed.js';
import type { Runner } from '#host/tools/runner.js';

const hopShape = z.object({
  gateway: z.string().optional(),
  via: z.object({ host: z.string() }).optional(),
  dev: z.string().optional(),
});
const routeShape = hopShape.extend({ nexthops: z.array(hopShape).optional() });

/** The addresses behind names, as they were looked up last: a name server that is slow holds nothing up. */
class Addresses {
  readonly #known = new Map<string, readonly string[]>();
  readonly #inFlight = new Set<string>();

  /** `hosts`: names and addresses. */
  of(hosts: readonly string[]): readonly string[] {
    return hosts.flatMap((host) => {
      const address = canonical(host);
      if (address !== undefined) return [address];
      this.#lookUp(host);
      return this.#known.get(host) ?? [];
    });
  }

  #lookUp(host: string): void {
    if (this.#inFlight.has(host)) return;
    this.#inFlight.add(host);
    lookup(host, { all: true })
      .then((found) =>
        this.#known.set(
          host,
          found.flatMap(({ address }) => canonical(address) ?? []),
        ),
      )
      // The last answer stands.
      .catch(() => undefined)
      .finally(() => this.#inFlight.delete(host));
  }
}

const addresses = new Addresses();

export async function observeSurroundings(run: Runner, masters: readonly string[]): Promise<Surroundings> {
  const [v4, v6, resolvers] = await Promise.all([
    ask(run, 'ip', ['-N', '-j', '-4', 'route', 'show', 'default'], routeShape),
    ask(run, 'ip', ['-N', '-j', '-6', 'route', 'show', 'default'], routeShape),
    readResolvers('/etc/resolv.conf'),
  ]);
  const hops = [...v4, ...v6].flatMap(({ nexthops = [], ...first }) => [first, ...nexthops]);
  return {
    gateways: hops.flatMap(({ gateway, via }) => canonical(gateway ?? via?.host ?? '') ?? []),
    defaultDevices: hops.flatMap(({ dev }) => dev ?? []),
    resolvers,
    masters: addresses.of(masters),
  };
}

/** Name servers, by resolv.conf(5). A file that can't be read names none. */
async function readResolvers(path: string): Promise<readonly string[]> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return [...text.matchAll(/^nameserver[ \t]+(\S+)/gm)].flatMap(([, address = '']) => canonical(address) ?? []);
}

/** Undefined for what is no address; a zone (`fe80::1%eth0`) is left off. */
function canonical(text: string): string | undefined {
  try {
    return formatIp(parseIp(text.replace(/%.*$/, '')));
  } catch (error) {
    if (error instanceof AddressError) return undefined;
    throw error;
  }
}
