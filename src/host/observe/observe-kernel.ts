/**
 * Reads links, addresses and rules by iproute2's JSON, and the peers' entries, which can be 100,000, by its lines: those
 * cost a tenth of the memory. `-N` asks for numbers and not a site's own names for them.
 */
import { z } from 'zod';
import { routeProtocol, sourceTable } from '#host/desired/marks.js';
import type { ObservedHost, ObservedLink } from '#host/observe/observed.js';
import type { Runner } from '#host/tools/runner.js';

/** A tool that answered with an error where an answer was needed. */
export class ObserveError extends Error {}

const linkShape = z.object({
  ifname: z.string(),
  ifindex: z.number().optional(),
  flags: z.array(z.string()),
  mtu: z.number(),
  address: z.string().optional(),
  ifalias: z.string().optional(),
  master: z.string().optional(),
  inet6_addr_gen_mode: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      // Of what each kind of device has here, only that of a VXLAN is read.
      info_data: z.unknown().optional(),
    })
    .optional(),
});
const vxlanShape = z.object({
  id: z.number().optional(),
  port: z.number().optional(),
  local: z.string().optional(),
  local6: z.string().optional(),
  learning: z.boolean().optional(),
});
type Link = z.infer<typeof linkShape>;

const addressShape = z.object({
  ifname: z.string().optional(),
  addr_info: z.array(
    z.object({ local: z.string().optional(), prefixlen: z.number().optional(), scope: z.string().optional() }),
  ),
});

export async function observeLinks(run: Runner): Promise<ObservedHost['links']> {
  const [links, addresses] = await Promise.all([
    ask(run, 'ip', ['-N', '-j', '-d', 'link', 'show'], linkShape),
    ask(run, 'ip', ['-N', '-j', 'address', 'show'], addressShape),
  ]);
  const addressesOf = new Map(addresses.map(({ ifname, addr_info }) => [ifname, addr_info]));
  return new Map(
    links.map((link) => {
      const global = (addressesOf.get(link.ifname) ?? []).filter(
        ({ local, scope }) => local !== undefined && scope !== linkScope,
      );
      return [
        link.ifname,
        linkOf(
          link,
          global.map(({ local, prefixlen }) => `${local}/${prefixlen}`),
        ),
      ];
    }),
  );
}
/** RT_SCOPE_LINK, as `-N` prints it. */
const linkScope = '253';

function linkOf(link: Link, addresses: readonly string[]): ObservedLink {
  const kind = link.flags.includes('LOOPBACK') ? 'loopback' : (link.linkinfo?.info_kind ?? 'physical');
  const data = kind === 'vxlan' ? vxlanShape.safeParse(link.linkinfo?.info_data).data : undefined;
  const local = data?.local ?? data?.local6;
  return {
    name: link.ifname,
    ...(link.ifindex === undefined ? {} : { index: link.ifindex }),
    kind,
    mac: link.address ?? '',
    mtu: link.mtu,
    up: link.flags.includes('UP'),
    addresses,
    ...(link.ifalias === undefined ? {} : { alias: link.ifalias }),
    ...(link.master === undefined ? {} : { master: link.master }),
    ...(link.inet6_addr_gen_mode === undefined ? {} : { addressGeneration: link.inet6_addr_gen_mode }),
    ...(data === undefined
      ? {}
      : {
          vxlan: {
            vni: data.id ?? 0,
            port: data.port ?? 0,
            learning: data.learning ?? true,
            ...(local === undefined ? {} : { local }),
          },
        }),
  };
}

/** The peers' entries; all empty when the device is not there. */
export async function observePeers(
  run: Runner,
  device: string,
): Promise<Pick<ObservedHost, 'neighbours' | 'fdb' | 'routes' | 'sourceRoutes'>> {
  const proto = String(routeProtocol);
  const neighbours = new Map<string, string>();
  const fdb = new Map<string, string>();
  const routes = new Map<string, string>();
  const sourceRoutes = new Map<string, string>();
  const route = (words: readonly string[]) => takeRoute(words, device, routes, sourceRoutes);
  await Promise.all([
    eachEntry(run, 'ip', ['-N', 'neigh', 'show', 'dev', device, 'nud', 'permanent'], none, (words) =>
      takeNeighbour(words, neighbours),
    ),
    eachEntry(run, 'bridge', ['fdb', 'show', 'dev', device], none, (words) => takeFdb(words, fdb)),
    eachEntry(run, 'ip', ['-N', '-4', 'route', 'show', 'table', 'all', 'proto', proto], none, route),
    eachEntry(run, 'ip', ['-N', '-6', 'route', 'show', 'table', 'all', 'proto', proto], none, route),
  ]);
  return { neighbours, fdb, routes, sourceRoutes };
}

