/** What `nft -j` prints, as packet filters: libnftables-json(5). */
import type { Condition, FilterChain, FilterRule, FilterTable, Hook, Verdict } from '#host/filter/filter-table.js';
import { isRecord, nftValues, testsOf } from '#host/filter/nft-tests.js';
import type { NftChain, NftRule, NftRuleset } from '#host/tools/nft-ruleset.js';

const hooks: ReadonlySet<string> = new Set<Hook>([
  ...(['ingress', 'prerouting', 'input', 'forward', 'output', 'postrouting', 'egress'] as const),
]);

/**
 * The tables of the families that overlays' packets pass. `printed` are those of iptables-nft as its save prints them:
 * it alone can tell what its own matches test, and nft what others have put between them.
 */
export function nftTables(ruleset: NftRuleset, printed: readonly FilterTable[]): FilterTable[] {
  const rulesByChain = new Map<string, NftRule[]>();
  for (const rule of ruleset.rules) {
    const others = rulesByChain.get(keyOf(rule));
    if (others === undefined) rulesByChain.set(keyOf(rule), [rule]);
    else others.push(rule);
  }
  const tables = new Map<string, FilterTable & { chains: Map<string, FilterChain> }>();
  for (const chain of ruleset.chains) {
    const { family, table: name } = chain;
    if (family !== 'ip' && family !== 'ip6' && family !== 'inet' && family !== 'netdev') continue;
    const twin = printed.find((table) => table.family === family && table.name === name);
    const key = `${family} ${name}`;
    const table = tables.get(key) ?? { tool: twin?.tool ?? { kind: 'nft' }, family, name, chains: new Map() };
    tables.set(key, table);
    const rules = rulesByChain.get(keyOf({ ...chain, chain: chain.name })) ?? [];
    const printedRules = twin?.chains.get(chain.name)?.rules;
    const twins = printedRules?.length === rules.length ? printedRules : [];
    const all = rules.flatMap((rule, index) => rulesWith(rule, ruleset, twins[index]));
    table.chains.set(chain.name, { name: chain.name, ...baseOf(chain), rules: all });
  }
  // A table that nft does not list any more, or not yet, is as iptables printed it.
  const others = printed.filter(({ family, name }) => !tables.has(`${family} ${name}`));
  return [...tables.values(), ...others];
}

function keyOf({ family, table, chain }: Pick<NftRule, 'family' | 'table' | 'chain'>): string {
  return `${family} ${table} ${chain}`;
}

function rulesWith(rule: NftRule, ruleset: NftRuleset, printed: FilterRule | undefined): FilterRule[] {
  if (printed === undefined) return rulesOf(rule, ruleset);
  const isOfIptables = rule.expr.some((one) => 'xt' in one);
  if (isOfIptables) return [printed];
  return rulesOf(rule, ruleset).map((one) =>
    one.verdict.kind === printed.verdict.kind ? { ...one, text: printed.text } : one,
  );
}

function baseOf({ hook, prio = 0, policy, dev }: NftChain): Pick<FilterChain, 'base'> {
  if (!isHook(hook)) return {};
  const devices = dev === undefined ? {} : { devices: [dev].flat() };
  return { base: { hook, priority: prio, policy: policy === 'drop' ? 'drop' : 'accept', ...devices } };
}

function isHook(hook: string | undefined): hook is Hook {
  return hook !== undefined && hooks.has(hook);
}

/** Cases of one verdict map, at most; a rule with more may do anything. */
const casesMax = 4_096;

/** One rule, or one for each case of its verdict map. */
function rulesOf(rule: NftRule, ruleset: NftRuleset): FilterRule[] {
  const when: Condition[] = [];
  let verdict: Verdict = { kind: 'continue' };
  for (const [key, value] of rule.expr.flatMap((one) => Object.entries(one))) {
    if (key === 'vmap') return casesOf(rule, ruleset, when, value);
    if (key === 'reject') when.push(...impliedBy(value));
    if (key === 'match') when.push(...testsOf(value, rule, ruleset));
    else if (isVerdict(key)) verdict = verdictOf(key, value);
    else if (!isSilent(key, value)) when.push({ kind: 'unknown', negated: false });
  }
  return [
    { text: textOf(rule, rule.expr.some((one) => 'reject' in one) ? 'reject' : verdict.kind, verdict), when, verdict },
  ];
}

/** A reject of one family's or protocol's own kind stands for the test for that, which is not printed beside it. */
function impliedBy(reject: unknown): Condition[] {
  const type = isRecord(reject) ? reject.type : undefined;
  if (type === 'icmp' || type === 'icmpv6') {
    return [{ kind: 'family', family: type === 'icmp' ? 4 : 6, negated: false }];
  }
  return type === 'tcp reset' ? [{ kind: 'protocol', names: ['tcp'], negated: false }] : [];
}

function casesOf(rule: NftRule, ruleset: NftRuleset, when: readonly Condition[], vmap: unknown): FilterRule[] {
  const cases = isRecord(vmap) ? nftValues(vmap.data, rule, ruleset) : undefined;
  const unknown: FilterRule = { text: `a verdict map (handle ${rule.handle})`, when, verdict: { kind: 'unknown' } };
  if (!isRecord(vmap) || cases === undefined || cases.length > casesMax) return [unknown];
  // The case for all others, `*`, comes last.
  const isRest = (one: unknown) => Array.isArray(one) && one[0] === '*';
  return cases
    .toSorted((a, b) => Number(isRest(a)) - Number(isRest(b)))
    .map((one): FilterRule => {
      const [key, result] = Array.isArray(one) ? one : [];
      const entry = isRecord(result) ? Object.entries(result)[0] : undefined;
      if (entry === undefined || !isVerdict(entry[0])) return unknown;
      const verdict = verdictOf(...entry);
      const tests = isRest(one) ? [] : testsOf({ op: '==', left: vmap.key, right: key }, rule, ruleset);
      return { text: textOf(rule, entry[0], verdict), when: [...when, ...tests], verdict };
    });
}

const verdicts: ReadonlySet<string> = new Set(
  'accept drop reject return jump goto continue queue masquerade snat dnat redirect'.split(' '),
);

function isVerdict(key: string): boolean {
  return verdicts.has(key);
}

function verdictOf(key: string, value: unknown): Verdict {
  switch (key) {
    case 'accept':
    case 'masquerade':
    case 'snat':
    case 'dnat':
    case 'redirect':
      return { kind: 'accept' };
    case 'drop':
    case 'reject':
      return { kind: 'drop' };
    case 'return':
    case 'continue':
      return { kind: key };
    case 'jump':
    case 'goto':
      return isRecord(value) && typeof value.target === 'string'
        ? { kind: key, chain: value.target }
        : { kind: 'unknown' };
    default:
      return { kind: 'unknown' };
  }
}

/** Statements that decide nothing. */
const silent: ReadonlySet<string> = new Set([
  ...['counter', 'log', 'last', 'comment', 'mangle', 'notrack', 'flow', 'tproxy', 'secmark'],
  ...['ct helper', 'ct timeout', 'ct expectation'],
]);

function isSilent(key: string, value: unknown): boolean {
  if (key === 'xt') return isRecord(value) && value.type === 'match' && value.name === 'comment';
  return silent.has(key);
}

/** Words for the rule: JSON can not be turned into nft's own, so it says what it does, and where it is found. */
function textOf({ handle }: NftRule, word: string, verdict: Verdict): string {
  const does = 'chain' in verdict ? `${word} ${verdict.chain}` : word;
  return `${does} (handle ${handle})`;
}
