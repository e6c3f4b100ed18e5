/**
 * A plan in a file: what of the replicated plan an operator keeps in a file, for `sublet apply`, `diff` and `export`. Its
 * `network` and `lease` have the keys that a master's configuration has, so that parts of one go into the other.
 */
import type { z } from 'zod';
import { type Cidr, formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { formatMac } from '#address/mac.js';
import { overlayNameAllowed, overlayNameForm } from '#address/overlay-name.js';
import { lease, networkKeys, overlayKeys, overlayOfSection } from '#config/files/network-config.js';
import type { ConfigProblem } from '#config/schema/config-problem.js';
import { ConfigDocument, type FileText, type Finding } from '#config/schema/document.js';
import { matching, parsedBy, type Schema, yesNo } from '#config/schema/reading.js';
import { list, section } from '#config/schema/section.js';
import { overlaysMax } from '#ipam/limits.js';
import { agentIdForm, clusterIdForm } from '#text/name-form.js';

/** What the file says; what it does not mention is not compared. */
export type PlanFile = {
  /** The cluster that it is for. */
  readonly clusterId: string | undefined;
  readonly network: {
    readonly vtepSubnet?: string;
    readonly vtepSubnet6?: string;
    readonly vtepMacOui?: string;
    readonly vtepMtu?: number;
    readonly vtepName?: string;
    readonly vni?: number;
    readonly vxlanPort?: number;
  };
  readonly lease: {
    readonly quarantineMs?: number;
    /** 0: never, as in the API. */
    readonly reclaimMs?: number;
  };
  readonly overlays: readonly PlanOverlay[] | undefined;
  readonly reservations: readonly PlanReservation[] | undefined;
  readonly exclusions: readonly PlanRange[] | undefined;
};

export type PlanOverlay = {
  readonly name: string;
  /** Canonical; empty: the overlay has no such network. */
  readonly subnet: string;
  readonly prefix: number;
  readonly subnet6: string;
  readonly prefix6: number;
  readonly state: 'enabled' | 'disabled' | 'draining';
};

/** A range of an overlay or, with an empty name, of the VTEP subnet. */
export type PlanRange = { readonly overlay: string; readonly subnet: string };
/** For an agent or, where that is empty, for the agent that registers a node address. */
export type PlanReservation = PlanRange & { readonly agent: string; readonly nodeIp?: string };

export type LoadedPlan = {
  readonly plan: PlanFile;
  /** A problem at its place in the file. */
  problem(finding: Finding): ConfigProblem;
};

/** More would not be written by hand; the masters hold as many as there are blocks. */
const rangesMax = 100_000;

const overlayName = matching({ pattern: overlayNameForm, allowed: overlayNameAllowed });
const subnet: Schema<string> = parsedBy((text) => formatCidr(parseCidr(text)), '9.0.50.0/24');
const agentId = matching(agentIdForm);
const nodeAddress: Schema<string> = parsedBy((text) => formatIp(parseIp(text)), '10.0.0.7');

const overlay = section({ ...overlayKeys, draining: yesNo.optional() }).transform(
  ({ draining = false, ...given }, context): PlanOverlay => {
    const { name, v4, v6, enabled } = overlayOfSection({ ...given, enabled: given.enabled ?? !draining }, context);
    if (draining && enabled) {
      context.addIssue({
        code: 'custom',
        path: ['draining'],
        message: 'true beside enabled true: a draining overlay is disabled',
      });
    }
    const { subnet: four, prefix: pieces, subnet6: six, prefix6: pieces6 } = given;
    if ([four, pieces, six, pieces6].every((each) => each === undefined)) {
      context.addIssue({
        code: 'custom',
        path: [],
        message: 'has no network: subnet and prefix, or subnet6 and prefix6, are needed',
      });
    }
    return {
      name,
      subnet: text(v4?.subnet),
      prefix: v4?.prefix ?? 0,
      subnet6: text(v6?.subnet),
      prefix6: v6?.prefix ?? 0,
      state: draining ? 'draining' : enabled ? 'enabled' : 'disabled',
    };
  },
);

const reservation = section({
  overlay: overlayName.optional(),
  subnet,
  agent: agentId.optional(),
  node_ip: nodeAddress.optional(),
}).transform(({ agent, node_ip: nodeIp, ...range }, context) => {
  if ((agent === undefined) === (nodeIp === undefined)) {
    const given = agent === undefined ? 'has neither agent nor node_ip' : `has agent ${agent} beside node_ip ${nodeIp}`;
    context.addIssue({ code: 'custom', path: [], message: `${given}: one of them is needed` });
  }
  return { ...range, agent: agent ?? '', ...(nodeIp !== undefined && { nodeIp }) };
});

export const planFileSchema = section({
  cluster: matching(clusterIdForm).optional(),
  network: section({ ...networkKeys, overlays: list(overlay, overlaysMax).optional() }).optional(),
  lease: lease.optional(),
  reservations: list(reservation, rangesMax).optional(),
  exclusions: list(section({ overlay: overlayName.optional(), subnet }), rangesMax).optional(),
});

/** Reads a plan. @throws ConfigError with every problem */
export function loadPlanFile(file: FileText): LoadedPlan {
  const document = new ConfigDocument({ file }, []);
  const given = document.read(planFileSchema, (read) => [
    ...twice(read, ['network', 'overlays'], 'name'),
    ...rangesTwice(read),
  ]);
  const range = <Range extends { overlay?: string | undefined }>({ overlay: name = '', ...rest }: Range) => ({
    overlay: name,
    ...rest,
  });
  const plan: PlanFile = {
    clusterId: given.cluster,
    network: networkOf(given.network),
    lease: {
      ...(given.lease?.quarantine !== undefined && { quarantineMs: given.lease.quarantine }),
      // `never` is read as undefined.
      ...(document.at('lease', 'reclaim') !== undefined && { reclaimMs: given.lease?.reclaim ?? 0 }),
    },
    overlays: given.network?.overlays,
    reservations: given.reservations?.map(range),
    exclusions: given.exclusions?.map(range),
  };
  return { plan, problem: (finding) => document.problem(finding) };
}

function networkOf(given: z.infer<typeof planFileSchema>['network']): PlanFile['network'] {
  return {
    ...(given?.vtep_subnet && { vtepSubnet: formatCidr(given.vtep_subnet) }),
    ...(given?.vtep_subnet6 && { vtepSubnet6: formatCidr(given.vtep_subnet6) }),
    ...(given?.vtep_mac_oui !== undefined && { vtepMacOui: formatMac(given.vtep_mac_oui) }),
    ...(given?.vtep_mtu !== undefined && { vtepMtu: given.vtep_mtu }),
    ...(given?.vtep_name !== undefined && { vtepName: given.vtep_name }),
    ...(given?.vni !== undefined && { vni: given.vni }),
    ...(given?.vxlan_port !== undefined && { vxlanPort: given.vxlan_port }),
  };
}

function text(network: Cidr | undefined): string {
  return network === undefined ? '' : formatCidr(network);
}

/** Elements of a list that are there before, by one of their keys. */
function twice(document: ConfigDocument, path: readonly string[], key: string): Finding[] {
  const all = document.at(...path);
  if (!Array.isArray(all)) return [];
  const seen = new Map<unknown, number>();
  return all.flatMap((_, at) => {
    const value = document.at(...path, at, key);
    const first = seen.get(value);
    if (first === undefined) seen.set(value, at);
    if (first === undefined || value === undefined) return [];
    return [
      { path: [...path, at, key], message: `${JSON.stringify(value)} is that of ${path.join('.')}[${first}], too` },
    ];
  });
}

/** A range is reserved for one agent or excluded, once. */
function rangesTwice(document: ConfigDocument): Finding[] {
  const seen = new Map<string, string>();
  return ['reservations', 'exclusions'].flatMap((key) => {
    const all = document.at(key);
    if (!Array.isArray(all)) return [];
    return all.flatMap((_, at): Finding[] => {
      const range = subnet.safeParse(document.at(key, at, 'subnet'));
      if (!range.success) return [];
      const name = `${String(document.at(key, at, 'overlay') ?? '')} ${range.data}`;
      const first = seen.get(name);
      if (first === undefined) seen.set(name, `${key}[${at}]`);
      return first === undefined
        ? []
        : [{ path: [key, at, 'subnet'], message: `${range.data} is that of ${first}, too` }];
    });
  });
}
