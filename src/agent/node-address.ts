/**
 * This host's address on the underlay, when none is configured: the source address of the route to the masters. It is
 * looked for once, and kept as long as it is on a device that is up: routes and names change more often than the address
 * by which all others reach this host.
 */

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIPv6 } from 'node:net';
import { unreachableUse } from '#address/host-address.js';
import { parseIp } from '#address/ip.js';
import type { AgentLog } from '#agent/agent-log.js';
import { errorText } from '#errors/unknown-error.js';
import { type HostAddress, hostAddresses } from '#host/observe/host-addresses.js';
import { processRunner } from '#host/tools/runner.js';
import type { Clock } from '#replica/ports/clock.js';

/** A master, as far as routes are concerned. */
export type Destination = { readonly host: string; readonly port: number };

/** What an address is chosen from: the names, routes and devices of this host. */
export type AddressView = {
  /** All addresses of a name, the preferred one first. */
  resolve(host: string): Promise<readonly string[]>;
  /** The source address that the kernel would choose. Nothing is sent. */
  sourceTowards(address: string, port: number): Promise<string>;
  hostAddresses(): Promise<readonly HostAddress[]>;
};

/** No address of this host is good. */
export class NoNodeAddressError extends Error {
  override readonly name = 'NoNodeAddressError';
}

/** An address that has gone for a moment (DHCP that starts anew, a device made anew) is waited for as long, in ms. */
export const addressAwayMs = 15_000;
/** Addresses for documentation, behind the default route of each family: the source towards them is the host's main address. */
const anywhere = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;

export type NodeAddressOptions = {
  readonly masters: readonly Destination[];
  readonly clock: Pick<Clock, 'now'>;
  readonly log: AgentLog;
  readonly view?: AddressView;
};

type Choice = { readonly address: string; readonly why: string };

export class NodeAddress {
  readonly #masters: readonly Destination[];
  readonly #clock: Pick<Clock, 'now'>;
  readonly #log: AgentLog;
  readonly #view: AddressView;
  /** When the address in use was last seen on a device that is up; undefined: not in this process. */
  #seen: { readonly address: string; readonly atMs: number } | undefined;
  #logged = '';

  constructor({ masters, clock, log, view = systemView }: NodeAddressOptions) {
    this.#masters = masters;
    this.#clock = clock;
    this.#log = log;
    this.#view = view;
  }

  /**
   * The address to register. `inUse` is the one that the lease has; it is kept while it is there.
   * @throws NoNodeAddressError with what is wrong at each master
   */
  async find(inUse: string | undefined): Promise<string> {
    const addresses = await this.#view.hostAddresses();
    const now = this.#clock.now();
    if (inUse !== undefined && this.#keeps(inUse, addresses, now)) return inUse;
    const { address, why } = await this.#choose(addresses);
    if (inUse === undefined || address === inUse) return address;
    const change = `${inUse} → ${address}`;
    if (change !== this.#logged) {
      this.#log.warn(
        { from: inUse, to: address, why: `${inUse} ${whyNot(inUse, addresses)}; ${why}` },
        'node_ip changes',
      );
    }
    this.#logged = change;
    return address;
  }

  #keeps(inUse: string, addresses: readonly HostAddress[], now: number): boolean {
    const isNew = this.#seen?.address !== inUse;
    const found = addresses.find(({ address, up }) => up && address === inUse);
    // One that this process did not see before may have been chosen by rules of an earlier version.
    if (found !== undefined && (!isNew || whyUnfit(found) === undefined)) {
      this.#seen = { address: inUse, atMs: now };
      this.#logged = '';
      return true;
    }
    return !isNew && now - (this.#seen?.atMs ?? 0) < addressAwayMs;
  }

