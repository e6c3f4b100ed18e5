/**
 * What the packet filters of a host do with a packet. Pure. Each test of a rule holds, does not hold or is unknown, and
 * only a drop that no unknown accept comes before is certain; an unknown drop counts as none, so that no alarm is false.
 */

import { assertNever } from '#errors/invariant.js';
import { guardChain } from '#host/desired/marks.js';
import { covers } from '#host/filter/address-range.js';
import type {
  BaseChain,
  Condition,
  ConditionTest,
  FilterChain,
  FilterRule,
  FilterTable,
  Hook,
  Packet,
} from '#host/filter/filter-table.js';

export type PacketFate =
  | { readonly kind: 'passes' }
  /** `certain` is false when a rule that can not be judged may accept the packet before. */
  | { readonly kind: 'dropped'; readonly by: DropPlace; readonly certain: boolean };

export type DropPlace = {
  readonly table: FilterTable;
  /** The chain that the kernel calls. */
  readonly base: FilterChain;
  readonly chain: FilterChain;
  /** Absent: the policy of the base chain. */
  readonly rule?: FilterRule;
};

/** Chains that jump into each other, at most; the kernel's own bound is 16. */
const depthMax = 16;
/** Rules looked at for one packet in one base chain; a host with more is not judged. */
const rulesMax = 20_000;

/** Follows the packet through these hooks, in the order given. A certain drop is preferred to one that may be. */
export function fateOf(tables: readonly FilterTable[], packet: Packet, hooks: readonly Hook[]): PacketFate {
  let fate: PacketFate = { kind: 'passes' };
  for (const hook of hooks) {
    for (const { table, base } of baseChains(tables, packet, hook)) {
      const next = fateIn(table, base, packet);
      if (next.kind === 'dropped' && next.certain) return next;
      if (fate.kind === 'passes') fate = next;
    }
  }
  return fate;
}

function baseChains(tables: readonly FilterTable[], packet: Packet, hook: Hook) {
  const families = ['inet', 'netdev', packet.family === 4 ? 'ip' : 'ip6'];
  return tables
    .filter((table) => families.includes(table.family))
    .flatMap((table) =>
      [...table.chains.values()].flatMap((base) =>
        base.base?.hook === hook && isOfDevice(base.base, packet) ? [{ table, base, order: base.base.priority }] : [],
      ),
    )
    .toSorted((a, b) => a.order - b.order);
}

/** A device that is not known by its name is none of those of a hook. */
function isOfDevice({ hook, devices }: BaseChain, packet: Packet): boolean {
  const device = hook === 'egress' ? packet.out : packet.in;
  return devices === undefined || devices.some((name) => deviceIs(device, name) === true);
}

type Walk = { readonly packet: Packet; readonly table: FilterTable; certain: boolean; looked: number };
/** `end`: neither accepted nor dropped in the chain. */
type WalkEnd = 'accepted' | 'end' | 'unknown' | { readonly chain: FilterChain; readonly rule: FilterRule };

function fateIn(table: FilterTable, base: FilterChain, packet: Packet): PacketFate {
  const walk: Walk = { packet, table, certain: true, looked: 0 };
  const end = walkChain(walk, base, 0);
  if (typeof end === 'object') return { kind: 'dropped', by: { table, base, ...end }, certain: walk.certain };
  if (end !== 'end' || base.base?.policy !== 'drop') return { kind: 'passes' };
  return { kind: 'dropped', by: { table, base, chain: base }, certain: walk.certain };
}

function walkChain(walk: Walk, chain: FilterChain, depth: number): WalkEnd {
  if (depth > depthMax) return 'unknown';
  for (const rule of chain.rules) {
    walk.looked += 1;
    if (walk.looked > rulesMax) return 'unknown';
    const holds = allHold(rule.when, walk.packet);
    if (holds === false) continue;
    const end = holds === undefined ? mayEnd(walk, rule) : endOf(walk, chain, rule, depth);
    if (end !== undefined) return end;
  }
  return 'end';
}

