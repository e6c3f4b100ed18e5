/**
 * Reads the routes that others have put where ours are: inside the overlays in the main table, and in the source table.
 * Those of others are few among ours, which can be 100,000, and are picked by a look at the line. What rules and tables of
 * others make of a packet is asked of the kernel, for a few peers.
 */
import { AddressError } from '#address/brand.js';
import { type Cidr, overlapsCidr, parseCidr } from '#address/ip.js';
import { routeProtocol, sourceTable } from '#host/desired/marks.js';
import { eachEntry } from '#host/observe/observe-kernel.js';
import type { Detour, StrangerRoute } from '#host/observe/observed.js';
import type { Runner } from '#host/tools/runner.js';
import { isIpv6Text } from '#host/tools/text.js';

/** Kept of one table; more than one is enough to fail an overlay. */
const strangersMax = 256;

export async function observeStrangers(run: Runner, overlays: readonly string[]): Promise<readonly StrangerRoute[]> {
  const ranges = overlays.map(parseCidr);
  const found: StrangerRoute[] = [];
  await Promise.all(
    (['main', 'source'] as const).flatMap((table) =>
      (['-4', '-6'] as const).map((family) => {
        const number = table === 'main' ? 'main' : String(sourceTable);
        const isOurs = (line: string) => line.includes(` proto ${routeProtocol}`);
        return eachEntry(run, 'ip', ['-N', family, 'route', 'show', 'table', number], isOurs, (words) => {
          const route = strangerOf(words, family, table);
          if (route === undefined || found.length >= strangersMax) return;
          const concerns = table === 'source' || ranges.some((range) => overlapsCidr(range, route.destination));
          if (concerns) found.push(route);
        });
      }),
    ),
  );
  return found;
}

/** RTN_THROW, as `-N` prints it: the next table is asked, so it takes nothing away. */
const throwType = '9';

/** `9.0.0.0/25 dev eth5 proto 4 scope 253`, `default via 10.0.0.1 dev eth0`, `6 9.0.0.0/25` for a blackhole. */
function strangerOf(
  words: readonly string[],
  family: '-4' | '-6',
  table: StrangerRoute['table'],
): StrangerRoute | undefined {
  const [first = '', second = ''] = words;
  const isTyped = /^\d+$/.test(first);
  if (isTyped && first === throwType) return undefined;
  // The way out of the host takes nothing away from the overlays: their routes are more specific.
  const text = isTyped ? second : first;
  if (text === 'default' && table === 'main') return undefined;
  const destination = destinationOf(text, family);
  if (destination === undefined) return undefined;
  const device = words[words.indexOf('dev') + 1];
  return { destination, device: words.includes('dev') ? (device ?? '') : '', table, line: words.join(' ') };
}

function destinationOf(text: string, family: '-4' | '-6'): Cidr | undefined {
  const everything = family === '-4' ? '0.0.0.0/0' : '::/0';
  const whole = text.includes('/') ? text : `${text}/${isIpv6Text(text) ? 128 : 32}`;
  try {
    return parseCidr(text === 'default' ? everything : whole);
  } catch (error) {
    if (error instanceof AddressError) return undefined; // Nothing that leads to an address of an overlay.
    throw error;
  }
}

/** A packet of a container to one of a peer. */
export type WayQuestion = {
  /** The peer's subnet. */
  readonly subnet: string;
  readonly to: string;
  readonly from: string;
  /** That containers are on, when it is there. */
  readonly bridge: string;
};

/** The ways that lead elsewhere than to the tunnel. `bridges`: those that are there. */
export async function observeDetours(
  run: Runner,
  questions: readonly WayQuestion[],
  { vtep, bridges }: { readonly vtep: string; readonly bridges: ReadonlySet<string> },
): Promise<readonly Detour[]> {
  const found = await Promise.all(
    questions.map(async ({ subnet, to, from, bridge }): Promise<Detour[]> => {
      const forwarded = bridges.has(bridge) ? await wayTo(run, to, ['from', from, 'iif', bridge]) : undefined;
      // A host that does not forward yet has no answer for a container's packet, but for its own.
      const way = forwarded?.kind === 'way' ? forwarded : await wayTo(run, to, []);
      return way.kind === 'way' && way.device === vtep ? [] : [{ subnet, line: way.line }];
    }),
  );
  return found.flat();
}

type Way =
  | { readonly kind: 'way'; readonly device: string; readonly line: string }
  /** The kernel sends it nowhere. */
  | { readonly kind: 'none'; readonly line: string };

async function wayTo(run: Runner, to: string, more: readonly string[]): Promise<Way> {
  const family = isIpv6Text(to) ? '-6' : '-4';
  const { code, stdout, stderr } = await run.run('ip', ['-N', family, 'route', 'get', to, ...more]);
  const line = stdout.trim().split('\n')[0]?.trim().replace(/\s+/g, ' ') ?? '';
  const device = / dev (\S+)/.exec(line)?.[1];
  if (code === 0 && device !== undefined) return { kind: 'way', device, line };
  return { kind: 'none', line: stderr.trim().split('\n')[0] || line };
}
