/** What a `match` of `nft -j` tests. */
import { readAddressRange } from '#host/filter/address-range.js';
import type { AddressRange, Condition, ConditionTest, PortRange } from '#host/filter/filter-table.js';
import type { NftRule, NftRuleset } from '#host/tools/nft-ruleset.js';

const unknown: Condition = { kind: 'unknown', negated: false };

/** Several where the expression implies another: a UDP port is one of UDP. */
export function testsOf(match: unknown, rule: NftRule, ruleset: NftRuleset): Condition[] {
  if (!isRecord(match)) return [unknown];
  const { op, left, right } = match;
  if (op !== '==' && op !== '!=' && op !== 'in') return [unknown];
  const values = nftValues(right, rule, ruleset);
  if (values === undefined) return [unknown];
  const [test, ...implied] =
    isRecord(left) && Array.isArray(left.concat) ? concatTests(left.concat, values) : leftTests(left, values);
  if (test === undefined) return [unknown];
  // `!=` negates the test alone: other ports of UDP are ports of UDP.
  return [...implied.map((one) => ({ ...one, negated: false })), { ...test, negated: op === '!=' }];
}

/** Several fields beside one another (`ip saddr . udp dport`): the test itself first, then what its fields imply. */
function concatTests(fields: readonly unknown[], values: readonly unknown[]): ConditionTest[] {
  const implied = fields.flatMap((field) => leftTests(field, []).slice(1));
  return [{ kind: 'one-of', cases: casesOf(fields, values) }, ...implied];
}

/** For each of the values that the fields are compared with, one condition for each field. */
function casesOf(fields: readonly unknown[], values: readonly unknown[]): Condition[][] {
  return values.map((value) => {
    const parts = isRecord(value) && Array.isArray(value.concat) ? value.concat : [];
    if (parts.length !== fields.length) return [unknown];
    return fields.map((field, at): Condition => {
      const [test] = leftTests(field, [bareElement(parts[at])]);
      return test === undefined ? unknown : { ...test, negated: false };
    });
  });
}

/** The values that the right side stands for; undefined: they are not in the ruleset. */
export function nftValues(
  right: unknown,
  { family, table }: NftRule,
  { sets }: NftRuleset,
): readonly unknown[] | undefined {
  if (typeof right === 'string' && right.startsWith('@')) {
    const named = sets.find((set) => set.family === family && set.table === table && set.name === right.slice(1));
    return named === undefined ? undefined : (named.elem ?? []).map(bareElement);
  }
  if (Array.isArray(right)) return right.map(bareElement);
  if (isRecord(right) && Array.isArray(right.set)) return right.set.map(bareElement);
  return [bareElement(right)];
}

/** An element may carry a comment, a counter or an end. */
function bareElement(element: unknown): unknown {
  if (isRecord(element) && isRecord(element.elem)) return element.elem.val;
  // The key of a map's element.
  if (Array.isArray(element)) return [bareElement(element[0]), ...element.slice(1)];
  return element;
}

/** The test itself first, then what it implies. */
function leftTests(left: unknown, values: readonly unknown[]): ConditionTest[] {
  if (!isRecord(left)) return [];
  if (isRecord(left.meta)) return metaTests(left.meta.key, values);
  if (isRecord(left.payload)) return payloadTests(left.payload, values);
  if (isRecord(left.ct)) return ctTests(left.ct.key, values);
  if (isRecord(left.fib)) return fibTests(left.fib, values);
  return [];
}

function metaTests(key: unknown, values: readonly unknown[]): ConditionTest[] {
  switch (key) {
    case 'iifname':
    case 'iif':
    case 'oifname':
    case 'oif':
      return [{ kind: 'device', side: key.startsWith('i') ? 'in' : 'out', names: texts(values) }];
    case 'l4proto':
      return [{ kind: 'protocol', names: texts(values).map(protocolName) }];
    case 'nfproto':
    case 'protocol':
      return [familyTest(texts(values))];
    default:
      return [];
  }
}

