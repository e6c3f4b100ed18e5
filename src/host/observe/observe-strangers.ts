/**
 * Reads the routes that others have put where ours are: inside the overlays in the main table, and in the source table.
 * Those of others are few among ours, which can be 100,000, and are picked by a look at the line.
 */
import { AddressError } from '#address/brand.js';
import { type Cidr, overlapsCidr, parseCidr } from '#address/ip.js';
import { routeProtocol, sourceTable } from '#host/desired/marks.js';
import { eachEntry } from '#host/observe/observe-kernel.js';
import type { StrangerRoute } from '#host/observe/observed.js';
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
