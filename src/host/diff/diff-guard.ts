/**
 * The guard's sets, its chain in the table `raw` and the jump to it. A peer is in the set before the chain is there and
 * before anything is routed to it. What fails here is a note: an overlay without its guard works.
 */
import type { Family } from '#address/ip.js';
import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import type { DesiredSet } from '#host/desired/desired-firewall.js';
import { guardChain, guardedSet, peersSet } from '#host/desired/marks.js';
import { isReached, withoutMarked } from '#host/diff/diff-firewall.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost, ObservedSet, ObservedTables } from '#host/observe/observed.js';
import { hostScope, type Problem, partOf } from '#host/problem.js';

export function diffGuard(desired: DesiredHost, observed: ObservedHost): StepPlan {
  const plans = ([4, 6] as const).map((family) => diffFamily(desired, observed, family));
  return { steps: plans.flatMap(({ steps }) => steps), problems: plans.flatMap(({ problems }) => problems) };
}

function diffFamily({ guard, marks }: DesiredHost, observed: ObservedHost, family: Family): StepPlan {
  const { sets, tables } = observed;
  const rules = guard.rules[family];
  const wanted = guard.sets.filter((set) => set.family === family);
  const part = partOf('guard', family);
  const note = (error: string): StepPlan => ({
    steps: [],
    problems: rules.length === 0 ? [] : [{ scope: hostScope, part, error: `${without}: ${error}`, note: true }],
  });
  const table = tables[family];
  if (sets.kind !== 'read') return note(sets.kind === 'unreadable' ? sets.error : 'the ipsets were not read');
  if (table.kind !== 'read') return note(table.kind === 'unreadable' ? table.error : 'the firewall was not read');
  if (table.value.incompatible?.includes('raw')) {
    return note(
      'the table raw holds rules made with nft, which iptables can not show: put them into a table of their own',
    );
  }
  const strange = wanted.find((set) => isOfOthers(set, sets.value.get(set.name)));
  if (strange !== undefined) {
    return note(`the ipset "${strange.name}" is not of type ${strange.type}: remove or rename it`);
  }

  const scope = { scope: hostScope, part } as const;
  const fill = wanted.map((set) => fillSet(set, sets.value.get(set.name)));
  const unused = [peersSet[family], guardedSet[family]].filter(
    (name) => sets.value.has(name) && wanted.every((set) => set.name !== name),
  );
  return {
    steps: [
      ...fill.flatMap(({ add }) => add),
      ...chainSteps(rules, table.value, family),
      ...jumpSteps(rules.length > 0, table.value, family, marks),
      ...(rules.length === 0 && table.value.guard !== undefined
        ? [{ kind: 'chain-delete', family, table: 'raw', chain: guardChain, ...scope } satisfies Step]
        : []),
      ...fill.flatMap(({ del }) => del),
      ...unused.map((name): Step => ({ kind: 'set-destroy', name, ...scope })),
    ],
    problems: [] satisfies Problem[],
  };
}

const without = 'the underlay is not kept out of the overlays';

function isOfOthers(set: DesiredSet, there: ObservedSet | undefined): boolean {
  return there !== undefined && (there.type !== set.type || there.family !== set.family);
}

/** These sets are ours as a whole, by their names: a foreign entry would open the guard and is removed. */
function fillSet(set: DesiredSet, there: ObservedSet | undefined): { readonly add: Step[]; readonly del: Step[] } {
  const { name, family, type } = set;
  const scope = { scope: hostScope, part: partOf('guard', family) } as const;
  const add: Step[] = there === undefined ? [{ kind: 'set-create', name, family, type, ...scope }] : [];
  const del: Step[] = [];
  for (const entry of set.entries.keys()) {
    if (there?.entries.get(entry)?.nomatch === false) continue;
    add.push({ kind: 'set-entry', action: 'add', set: name, entry, nomatch: false, ...scope });
  }
  for (const [entry, { nomatch }] of there?.entries ?? []) {
    if (!set.entries.has(entry)) del.push({ kind: 'set-entry', action: 'del', set: name, entry, nomatch, ...scope });
  }
  return { add, del };
}

function chainSteps(rules: readonly string[], { guard }: ObservedTables, family: Family): Step[] {
  if (rules.length === 0 || guard?.join('\n') === rules.join('\n')) return [];
  const part = partOf('guard', family);
  return [{ kind: 'chain-set', family, table: 'raw', chain: guardChain, rules, scope: hostScope, part }];
}

function jumpSteps(
  isWanted: boolean,
  { prerouting }: ObservedTables,
  family: Family,
  marks: DesiredHost['marks'],
): Step[] {
  const jump = `-m comment --comment ${marks.current} -j ${guardChain}`;
  // An ACCEPT before it would pass by the guard.
  const keep = isWanted && isReached(prerouting, jump, /^-j (RETURN|ACCEPT)\b/);
  const step = (action: 'insert' | 'delete', rule: string): Step => {
    const part = partOf('guard', family);
    return { kind: 'filter-rule', action, family, table: 'raw', chain: 'PREROUTING', rule, scope: hostScope, part };
  };
  return [
    ...withoutMarked(prerouting, marks, (rule) => keep && rule === jump).map((rule) => step('delete', rule)),
    ...(isWanted && !keep ? [step('insert', jump)] : []),
  ];
}