  async #choose(addresses: readonly HostAddress[]): Promise<Choice> {
    const problems: string[] = [];
    const own: { readonly master: string; readonly address: string }[] = [];
    for (const { host, port } of this.#masters) {
      const resolved = await this.#view.resolve(host).catch((error: unknown) => {
        problems.push(`${host}: ${errorText(error)}`);
        return [];
      });
      for (const to of resolved) {
        const master = host === to ? host : `${host} (${to})`;
        const found = await this.#towards(master, to, port, addresses);
        if (found.kind === 'found') return found.choice;
        if (found.kind === 'own') own.push({ master, address: to });
        else problems.push(`${master}: ${found.problem}`);
      }
    }
    for (const { master, address } of own) {
      const choice = await this.#beside(master, address, addresses);
      if (choice !== undefined) return choice;
      problems.push(`${master}: that is an address of this host which it may share with others`);
    }
    const tried = problems.length === 0 ? 'no name of a master has an address' : [...new Set(problems)].join('; ');
    throw new NoNodeAddressError(
      `this host has no address that the others reach (${tried}): give one with node_ip (--node-ip)`,
    );
  }

  async #towards(master: string, to: string, port: number, addresses: readonly HostAddress[]): Promise<Towards> {
    const use = useOf(to);
    if (use !== undefined) return { kind: 'no', problem: `it is ${use}, which shows no address of this host` };
    let source: string;
    try {
      source = await this.#view.sourceTowards(to, port);
    } catch (error) {
      return { kind: 'no', problem: errorText(error) };
    }
    if (source === to) return { kind: 'own' };
    const sourceUse = useOf(source);
    if (sourceUse !== undefined) return { kind: 'no', problem: `the route to it leaves from ${source}, ${sourceUse}` };
    const why = `it is the source of the route to master ${master}`;
    const found = addresses.find(({ address }) => address === source);
    if (found?.temporary !== true) return { kind: 'found', choice: { address: source, why } };
    const lasting = addresses.find((other) => isBeside(other, found) && !other.secondary);
    if (lasting === undefined) {
      return {
        kind: 'no',
        problem: `the route to it leaves from ${source}, a temporary address, and there is no lasting one`,
      };
    }
    return { kind: 'found', choice: { address: lasting.address, why: `${why}, less the temporary ${source}` } };
  }

  /** For a master on this host: that address, unless it looks like one that moves between the masters (a VIP). */
  async #beside(master: string, address: string, addresses: readonly HostAddress[]): Promise<Choice | undefined> {
    const found = addresses.find((one) => one.address === address && one.up);
    if (found === undefined) return undefined;
    const isWhole = found.prefix === (isIPv6(address) ? 128 : 32);
    const why = `it is the address of master ${master}, on this host`;
    if (!isWhole && whyUnfit(found) === undefined && !found.secondary) return { address, why };
    const main = addresses.find((other) => isBeside(other, found) && !other.secondary && other.address !== address);
    if (main !== undefined) return { address: main.address, why: `it is beside ${address} of master ${master}` };
    // A /32 may be all that a host of a cloud has, and then it is what the default route leaves from.
    const source = await this.#view.sourceTowards(anywhere[isIPv6(address) ? 6 : 4], 9).catch(() => undefined);
    const away = addresses.find((one) => one.address === source && one.up);
    if (away === undefined || whyUnfit(away) !== undefined) return undefined;
    return { address: away.address, why: 'it is the source of the default route' };
  }
}

type Towards =
  | { readonly kind: 'found'; readonly choice: Choice }
  /** The master's address is one of this host. */
  | { readonly kind: 'own' }
  | { readonly kind: 'no'; readonly problem: string };

/** On the same device and of the same family, and good for others. */
function isBeside(other: HostAddress, found: HostAddress): boolean {
  const sameFamily = isIPv6(other.address) === isIPv6(found.address);
  return other.up && other.device === found.device && sameFamily && whyUnfit(other) === undefined;
}

function whyUnfit({ address, temporary }: HostAddress): string | undefined {
  return temporary ? 'a temporary address' : useOf(address);
}

/** Why the address in use is given up. */
function whyNot(inUse: string, addresses: readonly HostAddress[]): string {
  const found = addresses.find(({ address }) => address === inUse);
  if (found === undefined) return 'is on no device of this host';
  if (!found.up) return `is on ${found.device}, which is down`;
  return `is ${whyUnfit(found) ?? 'not fit'}`;
}

/** What an address is, when others can't reach a host by it. */
function useOf(address: string): string | undefined {
  return address.includes('%') ? 'a link-local address' : unreachableUse(parseIp(address));
}

const systemView: AddressView = {
  async resolve(host) {
    const found = await lookup(host, { all: true, order: 'verbatim' });
    return found.map(({ address }) => address);
  },
  sourceTowards(address, port) {
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    return new Promise<string>((resolve, reject) => {
      socket.once('error', reject);
      // A connected UDP socket makes the kernel choose the source.
      socket.connect(port, address, (error?: Error) => {
        if (error === undefined) resolve(socket.address().address);
        else reject(error);
      });
    }).finally(() => socket.close());
  },
  hostAddresses: () => hostAddresses(processRunner),
};
