/**
 * The network of another system, as it is imported: its overlays, and what each host has of them. `where` is the place in
 * the source that messages name.
 */
import { z } from 'zod';
import { type Cidr, formatCidr, formatIp, type Ip } from '#address/ip.js';
import { exitCodes, Failure } from '#cli/failure.js';
import type { PlanFile, PlanRange } from '#config/files/plan-file.js';
import { formatPath, showValue } from '#config/schema/config-problem.js';
import type { Overlay } from '#ipam/network.js';

export type OldNetwork = {
  /** `DC/OS`, `flannel` */
  readonly system: string;
  readonly settings: PlanFile['network'];
  readonly overlays: readonly OldOverlay[];
  readonly exclusions: readonly PlanRange[];
  readonly hosts: readonly OldHost[];
  /** Its tunnel device, as far as it is known. */
  readonly tunnel: { readonly name?: string; readonly vni: number; readonly port?: number } | undefined;
};

export type OldOverlay = { readonly where: string; readonly overlay: Overlay };

export type OldHost = { readonly where: string; readonly nodeIp: Ip; readonly blocks: readonly OldBlock[] };

/** A block of an overlay or, with an empty name, an address of the VTEP subnet as a /32. */
export type OldBlock = { readonly where: string; readonly overlay: string; readonly subnet: Cidr };

/** What was read, and what is wrong in it; without a network the problems are all that there is. */
export type Reading = { readonly network: OldNetwork | undefined; readonly problems: readonly string[] };

/** An object of JSON, of which only these keys are looked at. */
export function anObject<Shape extends z.core.$ZodLooseShape>(shape: Shape) {
  const keys = Object.keys(shape).join(', ');
  return z.object(shape, {
    error: ({ input }) =>
      input === undefined
        ? `is missing: { … } with ${keys} is expected`
        : `${showValue(input)} is not an object: { … } with ${keys} is expected`,
  });
}

/** A list of JSON; one that is missing is empty. */
export function aList<Element extends z.ZodType>(element: Element) {
  return z.array(element, { error: ({ input }) => `${showValue(input)} is not a list: [ … ] is expected` }).default([]);
}

/** @throws Failure for text that is no JSON */
export function parsedJson(name: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw new Failure(exitCodes.usage, `${name} is no JSON: ${error.message}`);
    throw error;
  }
}

/** `agents[0].ip: "x" is …`, one for each issue. */
export function problemsOf(error: z.ZodError, prefix = ''): readonly string[] {
  return error.issues.map(({ path, message }) => {
    const place = formatPath(path.map((step) => (typeof step === 'number' ? step : String(step))));
    return `${[prefix, place].filter((part) => part !== '').join(': ')}: ${message}`;
  });
}

/** `9.0.1.0/24 of dcos`, `VTEP address 44.128.0.2` */
export function blockWords({ overlay, subnet }: Pick<OldBlock, 'overlay' | 'subnet'>): string {
  return overlay === '' ? `VTEP address ${formatIp(subnet.address)}` : `${formatCidr(subnet)} of ${overlay}`;
}
