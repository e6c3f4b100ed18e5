/** Reads ipsets and iptables by their own save formats, which are what their restore takes. */
import type { Family } from '#address/ip.js';
import { forwardChain, guardChain, guardedSet, masqueradeSet, peersSet } from '#host/desired/marks.js';
import { wordsOf } from '#host/filter/iptables-rules.js';
import type { IptablesFlavour } from '#host/input.js';
import { incompatibleTables, readIncompatible } from '#host/observe/observe-incompatible.js';
import {
  type ObservedEntry,
  type ObservedHost,
  type ObservedSet,
  type ObservedTables,
  plainEntry,
  type Readable,
} from '#host/observe/observed.js';
import { lacksModule, moduleRemedy, modulesOf } from '#host/tools/kernel-modules.js';
import { type Runner, ToolMissingError } from '#host/tools/runner.js';

/** Names of the sets that we make. Those of the peers may have 65,000 entries. */
const smallSets: readonly string[] = [...Object.values(masqueradeSet), ...Object.values(guardedSet)];
const peersSets: readonly string[] = Object.values(peersSet);

/**
 * Reads the sets of our names. The peers' sets are read again only where `known` has another number of entries than
 * there are, or when `whole` asks for it.
 */
export async function observeSets(
  run: Runner,
  known: ObservedHost['sets'] = { kind: 'unasked' },
  whole = true,
): Promise<ObservedHost['sets']> {
  const counted = await readable(run, 'ipset', ['list', '-t'], parseSetSizes);
  if (counted.kind !== 'read') return counted;
  const before = known.kind === 'read' ? known.value : new Map<string, ObservedSet>();
  const sets = new Map<string, ObservedSet>();
  for (const [name, size] of counted.value) {
    const same = before.get(name);
    if (peersSets.includes(name) && !whole && same?.entries.size === size) {
      sets.set(name, same);
    } else if (smallSets.includes(name) || peersSets.includes(name)) {
      const saved = await readable(run, 'ipset', ['save', name], parseSets);
      // One that went away after the list was read is not there.
      if (saved.kind === 'read') for (const [each, set] of saved.value) sets.set(each, set);
      else if (!/does not exist/.test(saved.kind === 'unreadable' ? saved.error : '')) return saved;
    }
  }
  return { kind: 'read', value: sets };
}

/** Reads `ipset list -t`: name → number of entries. */
export function parseSetSizes(listed: string): ReadonlyMap<string, number> {
  const sizes = new Map<string, number>();
  let name = '';
  for (const line of listed.split('\n')) {
    const [, key = '', value = ''] = /^(Name|Number of entries): (.*)$/.exec(line) ?? [];
    if (key === 'Name') {
      name = value.trim();
      sizes.set(name, Number.NaN);
    } else if (key !== '') {
      sizes.set(name, Number(value));
    }
  }
  return sizes;
}

/** What iptables-save prints, by family: read once for our rules and for what foreign ones accept. */
export type SavedTables = Readonly<Record<Family, Readable<string>>>;

export async function saveTables(run: Runner, flavour: IptablesFlavour): Promise<SavedTables> {
  const save = (family: Family) => readable(run, `${iptablesCommand(flavour, family)}-save`, [], (text) => text);
  const [four, six] = await Promise.all([save(4), save(6)]);
  return { 4: four, 6: six };
}

/** `marks`: the comments of rules that are ours. */
export async function observeTables(
  run: Runner,
  flavour: IptablesFlavour,
  saves: SavedTables,
  marks: readonly string[],
): Promise<ObservedHost['tables']> {
  const { randomFully } = await traitsOf(run, flavour);
  const tablesOf = async (family: Family): Promise<Readable<ObservedTables>> => {
    const saved = saves[family];
    if (saved.kind !== 'read') return saved;
    const printable = parseTables(saved.value, randomFully);
    const tables = incompatibleTables(saved.value);
    return tables.length === 0
      ? { kind: 'read', value: printable }
      : readIncompatible({ run, command: iptablesCommand(flavour, family), family, tables, marks }, printable);
  };
  const [four, six] = await Promise.all([tablesOf(4), tablesOf(6)]);
  return { 4: four, 6: six };
}

/** `ip6tables-nft` for `iptables-nft`. */
export function iptablesCommand(flavour: IptablesFlavour, family: Family): string {
  return family === 4 ? flavour : flavour.replace('iptables', 'ip6tables');
}

