/**
 * The ipset, the masquerade rules and the forward chain. Our entries are known by their comment, our rules by theirs,
 * our chain by its name; a set or chain of others is added to, never emptied.
 */
import type { Family } from '#address/ip.js';
import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import type { DesiredSet, MasqueradeRule } from '#host/desired/desired-firewall.js';
import { forwardChain, type Marks } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedSet, ObservedTables, Readable } from '#host/observe/observed.js';
import { hostScope, overlayScope, type Part, type Problem, partOf, type Scope } from '#host/problem.js';

export function diffFirewall(desired: DesiredHost, observed: ObservedHost): StepPlan {
  const sets = diffSets(desired, observed.sets);
  const families = [4, 6] as const;
  const masquerade = families.map((family) =>
    diffMasquerade(desired, family, observed.tables[family], new Set(sets.broken)),
  );
  const forward = families.map((family) => diffForward(desired, family, observed.tables[family]));
  const unused = diffUnusedSets(desired, observed.sets);
  const parts = [sets, ...masquerade, ...forward, unused];
  return { steps: parts.flatMap(({ steps }) => steps), problems: parts.flatMap(({ problems }) => problems) };
}

type SetsPlan = StepPlan & {
  /** Sets that no rule can refer to. */
  readonly broken: readonly string[];
};

function diffSets(desired: DesiredHost, there: Readable<ReadonlyMap<string, ObservedSet>>): SetsPlan {
  const wanted = desired.firewall.sets;
  if (there.kind !== 'read') {
    const error = there.kind === 'unreadable' ? there.error : 'the ipsets were not read';
    return { steps: [], problems: masqueradeProblems(desired, wanted, error), broken: wanted.map(({ name }) => name) };
  }
  const steps: Step[] = [];
  const problems: Problem[] = [];
  const broken: string[] = [];
  for (const set of wanted) {
    const now = there.value.get(set.name);
    if (now !== undefined && (now.type !== 'hash:net' || now.family !== set.family)) {
      const error = `the ipset "${set.name}" is of type ${now.type} (IPv${now.family}) and not Sublet's hash:net: remove or rename it`;
      problems.push(...masqueradeProblems(desired, [set], error));
      broken.push(set.name);
    } else {
      steps.push(...fillSet(set, now, desired.marks));
    }
  }
  return { steps, problems, broken };
}

function fillSet(set: DesiredSet, there: ObservedSet | undefined, marks: Marks): Step[] {
  const scope = { scope: hostScope, part: partOf('masquerade', set.family) } as const;
  const create: Step[] =
    there === undefined ? [{ kind: 'set-create', name: set.name, family: set.family, type: set.type, ...scope }] : [];
  const comment = there === undefined || there.comments ? { comment: marks.current } : {};
  const add = [...set.entries]
    .filter(([entry, nomatch]) => there?.entries.get(entry)?.nomatch !== nomatch)
    .map(([entry, nomatch]): Step => {
      return { kind: 'set-entry', action: 'add', set: set.name, entry, nomatch, ...comment, ...scope };
    });
  return [...create, ...add, ...staleEntries(set, there, marks, (entry) => set.entries.has(entry))];
}

function staleEntries(
  { name, family }: { readonly name: string; readonly family: Family },
  there: ObservedSet | undefined,
  marks: Marks,
  isWanted: (entry: string) => boolean,
): Step[] {
  return [...(there?.entries ?? [])]
    .filter(([entry, { comment }]) => comment !== undefined && marks.all.has(comment) && !isWanted(entry))
    .map(([entry, { nomatch }]): Step => {
      const part = partOf('masquerade', family);
      return { kind: 'set-entry', action: 'del', set: name, entry, nomatch, scope: hostScope, part };
    });
}

/** Sets that hold entries of ours though none is wanted: emptied of those, and destroyed if nothing else is in them. */
function diffUnusedSets(desired: DesiredHost, there: Readable<ReadonlyMap<string, ObservedSet>>): StepPlan {
  if (there.kind !== 'read') return { steps: [], problems: [] };
  const wanted = new Set(desired.firewall.sets.map(({ name }) => name));
  const steps = [...there.value]
    .filter(([name, { comments }]) => comments && !wanted.has(name))
    .flatMap(([name, set]) => {
      const { family } = set;
      const stale = staleEntries({ name, family }, set, desired.marks, () => false);
      const isOurs = stale.length > 0 && stale.length === set.entries.size;
      const part = partOf('masquerade', family);
      return isOurs ? [{ kind: 'set-destroy', name, scope: hostScope, part } satisfies Step] : stale;
    });
  return { steps, problems: [] };
}

function masqueradeProblems({ firewall }: DesiredHost, sets: readonly DesiredSet[], error: string): Problem[] {
  const names = new Set(sets.map(({ name }) => name));
  return firewall.masquerade
    .filter(({ set }) => names.has(set))
    .map(({ overlay, family }) => ({ scope: overlayScope(overlay), part: partOf('masquerade', family), error }));
}

