/** The addresses of this host, for the choice of its address on the underlay. */
import { networkInterfaces } from 'node:os';
import { z } from 'zod';
import { ask } from '#host/observe/observe-kernel.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';

export type HostAddress = {
  /** Canonical text. */
  readonly address: string;
  readonly prefix: number;
  readonly device: string;
  /** Whether the device is set up; it may have no carrier. */
  readonly up: boolean;
  /** Of IPv6 privacy extensions: replaced by another one after some hours. */
  readonly temporary: boolean;
  /** A further address in a subnet that the device has an address of, or one that is no longer for new connections. */
  readonly secondary: boolean;
};

const shape = z.object({
  ifname: z.string().optional(),
  flags: z.array(z.string()).optional(),
  addr_info: z.array(
    z.object({
      family: z.string().optional(),
      local: z.string().optional(),
      prefixlen: z.number().optional(),
      temporary: z.boolean().optional(),
      secondary: z.boolean().optional(),
      deprecated: z.boolean().optional(),
    }),
  ),
});

/** All addresses, in the kernel's order: the first one of a device and a subnet is the one that it sends from. */
export async function hostAddresses(run: Runner): Promise<readonly HostAddress[]> {
  try {
    const devices = await ask(run, 'ip', ['-N', '-j', 'address', 'show'], shape);
    return devices.flatMap(({ ifname: device, flags, addr_info }) =>
      addr_info.flatMap(({ family, local: address, prefixlen: prefix, temporary, secondary, deprecated }) => {
        if (device === undefined || address === undefined || prefix === undefined) return [];
        // The kernel has one flag for both: of IPv6 it says that the address is temporary.
        const isTemporary = temporary === true || (family === 'inet6' && secondary === true);
        const isSecondary = secondary === true || deprecated === true;
        const up = flags?.includes('UP') ?? false;
        return [{ address, prefix, device, up, temporary: isTemporary, secondary: isSecondary }];
      }),
    );
  } catch (error) {
    if (error instanceof ToolMissingError) return addressesOfNode();
    throw error;
  }
}

/** What Node knows without iproute2: devices that are up and have a carrier. */
function addressesOfNode(): HostAddress[] {
  return Object.entries(networkInterfaces()).flatMap(([device, all]) =>
    (all ?? []).map(({ address, cidr }) => {
      const prefix = Number(cidr?.split('/')[1] ?? 0);
      return { address, prefix, device, up: true, temporary: false, secondary: false };
    }),
  );
}