/** What the version of iptables tells. */
export type IptablesTraits = {
  /** Whether MASQUERADE knows `--random-fully`. */
  readonly randomFully: boolean;
  /** Where its rules are: in nftables, or in tables of the older kind. */
  readonly isNft: boolean;
};

const randomFullySince = [1, 6, 2] as const;
const versions = new WeakMap<Runner, Map<string, IptablesTraits>>();

/** Asked once per runner and command: a tool's version does not change under a running agent in a way that matters. */
export async function traitsOf(run: Runner, flavour: IptablesFlavour): Promise<IptablesTraits> {
  const known = versions.get(run) ?? new Map<string, IptablesTraits>();
  versions.set(run, known);
  const answer = known.get(flavour);
  if (answer !== undefined) return answer;
  const result = await readable(run, flavour, ['--version'], (text) => {
    const version = (/v(\d+)\.(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number);
    const unlike = randomFullySince.findIndex((part, index) => version[index] !== part);
    const randomFully = unlike < 0 || (version[unlike] ?? 0) > (randomFullySince[unlike] ?? 0);
    return { randomFully, isNft: text.includes('nf_tables') };
  });
  if (result.kind !== 'read') return { randomFully: true, isNft: true };
  known.set(flavour, result.value);
  return result.value;
}

async function readable<Value>(
  run: Runner,
  command: string,
  args: readonly string[],
  parse: (stdout: string) => Value,
): Promise<Readable<Value>> {
  try {
    const { code, stdout, stderr } = await run.run(command, args);
    if (code === 0) return { kind: 'read', value: parse(stdout) };
    const needs = command === 'ipset' ? modulesOf.ipset : ['nft_compat'];
    const todo = lacksModule.test(stderr) ? `: ${moduleRemedy(needs)}` : '';
    const said = firstLine(stderr) || `exit code ${code}`;
    return { kind: 'unreadable', error: `"${[command, ...args].join(' ')}" failed: ${said}${todo}` };
  } catch (error) {
    if (error instanceof ToolMissingError) return { kind: 'unreadable', error: error.message };
    throw error;
  }
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0] ?? '';
}

/** Reads `ipset save`. */
export function parseSets(saved: string): ReadonlyMap<string, ObservedSet> {
  const sets = new Map<string, ObservedSet & { entries: Map<string, ObservedEntry> }>();
  for (const line of saved.split('\n')) {
    const words = wordsOf(line);
    const [verb, name = '', what = ''] = words;
    if (verb === 'create') {
      const family = words[words.indexOf('family') + 1] === 'inet6' ? 6 : 4;
      sets.set(name, { type: what, family, comments: words.includes('comment'), entries: new Map() });
    } else if (verb === 'add') {
      const at = words.indexOf('comment');
      const comment = at < 0 ? undefined : words[at + 1];
      const nomatch = words.includes('nomatch');
      sets.get(name)?.entries.set(what, comment === undefined ? plainEntry(nomatch) : { nomatch, comment });
    }
  }
  return sets;
}

/** Reads what concerns us of `iptables-save`. */
export function parseTables(saved: string, randomFully: boolean): ObservedTables {
  const chains = new Map<string, string[]>();
  let table = '';
  for (const line of saved.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1).trim();
    else if (line.startsWith(':')) chains.set(`${table} ${line.slice(1).split(' ')[0]}`, []);
    else if (line.startsWith('-A ')) {
      const [, chain = '', ...rule] = wordsOf(line);
      chains.get(`${table} ${chain}`)?.push(rule.join(' '));
    }
  }
  const forward = chains.get('filter FORWARD') ?? [];
  const dockerUser = forward.some((rule) => rule === '-j DOCKER-USER') ? chains.get('filter DOCKER-USER') : undefined;
  const ours = chains.get(`filter ${forwardChain}`);
  const guard = chains.get(`raw ${guardChain}`);
  return {
    postrouting: chains.get('nat POSTROUTING') ?? [],
    forward,
    ...(dockerUser === undefined ? {} : { dockerUser }),
    ...(ours === undefined ? {} : { ours }),
    prerouting: chains.get('raw PREROUTING') ?? [],
    ...(guard === undefined ? {} : { guard }),
    randomFully,
  };
}
