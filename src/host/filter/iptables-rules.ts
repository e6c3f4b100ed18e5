/** What iptables-save prints, as packet filters. */
import type { Family } from '#address/ip.js';
import { readAddressRange } from '#host/filter/address-range.js';
import type {
  AddressRange,
  Condition,
  ConditionTest,
  FilterChain,
  FilterRule,
  FilterTable,
  Hook,
  PortRange,
  Verdict,
} from '#host/filter/filter-table.js';

const hooks: ReadonlyMap<string, Hook> = new Map([
  ['PREROUTING', 'prerouting'],
  ['INPUT', 'input'],
  ['FORWARD', 'forward'],
  ['OUTPUT', 'output'],
  ['POSTROUTING', 'postrouting'],
]);

/** Of linux/netfilter_ipv4.h. */
const priorities: ReadonlyMap<string, number> = new Map([
  ['raw', -300],
  ['mangle', -150],
  ['nat', -100],
  ['filter', 0],
  ['security', 50],
]);

type OpenChain = Omit<FilterChain, 'rules'> & { readonly rules: FilterRule[] };

/** `command` is the one that lists and changes the tables: `iptables`, `ip6tables-legacy`. */
export function iptablesTables(saved: string, command: string, family: Family): FilterTable[] {
  const tables: (Omit<FilterTable, 'chains'> & { readonly chains: Map<string, OpenChain> })[] = [];
  for (const line of saved.split('\n')) {
    const table = tables.at(-1);
    if (line.startsWith('*')) {
      const tool = { kind: 'iptables', command } as const;
      tables.push({ tool, family: family === 4 ? 'ip' : 'ip6', name: line.slice(1).trim(), chains: new Map() });
    } else if (table !== undefined && line.startsWith(':')) {
      const [name = '', policy = '-'] = line.slice(1).split(' ');
      const hook = policy === '-' ? undefined : hooks.get(name);
      const base = {
        priority: priorities.get(table.name) ?? 0,
        policy: policy === 'DROP' ? 'drop' : 'accept',
      } as const;
      table.chains.set(name, { name, ...(hook === undefined ? {} : { base: { ...base, hook } }), rules: [] });
    } else if (table !== undefined && line.startsWith('-A ')) {
      const [, chain = '', ...words] = wordsOf(line);
      table.chains.get(chain)?.rules.push(ruleOf(words));
    }
  }
  return tables;
}

/** Words of a line as a shell would see them; the save formats quote with double quotes. */
export function wordsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

/** Options that test nothing: a module's name says nothing by itself. */
const silent: ReadonlySet<string> = new Set(['-m', '--comment', '-c']);

function ruleOf(words: readonly string[]): FilterRule {
  const when: Condition[] = [];
  let verdict: Verdict = { kind: 'continue' };
  for (let at = 0; at < words.length; ) {
    const negated = words[at] === '!';
    if (negated) at += 1;
    const option = words[at] ?? '';
    const end = valuesEnd(words, at);
    const values = words.slice(at + 1, end);
    at = end;
    if (option === '-j' || option === '-g') {
      // What follows are options of the target.
      verdict = verdictOf(option, values[0] ?? '');
      break;
    }
    if (!silent.has(option)) when.push({ ...testOf(option, values), negated });
  }
  return { text: words.map(shown).join(' '), when, verdict };
}

/** An option's values go on until the next option; a comment may look like one. */
function valuesEnd(words: readonly string[], at: number): number {
  if (words[at] === '--comment') return at + 2;
  const next = words.findIndex((word, index) => index > at && (word === '!' || /^--?[a-z]/i.test(word)));
  return next < 0 ? words.length : next;
}

function shown(word: string): string {
  return /\s/.test(word) ? `"${word}"` : word;
}

/** Targets after which the packet goes on in the chain. */
const goesOn: ReadonlySet<string> = new Set(
  'LOG NFLOG ULOG AUDIT MARK CONNMARK CONNSECMARK SECMARK CLASSIFY TOS DSCP TTL HL TCPMSS CHECKSUM CT NOTRACK SET TRACE TEE RATEEST LED IDLETIMER'.split(
    ' ',
  ),
);
/** Targets that accept the packet, whatever they change in it. */
const accepts: ReadonlySet<string> = new Set('ACCEPT MASQUERADE SNAT DNAT REDIRECT NETMAP'.split(' '));

function verdictOf(option: '-j' | '-g', target: string): Verdict {
  if (accepts.has(target)) return { kind: 'accept' };
  if (target === 'DROP' || target === 'REJECT' || target === 'TARPIT') return { kind: 'drop' };
  if (target === 'RETURN') return { kind: 'return' };
  if (goesOn.has(target)) return { kind: 'continue' };
  if (target === 'QUEUE' || target === 'NFQUEUE') return { kind: 'unknown' };
  return { kind: option === '-j' ? 'jump' : 'goto', chain: target };
}

function testOf(option: string, values: readonly string[]): ConditionTest {
  const [value = ''] = values;
  switch (option) {
    case '-i':
    case '-o':
      return { kind: 'device', side: option === '-i' ? 'in' : 'out', names: [value.replace(/\+$/, '*')] };
    case '-s':
    case '-d':
      return addresses(option === '-s' ? 'source' : 'destination', value);
    case '--src-range':
    case '--dst-range':
      return addresses(option === '--src-range' ? 'source' : 'destination', value);
    case '-p':
      return { kind: 'protocol', names: [value] };
    case '--dport':
    case '--dports':
      return { kind: 'port', side: 'destination', ranges: portRanges(value) };
    case '--sport':
    case '--sports':
      return { kind: 'port', side: 'source', ranges: portRanges(value) };
    case '--ctstate':
    case '--state':
      return statesOf(value);
    case '--dst-type':
      return { kind: 'destination-type', types: value.toLowerCase().split(',') };
    case '--ctdir':
      return { kind: 'constant', holds: value.toUpperCase() === 'ORIGINAL' };
    case '--ctstatus':
      return { kind: 'constant', holds: value.toUpperCase() === 'NONE' };
    default:
      return { kind: 'unknown' };
  }
}

function addresses(side: 'source' | 'destination', value: string): ConditionTest {
  const ranges = value.split(',').map(readAddressRange);
  const known = ranges.filter((range): range is AddressRange => range !== undefined);
  return known.length === ranges.length ? { kind: 'address', side, ranges: known } : { kind: 'unknown' };
}

/** Connections that are asked about are new, and their addresses are not translated. */
function statesOf(value: string): ConditionTest {
  return { kind: 'state', states: value.toLowerCase().split(',') };
}

function portRanges(value: string): PortRange[] {
  return value.split(',').map((range) => {
    const [first = '', last = first] = range.split(':');
    return { first: Number(first || 0), last: Number(last || 65_535) };
  });
}