const none = (): boolean => false;

/** `44.128.0.2 lladdr 70:b3:d5:80:00:02 PERMANENT proto 205`. */
function takeNeighbour(words: readonly string[], into: Map<string, string>): void {
  if (wordAfter(words, 'proto') === String(routeProtocol)) into.set(words[0] ?? '', wordAfter(words, 'lladdr') ?? '');
}

/** `70:b3:d5:80:00:02 dst 10.0.0.2 self permanent`. */
function takeFdb(words: readonly string[], into: Map<string, string>): void {
  const mac = words[0] ?? '';
  const dst = wordAfter(words, 'dst');
  const other = into.get(mac);
  if (dst !== undefined) into.set(mac, other === undefined ? dst : `${other} ${dst}`);
}

/** `9.0.1.0/24 via 44.128.0.2 dev vtep1024 proto 205 scope 7`, and `… table 42 …` for a source route. */
function takeRoute(
  words: readonly string[],
  device: string,
  routes: Map<string, string>,
  sourceRoutes: Map<string, string>,
): void {
  if (wordAfter(words, 'dev') !== device) return;
  const isSource = wordAfter(words, 'table') === String(sourceTable);
  (isSource ? sourceRoutes : routes).set(words[0] ?? '', wordAfter(words, 'via') ?? '');
}

function wordAfter(words: readonly string[], word: string): string | undefined {
  const at = words.indexOf(word);
  return at < 0 ? undefined : words[at + 1];
}

const ruleShape = z.object({
  src: z.string(),
  srclen: z.number().optional(),
  table: z.string().optional(),
  protocol: z.string().optional(),
});

/** Our rules by source, counted: two agents starting at once could add one twice. */
export async function observeRules(run: Runner): Promise<ObservedHost['rules']> {
  const both = await Promise.all(
    ['-4', '-6'].map((family) => ask(run, 'ip', ['-N', '-j', family, 'rule', 'show'], ruleShape)),
  );
  const rules = new Map<string, number>();
  for (const { src, srclen, table, protocol } of both.flat()) {
    if (protocol !== String(routeProtocol) || table !== String(sourceTable)) continue;
    const source = `${src}/${srclen ?? (src.includes(':') ? 128 : 32)}`;
    rules.set(source, (rules.get(source) ?? 0) + 1);
  }
  return rules;
}

/** Gives the words of each line that the command prints, but of those that are left out. */
export async function eachEntry(
  run: Runner,
  command: string,
  args: readonly string[],
  isLeftOut: (line: string) => boolean,
  take: (words: readonly string[]) => void,
): Promise<void> {
  const onLine = (line: string) => {
    if (isLeftOut(line)) return;
    const words = line.trim().split(/\s+/);
    if (words[0] !== '') take(words);
  };
  const { code, stderr } = await run.run(command, args, { onLine });
  if (code !== 0 && !isNothingThere(stderr)) throw new ObserveError(failure(command, args, stderr, code));
}

/** A device or table that does not exist has no entries, and neither has a family that the kernel has not. */
function isNothingThere(stderr: string): boolean {
  return /Cannot find device|does not exist|No such device|Device .* not found|Address family not supported/i.test(
    stderr,
  );
}

export async function ask<Shape extends z.ZodType>(
  run: Runner,
  command: string,
  args: readonly string[],
  shape: Shape,
): Promise<z.infer<Shape>[]> {
  const { code, stdout, stderr } = await run.run(command, args);
  if (code !== 0 && isNothingThere(stderr)) return [];
  if (code !== 0) throw new ObserveError(failure(command, args, stderr, code));
  return z.array(shape).parse(stdout.trim() === '' ? [] : JSON.parse(stdout));
}

function failure(command: string, args: readonly string[], stderr: string, code: number | null): string {
  return `"${command} ${args.join(' ')}" failed: ${stderr.trim() || `exit code ${code}`}`;
}
