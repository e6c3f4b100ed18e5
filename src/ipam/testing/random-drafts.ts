/**
 * Random overlays, and random commands to try on them. A draft becomes a command only when it is its turn, so that it can
 * speak of leases, pieces and exclusions that there are by then.
 */

import fc from 'fast-check';
import { type Cidr4, networkOf4, parseCidr4, parseInterface4, subnetAt4, subnetCount4 } from '#address/cidr4.js';
import { type Cidr6, networkOf6, parseCidr6, parseInterface6, subnetAt6, subnetCount6 } from '#address/cidr6.js';
import { parseIp } from '#address/ip.js';
import { parseIpv4 } from '#address/ipv4.js';
import type { Action, Exclude, HeldLease, Register } from '#ipam/commands/command.js';
import { parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import { prefix6Max, prefixMax } from '#ipam/limits.js';
import type { Overlay, Space4, Space6 } from '#ipam/network.js';
import {
  parseHostname,
  parseNetworkConfig,
  parseNodeIp,
  parseSequence,
  parseStatusError,
} from '#ipam/registration-fields.js';
import { everything, overlay, type PlanUnderTest } from '#ipam/testing/plan-under-test.js';

export const quarantineMs = 900_000;

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
const agentId = fc.constantFrom(...ids).map(parseAgentId);
const nodeAddress = fc.constantFrom(
  ...['10.99.0.1', '10.99.0.2', '10.99.0.3', '10.99.0.4', '10.99.0.5', '9.0.0.1', '2001:db8::1'],
);

/** How a subnet is cut: any prefix at all, or pieces so few that seven agents use them up. */
function cut(least: number, most: number): fc.Arbitrary<{ readonly from: number; readonly to: number }> {
  const subnet = fc.integer({ min: least, max: most - 1 });
  const any = subnet.chain((from) =>
    fc.record({ from: fc.constant(from), to: fc.integer({ min: from + 1, max: most }) }),
  );
  const few = fc
    .record({ from: subnet, bits: fc.integer({ min: 1, max: 3 }) })
    .map(({ from, bits }) => ({ from, to: Math.min(most, from + bits) }));
  return fc.oneof(any, few);
}

/** An IPv4 space within a /8: /8 … /27 cut into pieces down to /28, the usual /8 cut to /24 more often than others. */
function space4(network: string): fc.Arbitrary<Space4> {
  const usual = fc.constant({ from: 8, to: 24 });
  const place = fc.constantFrom('0.0.0', '0.16.32', '77.129.240', '255.255.255');
  return fc
    .record({ cut: fc.oneof({ weight: 4, arbitrary: cut(8, prefixMax) }, { weight: 1, arbitrary: usual }), place })
    .map(({ cut: { from, to }, place: rest }) => ({
      subnet: networkOf4(parseInterface4(`${network}.${rest}/${from}`)),
      prefix: to,
    }));
}

/** An IPv6 space: /8 … /125 cut into pieces down to /126, the usual /64 cut to /80 more often than others. */
const space6: fc.Arbitrary<Space6> = fc
  .record({
    cut: fc.oneof(
      { weight: 4, arbitrary: cut(8, prefix6Max) },
      { weight: 1, arbitrary: fc.constant({ from: 64, to: 80 }) },
    ),
    place: fc.constantFrom('fc00::', 'fc00:b::8:0', 'fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'),
  })
  .map(({ cut: { from, to }, place }) => ({ subnet: networkOf6(parseInterface6(`${place}/${from}`)), prefix: to }));

/** An overlay of one family each, one of both, or two of both. */
export const draftOverlays: fc.Arbitrary<readonly Overlay[]> = fc
  .record({ one: space4('9'), two: space6, three: space4('11'), kind: fc.constantFrom(0, 1, 2) })
  .map(({ one, two, three, kind }): readonly Overlay[] => {
    const base = { name: 'x', v4: one, v6: undefined, enabled: true };
    if (kind === 0) return [base, { name: 'y', v4: undefined, v6: two, enabled: true }];
    const both = { ...base, v6: two };
    return kind === 1 ? [both] : [both, { name: 'y', v4: three, v6: undefined, enabled: true }];
  });

type Draft = (plan: PlanUnderTest) => Action;

export const draftRegister: fc.Arbitrary<Draft> = fc
  .record({
    agentId,
    instance: fc.constantFrom('1', '2', '3'),
    sequence: fc.nat({ max: 4 }),
    node: nodeAddress,
    allocateSubnet: fc.boolean(),
    enableIpv6: fc.boolean(),
    split: fc.boolean(),
    takeover: fc.boolean(),
    silent: fc.boolean(),
    staleJudgement: fc.boolean(),
    run: fc.constantFrom(undefined, 'r1', 'r2'),
    held: fc.option(fc.record({ vtep: fc.nat({ max: 16 }), block: fc.nat({ max: 5 }) }), { nil: undefined }),
  })
  .map((draft) => (plan) => {
    const request: Register = {
      kind: 'register',
      agentId: draft.agentId,
      instanceId: parseInstanceId(draft.instance),
      runId: draft.run === undefined ? undefined : parseRunId(draft.run),
      sequence: parseSequence(draft.sequence),
      nodeIp: parseNodeIp(parseIp(draft.node)),
      hostname: parseHostname(draft.agentId),
      networkConfig: parseNetworkConfig({
        ...everything,
        allocateSubnet: draft.allocateSubnet,
        enableIpv6: draft.enableIpv6,
        ...(draft.split ? {} : { split: false, dockerBridge: false }),
      }),
      takeover: draft.takeover,
      held: draft.held && heldLease(plan, draft.held.vtep, draft.held.block),
      heldUnconfirmed: false,
      holders: [],
    };
    const holders = plan.ipam.holdersConcerned(request).map(({ agentId: id }) => {
      const judgement = plan.judge(id, draft.silent, 40);
      return { ...judgement, epoch: judgement.epoch - (draft.staleJudgement ? 1 : 0) };
    });
    return { ...request, holders };
  });

function heldLease(plan: PlanUnderTest, vtep: number, block: number): HeldLease {
  const subnets = (plan.ipam.network?.overlays ?? []).map(({ name, v4, v6 }) => ({
    overlay: name,
    subnet: v4 && piece4(v4, v4.prefix, block),
    subnet6: v6 && piece6(v6, v6.prefix, block),
  }));
  return { vtepIp: parseIpv4(`44.128.0.${vtep}`), subnets };
}

/** One of the first six networks of this prefix in the space, where the agents are. */
function piece4({ subnet }: Space4, prefix: number, n: number): Cidr4 {
  return subnetAt4(subnet, prefix, n % Math.min(6, subnetCount4(subnet, prefix)));
}

function piece6({ subnet }: Space6, prefix: number, n: number): Cidr6 {
  const count = subnetCount6(subnet, prefix);
  return subnetAt6(subnet, prefix, BigInt(n) % (count < 6n ? count : 6n));
}

/** Names a part of an overlay or of the VTEP subnet; `width`: one block, two, four, or (3) half of the overlay or all of the VTEP subnet. */
function part(plan: PlanUnderTest, n: number, width: number): Exclude {
  const all = plan.ipam.network?.overlays ?? [];
  const chosen = all[n % Math.max(1, all.length)];
  if (n % 5 === 0 || chosen === undefined) {
    const subnet = plan.ipam.network?.vtepSubnet ?? parseCidr4('44.128.0.0/28');
    const prefix = width === 3 ? subnet.prefix : 32 - width;
    return { kind: 'exclude', overlay: undefined, subnet: piece4({ subnet, prefix: 32 }, prefix, Math.floor(n / 5)) };
  }
  const { name, v4, v6 } = chosen;
  const length = ({ subnet, prefix }: Space4 | Space6) =>
    width === 3 ? subnet.prefix + 1 : Math.max(subnet.prefix, prefix - width);
  const at = Math.floor(n / 2);
  if (v4 !== undefined && (v6 === undefined || n % 4 < 2)) {
    return { kind: 'exclude', overlay: name, subnet: piece4(v4, length(v4), at) };
  }
  return { kind: 'exclude', overlay: name, subnet: v6 ? piece6(v6, length(v6), at) : parseCidr6('fc00::/126') };
}

/** A block that is quarantined after one agent had it; if there is none near, any block. */
function restingPart(plan: PlanUnderTest, n: number): Exclude {
  for (let at = n; at < n + 50; at++) {
    const found = part(plan, at, 0);
    const now = plan.ipam.lookup(found.subnet.address, plan.time);
    if ('state' in now && now.state === 'quarantined') return found;
  }
  return part(plan, n, 0);
}

/** Makes an overlay twice as large. */
function grow(plan: PlanUnderTest, name: string, family: 4 | 6): Action {
  const { v4, v6 } = plan.ipam.overlay(name) ?? {};
  if (family === 4) {
    const subnet = v4 && networkOf4({ address: v4.subnet.address, prefix: v4.subnet.prefix - 1 });
    return { kind: 'update-overlay', name, subnet };
  }
  const subnet6 = v6 && networkOf6({ address: v6.subnet.address, prefix: v6.subnet.prefix - 1 });
  return { kind: 'update-overlay', name, subnet6 };
}

/** The epoch of the agent's lease, or one before. */
function epochOf(plan: PlanUnderTest, id: string, stale: boolean): number {
  return Math.max(0, (plan.ipam.lease(parseAgentId(id))?.epoch ?? 1) - (stale ? 1 : 0));
}

const stale = fc.integer({ min: 0, max: 4 }).map((n) => n === 0);

const departure: fc.Arbitrary<Draft> = fc.oneof(
  fc.record({ kind: fc.constantFrom('leave' as const, 'expire' as const), id: agentId, stale }).map(
    (draft): Draft =>
      (plan) => ({ kind: draft.kind, agentId: draft.id, epoch: epochOf(plan, draft.id, draft.stale) }),
  ),
  fc.uniqueArray(agentId, { minLength: 1, maxLength: 3 }).map(
    (agentIds): Draft =>
      () => ({ kind: 'release', agentIds, force: true, holders: [] }),
  ),
);

const settingAside: fc.Arbitrary<Draft> = fc.oneof(
  fc.tuple(nodeAddress, fc.nat(50)).map(
    ([node, n]): Draft =>
      (plan) => ({ ...part(plan, n, 0), kind: 'reserve', nodeIp: parseNodeIp(parseIp(node)) }),
  ),
  fc.tuple(agentId, fc.nat(50), fc.nat(9)).map(
    ([id, n, width]): Draft =>
      (plan) => ({ ...part(plan, n, width === 9 ? 1 : 0), kind: 'reserve', agentId: id }),
  ),
  fc.tuple(agentId, fc.nat(50)).map(
    ([id, n]): Draft =>
      (plan) => ({ ...restingPart(plan, n), kind: 'reserve', agentId: id }),
  ),
  fc.nat(50).map(
    (n): Draft =>
      (plan) => ({ ...(plan.ipam.reservations()[n % 5] ?? part(plan, n, 0)), kind: 'unreserve' }),
  ),
  fc.tuple(fc.nat(50), fc.nat(3)).map(
    ([n, width]): Draft =>
      (plan) =>
        part(plan, n, width),
  ),
  fc.nat(9).map(
    (n): Draft =>
      (plan) => {
        const all = plan.ipam.exclusions();
        return { ...(all[n % Math.max(1, all.length)] ?? part(plan, n, 0)), kind: 'unexclude' };
      },
  ),
);

const change: fc.Arbitrary<Draft> = fc.oneof(
  fc.tuple(fc.constantFrom('x', 'y'), fc.constantFrom(4 as const, 6 as const)).map(
    ([name, family]): Draft =>
      (plan) =>
        grow(plan, name, family),
  ),
  fc.record({ id: agentId, status: fc.constantFrom('ok' as const, 'failed' as const), stale }).map(
    (draft): Draft =>
      (plan) => ({
        kind: 'report-status',
        agentId: draft.id,
        epoch: epochOf(plan, draft.id, draft.stale),
        overlays: [{ overlay: 'x', status: draft.status, error: parseStatusError('why') }],
      }),
  ),
  fc.record({ id: agentId, successor: agentId, stale }).map(
    ({ id, successor, stale: late }): Draft =>
      (plan) => ({
        kind: 'replace-agent',
        agentId: id,
        successor,
        off: false,
        holders: [{ agentId: id, epoch: epochOf(plan, id, late), silent: true, lastHeard: undefined }],
      }),
  ),
  fc.record({ id: agentId, names: fc.subarray(['x', 'y', 'z'], { minLength: 1 }), stale }).map(
    (draft): Draft =>
      (plan) => ({
        kind: 'return-overlays',
        agentId: draft.id,
        epoch: epochOf(plan, draft.id, draft.stale),
        overlays: draft.names,
      }),
  ),
  fc
    .constantFrom<Action>(
      { kind: 'drain-overlay', name: 'x' },
      { kind: 'drain-overlay', name: 'y' },
      { kind: 'update-overlay', name: 'x', enabled: false },
      { kind: 'update-overlay', name: 'x', enabled: true },
      { kind: 'update-network', vtepSubnet: parseCidr4('44.128.0.0/27') },
      { kind: 'update-network', quarantineMs: quarantineMs + 1 },
      { kind: 'remove-overlay', name: 'y' },
      { kind: 'add-overlay', overlay: overlay('y', '10.0.0.0/24', 26), source: 'operator' },
      { kind: 'add-overlay', overlay: overlay('z', '10.1.0.0/24', 28), source: 'config' },
      { kind: 'exclude', overlay: undefined, subnet: parseCidr4('44.128.0.0/28') },
      { kind: 'begin-adoption' },
      { kind: 'end-adoption', missing: 99 },
      { kind: 'end-adoption', missing: 99 },
      { kind: 'record-membership', change: { kind: 'remove', master: { name: 'm3', peer: '10.0.0.3:7071' } } },
      { kind: 'record-membership', change: { kind: 'add', master: { name: '', peer: '10.0.0.3:7071' } } },
    )
    .map(
      (action): Draft =>
        () =>
          action,
    ),
);

export type DraftStep = { readonly draft: Draft; readonly wait: number; readonly restore: boolean };

export const draftStep: fc.Arbitrary<DraftStep> = fc.record({
  draft: fc.oneof(
    { weight: 6, arbitrary: draftRegister },
    { weight: 2, arbitrary: departure },
    { weight: 2, arbitrary: settingAside },
    { weight: 1, arbitrary: change },
  ),
  // Mostly less than a quarantine, so that changes of a quarantined block come up.
  wait: fc.constantFrom(0, 0, 0, 0, 1, 60_000, quarantineMs - 1, quarantineMs),
  restore: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
