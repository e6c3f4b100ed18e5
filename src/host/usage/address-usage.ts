/**
 * How full this host's ranges are: the addresses that host-local has given out, one file each, and the containers on
 * Docker's networks. Cheap: folders are listed, and Docker's answer is the last one.
 */
import { inRange, namesIn, reservedNetworks } from '#host/apply/reservations.js';
import type { HostInput } from '#host/input.js';
import type { ObservedDocker } from '#host/observe/observed.js';
import { prefixOf } from '#host/tools/text.js';

export type AddressUsage = {
  readonly overlay: string;
  readonly bridge: string;
  readonly family: 4 | 6;
  readonly range: string;
  /** Addresses that the range has for containers; absent for IPv6, where they do not run out. */
  readonly size?: number;
  readonly used: number;
};

/** Without ranges whose reservations or containers can't be read. A folder that is not there has no reservations. */
export function addressUsage(input: HostInput, docker: ObservedDocker): readonly AddressUsage[] {
  return [...reservedBy(input), ...onDocker(input, docker)].sort((a, b) => (a.bridge < b.bridge ? -1 : 1));
}

function reservedBy(input: HostInput): readonly AddressUsage[] {
  return reservedNetworks(input.lease.overlays, input.settings.cniDataDir).flatMap(
    ({ overlay, bridge, folder, ranges }) => {
      const names = readable(folder);
      if (names === undefined) return [];
      return ranges.map((range) => usage(overlay, bridge, range, names.filter((name) => inRange(range, name)).length));
    },
  );
}

/** Undefined: it can't be read, so that nothing is known of it. */
function readable(folder: string): readonly string[] | undefined {
  try {
    return namesIn(folder);
  } catch {
    return undefined;
  }
}

/** A running container has one address of each family of the network. */
function onDocker({ lease }: HostInput, docker: ObservedDocker): readonly AddressUsage[] {
  if (docker.kind !== 'read') return [];
  return lease.overlays.flatMap(({ name, dockerBridge }) => {
    const network = docker.networks.get(name);
    if (dockerBridge === undefined || network === undefined) return [];
    const ranges = [dockerBridge.cidr, dockerBridge.cidr6].filter((range) => range !== undefined);
    return ranges
      .filter((range) => network.subnets.includes(range))
      .map((range) => usage(name, dockerBridge.name, range, network.containers.length));
  });
}

function usage(overlay: string, bridge: string, range: string, used: number): AddressUsage {
  if (range.includes(':')) return { overlay, bridge, family: 6, range, used };
  return { overlay, bridge, family: 4, range, size: containerAddresses(range), used };
}

/** Less the network's, the gateway's and the broadcast address. */
export function containerAddresses(range: string): number {
  return 2 ** (32 - prefixOf(range)) - 3;
}