function familyTest(names: readonly string[]): ConditionTest {
  const four = names.some((name) => name === 'ipv4' || name === 'ip');
  const six = names.some((name) => name === 'ipv6' || name === 'ip6');
  if (four && six) return { kind: 'constant', holds: true };
  return four || six ? { kind: 'family', family: four ? 4 : 6 } : { kind: 'constant', holds: false };
}

function payloadTests({ protocol, field }: Record<string, unknown>, values: readonly unknown[]): ConditionTest[] {
  const family: ConditionTest[] =
    protocol === 'ip' || protocol === 'ip6' ? [{ kind: 'family', family: protocol === 'ip' ? 4 : 6 }] : [];
  if (field === 'saddr' || field === 'daddr') {
    if (family.length === 0) return []; // Of Ethernet, or ARP.
    const ranges = values.map(addressRange);
    if (ranges.includes(undefined)) return [{ kind: 'unknown' }, ...family];
    const side = field === 'saddr' ? 'source' : 'destination';
    return [
      { kind: 'address', side, ranges: ranges.filter((range): range is AddressRange => range !== undefined) },
      ...family,
    ];
  }
  if (field === 'dport' || field === 'sport') {
    const ranges = values.map(portRange);
    if (ranges.includes(undefined)) return [{ kind: 'unknown' }];
    const known = ranges.filter((range): range is PortRange => range !== undefined);
    const carrier: ConditionTest[] =
      typeof protocol === 'string' && protocol !== 'th' ? [{ kind: 'protocol', names: [protocol] }] : [];
    return [{ kind: 'port', side: field === 'dport' ? 'destination' : 'source', ranges: known }, ...carrier];
  }
  if (field === 'protocol' || field === 'nexthdr') {
    return [{ kind: 'protocol', names: texts(values).map(protocolName) }, ...family];
  }
  // For another protocol than those that are asked about it does not match; for the same one the match is not known.
  const isOther = typeof protocol === 'string' && /^(icmp|icmpv6|igmp|esp|ah|sctp|dccp|arp|vlan|ether)$/.test(protocol);
  return [isOther ? { kind: 'constant', holds: false } : { kind: 'unknown' }];
}

function ctTests(key: unknown, values: readonly unknown[]): ConditionTest[] {
  if (key === 'state') return [{ kind: 'state', states: texts(values) }];
  // Of a new connection without translated addresses.
  if (key === 'status') return [{ kind: 'constant', holds: false }];
  return [];
}

/** `fib daddr type`: the device makes no difference to an address of this host. */
function fibTests({ result, flags }: Record<string, unknown>, values: readonly unknown[]): ConditionTest[] {
  const isDestination = Array.isArray(flags) ? flags.includes('daddr') : flags === 'daddr';
  return result === 'type' && isDestination ? [{ kind: 'destination-type', types: texts(values) }] : [];
}

function texts(values: readonly unknown[]): string[] {
  return values.map((value) => String(value));
}

/** Numbers of /etc/protocols, which are printed where that file is not installed. */
function protocolName(text: string): string {
  return { '6': 'tcp', '17': 'udp', '1': 'icmp' }[text] ?? text;
}

function addressRange(value: unknown): AddressRange | undefined {
  if (typeof value === 'string') return readAddressRange(value);
  if (!isRecord(value)) return undefined;
  if (isRecord(value.prefix)) return readAddressRange(`${value.prefix.addr}/${value.prefix.len}`);
  return Array.isArray(value.range) ? readAddressRange(value.range.join('-')) : undefined;
}

function portRange(value: unknown): PortRange | undefined {
  const [first, last] = isRecord(value) && Array.isArray(value.range) ? value.range : [value, value];
  return typeof first === 'number' && typeof last === 'number' ? { first, last } : undefined;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
