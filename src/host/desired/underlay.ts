/** The interface that carries the node's address. */
import type { ObservedHost } from '#host/observe/observed.js';
import { addressOf } from '#host/tools/text.js';

/** What the host itself knows: the interface that has the node's address. */
export type Underlay = {
  readonly device: string;
  /** The kernel's number of it, which stays when it is renamed. */
  readonly index?: number;
  readonly mtu: number;
  /** For an address on loopback: the devices that its packets leave by. */
  readonly carriers?: readonly string[];
};

/**
 * One that is up comes before one that is down: while a device is replaced, two may have the address. An address on
 * loopback is reached by the devices of the default routes, so their MTU is what counts.
 */
export function underlayOf(
  { links, surroundings }: Pick<ObservedHost, 'links'> & Partial<Pick<ObservedHost, 'surroundings'>>,
  nodeIp: string,
): Underlay | undefined {
  const all = [...links.values()].filter(({ addresses }) => addresses.some((cidr) => addressOf(cidr) === nodeIp));
  const link = all.find(({ up }) => up) ?? all[0];
  if (link === undefined) return undefined;
  const { name, mtu, index } = link;
  const device = { device: name, ...(index === undefined ? {} : { index }) };
  if (link.kind !== 'loopback') return { ...device, mtu };
  const carriers = [...new Set(surroundings?.defaultDevices)].flatMap((carrier) => links.get(carrier) ?? []);
  const least = carriers.length === 0 ? ethernetMtu : Math.min(...carriers.map((carrier) => carrier.mtu));
  return { ...device, mtu: least, carriers: carriers.map((carrier) => carrier.name) };
}

/** Taken for an address on loopback, where no device is known that leads out. */
const ethernetMtu = 1500;