function diffMasquerade(
  { firewall, marks }: DesiredHost,
  family: Family,
  there: Readable<ObservedTables>,
  brokenSets: ReadonlySet<string>,
): StepPlan {
  const wanted = firewall.masquerade.filter((rule) => rule.family === family);
  const part = partOf('masquerade', family);
  if (there.kind !== 'read') {
    return {
      steps: [],
      problems: unreadable(
        there,
        wanted.map(({ overlay }) => overlayScope(overlay)),
        part,
      ),
    };
  }
  const { postrouting, randomFully } = there.value;
  const rules = new Map(wanted.map((rule) => [masqueradeRule(rule, marks.current, randomFully), rule]));
  const steps: Step[] = withoutMarked(postrouting, marks, (rule) => rules.has(rule)).map((rule) =>
    filterRule('delete', family, 'nat', 'POSTROUTING', rule, hostScope, part),
  );
  for (const [text, rule] of rules) {
    if (!postrouting.includes(text) && !brokenSets.has(rule.set)) {
      steps.push(filterRule('append', family, 'nat', 'POSTROUTING', text, overlayScope(rule.overlay), part));
    }
  }
  return { steps, problems: [] };
}

/** In the order in which iptables-save prints it, so that the same text is compared, added and deleted. */
function masqueradeRule({ source, set }: MasqueradeRule, mark: string, randomFully: boolean): string {
  return `-s ${source} -m set --match-set ${set} dst -m comment --comment ${mark} -j MASQUERADE${randomFully ? ' --random-fully' : ''}`;
}

function diffForward({ firewall, marks }: DesiredHost, family: Family, there: Readable<ObservedTables>): StepPlan {
  const devices = firewall.forward[family];
  const part = partOf('forward', family);
  if (there.kind !== 'read') {
    return { steps: [], problems: unreadable(there, devices.length === 0 ? [] : [hostScope], part) };
  }
  const { forward, dockerUser, ours } = there.value;
  const jump = `-m comment --comment ${marks.current} -j ${forwardChain}`;
  const rules = devices.flatMap((device) => [`-i ${device} -j ACCEPT`, `-o ${device} -j ACCEPT`]);
  const isWanted = devices.length > 0;
  const steps: Step[] = [];
  if (isWanted && ours?.join('\n') !== rules.join('\n')) {
    steps.push({ kind: 'chain-set', family, table: 'filter', chain: forwardChain, rules, scope: hostScope, part });
  }
  // Docker's own chain for this comes first in FORWARD, before Docker's isolation; without it, FORWARD itself.
  const home = dockerUser === undefined ? 'FORWARD' : 'DOCKER-USER';
  const chains = { FORWARD: forward, ...(dockerUser === undefined ? {} : { 'DOCKER-USER': dockerUser }) };
  for (const [chain, present] of Object.entries(chains)) {
    const keep = isWanted && chain === home && isReached(present, jump);
    const remove = withoutMarked(present, marks, (rule) => keep && rule === jump);
    // First out, then in: deleting by text takes the first of equal rules, which would be the one just inserted.
    steps.push(...remove.map((rule) => filterRule('delete', family, 'filter', chain, rule, hostScope, part)));
    if (isWanted && chain === home && !keep) {
      steps.push(filterRule('insert', family, 'filter', chain, jump, hostScope, part));
    }
  }
  if (!isWanted && ours !== undefined) {
    steps.push({ kind: 'chain-delete', family, table: 'filter', chain: forwardChain, scope: hostScope, part });
  }
  return { steps, problems: isWanted ? incompatibleNotes(there.value, family, part) : [] };
}

/** Works, but `iptables` alone shows nothing there. */
function incompatibleNotes({ incompatible = [] }: ObservedTables, family: Family, part: Part): Problem[] {
  if (incompatible.length === 0) return [];
  const [command, nft] = family === 4 ? ['iptables', 'ip'] : ['ip6tables', 'ip6'];
  const lists = incompatible.map((table) => `"nft list table ${nft} ${table}"`).join(' and ');
  const error = `${command} can not show the table ${incompatible.join(' and ')}, since it holds rules made with nft: see ${lists}; rules of your own are better kept in a table of their own`;
  return [{ scope: hostScope, part, error, note: true }];
}

/**
 * Whether the jump stays where it is. It goes to the top when a rule before it ends the chain for all packets with
 * RETURN, which is what Docker ends its chain with (`ends`). A DROP or REJECT before it was put there on purpose, and
 * is reported instead (`blackholes`); after an ACCEPT nothing is missing.
 */
export function isReached(rules: readonly string[], jump: string, ends = /^-j RETURN\b/): boolean {
  const end = rules.findIndex((rule) => ends.test(rule));
  const at = rules.indexOf(jump);
  return at >= 0 && (end < 0 || at < end);
}

/** Our rules that are not wanted, or there more than once; deleting by text takes the first of equal ones. */
export function withoutMarked(rules: readonly string[], marks: Marks, isWanted: (rule: string) => boolean): string[] {
  const seen = new Set<string>();
  return rules.filter((rule) => {
    const mark = /--comment (\S+)/.exec(rule)?.[1];
    if (mark === undefined || !marks.all.has(mark)) return false;
    const isExtra = seen.has(rule);
    seen.add(rule);
    return isExtra || !isWanted(rule);
  });
}

function filterRule(
  action: 'append' | 'insert' | 'delete',
  family: Family,
  table: 'nat' | 'filter',
  chain: string,
  rule: string,
  scope: Scope,
  part: Part,
): Step {
  return { kind: 'filter-rule', action, family, table, chain, rule, scope, part };
}

function unreadable(there: Readable<unknown>, scopes: readonly Scope[], part: Part): Problem[] {
  const error = there.kind === 'unreadable' ? there.error : 'the firewall was not read';
  return scopes.map((scope) => ({ scope, part, error }));
}