/** Of a rule that may hold: what could save the packet makes whatever follows uncertain. */
function mayEnd(walk: Walk, { verdict }: FilterRule): undefined {
  if (verdict.kind !== 'drop' && verdict.kind !== 'continue') walk.certain = false;
  return undefined;
}

/** Undefined: the packet goes on in this chain. */
function endOf(walk: Walk, chain: FilterChain, rule: FilterRule, depth: number): WalkEnd | undefined {
  const { verdict } = rule;
  switch (verdict.kind) {
    case 'accept':
      return 'accepted';
    case 'drop':
      return { chain, rule };
    case 'return':
      return 'end';
    case 'continue':
      return undefined;
    case 'unknown':
      walk.certain = false;
      return undefined;
    case 'jump':
    case 'goto': {
      // Ours, with the peers' addresses in a set that is not read here: it takes nothing of what is judged.
      if (verdict.chain === guardChain) return undefined;
      const target = walk.table.chains.get(verdict.chain);
      const end = target === undefined ? 'end' : walkChain(walk, target, depth + 1);
      return end === 'end' && verdict.kind === 'jump' ? undefined : end;
    }
    default:
      return assertNever(verdict);
  }
}

/** Undefined: it may. */
function allHold(conditions: readonly Condition[], packet: Packet): boolean | undefined {
  let all: boolean | undefined = true;
  for (const condition of conditions) {
    const holds = testHolds(condition, packet);
    if (holds === condition.negated) return false;
    if (holds === undefined) all = undefined;
  }
  return all;
}

function testHolds(test: ConditionTest, packet: Packet): boolean | undefined {
  switch (test.kind) {
    case 'device':
      return any(test.names.map((name) => deviceIs(packet[test.side], name)));
    case 'address': {
      const address = packet[test.side];
      // Not known: any address of the packet's family may be meant.
      if (address === undefined) return test.ranges.some(({ family }) => family === packet.family) ? undefined : false;
      return any(test.ranges.map((range) => covers(range, address)));
    }
    case 'protocol':
      return test.names.includes(packet.protocol) || test.names.includes('all');
    case 'port':
      return test.side === 'source' ? sourcePortHolds(test.ranges) : portHolds(packet.port, test.ranges);
    case 'state':
      return test.states.includes('new') ? true : test.states.includes('untracked') ? undefined : false;
    case 'family':
      return test.family === packet.family;
    case 'destination-type':
      return test.types.includes(packet.out === undefined ? 'local' : 'unicast');
    case 'one-of':
      return any(test.cases.map((one) => allHold(one, packet)));
    case 'constant':
      return test.holds;
    case 'unknown':
      return undefined;
    default:
      return assertNever(test);
  }
}

function any(answers: readonly (boolean | undefined)[]): boolean | undefined {
  if (answers.includes(true)) return true;
  return answers.includes(undefined) ? undefined : false;
}

function deviceIs(device: string | undefined, name: string): boolean | undefined {
  if (device === undefined) return false;
  const isPattern = name.endsWith('*');
  const stem = isPattern ? name.slice(0, -1) : name;
  if (!device.endsWith('*')) return isPattern ? device.startsWith(stem) : device === stem;
  const known = device.slice(0, -1);
  if (isPattern && known.startsWith(stem)) return true;
  return stem.startsWith(known) ? undefined : false;
}

/** Ports that connections are made to and from, beside those that are reserved (RFC 6335 §6). */
const userPorts: { readonly first: number; readonly last: number } = { first: 1024, last: 65_535 };

function portHolds(port: number | undefined, ranges: readonly { first: number; last: number }[]): boolean | undefined {
  if (port !== undefined) return ranges.some(({ first, last }) => port >= first && port <= last);
  return ranges.some(({ first, last }) => first <= userPorts.first && last >= userPorts.last);
}

/** The kernel draws it for each connection, from a range that a host may set. */
function sourcePortHolds(ranges: readonly { first: number; last: number }[]): boolean | undefined {
  if (portHolds(undefined, ranges)) return true;
  return ranges.some(({ first, last }) => last > first && last >= userPorts.first) ? undefined : false;
}
