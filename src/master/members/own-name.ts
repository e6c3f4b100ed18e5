/**
 * Whether the name that a master listens at means this machine to the others. Many systems list the machine's own name
 * with 127.0.1.1 in /etc/hosts: a master that listens there is unreachable for all others, and sees nothing wrong
 * itself.
 */
import { isIP } from 'node:net';
import { isLoopback } from '#address/host-address.js';
import { hostOf } from '#address/host-and-port.js';
import type { Clock } from '#replica/ports/clock.js';

export type OwnNameCheck = {
  /** HOST:PORT each. */
  readonly peerListen: string;
  /** Where the other masters are, as configured. */
  readonly others: readonly string[];
  readonly lookup: (host: string) => Promise<readonly string[]>;
  readonly clock: Clock;
};

/** `elsewhere`: some other master is on another machine. `unknown`: the names of the others are not known yet. */
export type OwnNameProblem = { readonly kind: 'elsewhere' | 'unknown'; readonly message: string };

/** How long the name of another master may take, in ms: the start does not wait for a name server that is away. */
const lookupMs = 2_000;

export async function ownNameProblem(check: OwnNameCheck): Promise<OwnNameProblem | undefined> {
  const { peerListen, others } = check;
  const host = hostOf(peerListen);
  if (others.length === 0 || isAddress(host) || isLoopback(host)) return undefined;
  const own = await addressesOf(host, check);
  if (own === undefined || !own.every(isLoopback)) return undefined;
  const found = await Promise.all(others.map((peer) => placeOf(peer, check)));
  const elsewhere = found.find(({ place }) => place === 'elsewhere');
  const unknown = found.find(({ place }) => place === 'unknown');
  const other = elsewhere ?? unknown;
  if (other === undefined) return undefined;
  const port = peerListen.slice(peerListen.lastIndexOf(':'));
  const message =
    `peer_listen: ${host} is ${own.join(', ')} on this machine, where no other machine reaches it, and the other masters are configured ` +
    `to reach it by that name (${other.text}): ${remedyWords('peer_listen', port)}`;
  return { kind: elsewhere === undefined ? 'unknown' : 'elsewhere', message };
}

/** What is wrong with a name to serve clients at, in words; undefined: nothing that is known. */
export async function clientNameProblem(
  setting: string,
  listen: string,
  check: Pick<OwnNameCheck, 'lookup' | 'clock'>,
): Promise<string | undefined> {
  const host = hostOf(listen);
  if (isAddress(host) || isLoopback(host)) return undefined;
  const own = await addressesOf(host, check);
  if (own === undefined || !own.every(isLoopback)) return undefined;
  const port = listen.slice(listen.lastIndexOf(':'));
  const remedy = remedyWords(setting, port);
  return `${setting}: ${host} is ${own.join(', ')} on this machine, where no other machine reaches it: ${remedy}`;
}

function remedyWords(setting: string, port: string): string {
  const flag = `--${setting.replace('_', '-')}`;
  return `correct /etc/hosts, or set ${setting} (${flag}) to an address of this machine, or to 0.0.0.0${port}`;
}

type Place = { readonly place: 'here' | 'elsewhere' | 'unknown'; readonly text: string };

async function placeOf(peer: string, check: OwnNameCheck): Promise<Place> {
  const host = hostOf(peer);
  if (isLoopback(host)) return { place: 'here', text: peer };
  if (isAddress(host)) return { place: 'elsewhere', text: `another one is at ${peer}` };
  const addresses = await addressesOf(host, check);
  if (addresses === undefined) return { place: 'unknown', text: `${host} is not known on this machine` };
  if (addresses.every(isLoopback)) return { place: 'here', text: peer };
  return { place: 'elsewhere', text: `${host} is ${addresses.join(', ')}` };
}

/** Undefined: not known, or not in time. */
function addressesOf(
  host: string,
  { lookup, clock }: Pick<OwnNameCheck, 'lookup' | 'clock'>,
): Promise<readonly string[] | undefined> {
  return new Promise((resolve) => {
    const cancel = clock.after(lookupMs, () => resolve(undefined));
    const done = (addresses: readonly string[] | undefined): void => {
      cancel();
      resolve(addresses === undefined || addresses.length === 0 ? undefined : addresses);
    };
    lookup(host).then(done, () => done(undefined));
  });
}

function isAddress(host: string): boolean {
  return isIP(host.replace(/^\[|\]$/g, '')) !== 0;
}
