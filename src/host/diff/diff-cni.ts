/** The CNI files: written where they differ, removed where they are ours and no longer wanted. */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { cniNetworkName, type DesiredCni } from '#host/desired/desired-cni.js';
import type { Marks } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedCniFile, ObservedHost } from '#host/observe/observed.js';
import { overlayScope, type Problem } from '#host/problem.js';

export function diffCni({ cni, marks }: DesiredHost, observed: ObservedHost): StepPlan {
  const plans = cni.dirs.map((dir, at) =>
    diffFolder(cni, marks, dir, {
      files: at === 0 ? observed.cni : (observed.cniBeside.get(dir) ?? { kind: 'unasked' }),
      first: observed.cniFirst.get(dir),
    }),
  );
  return { steps: plans.flatMap(({ steps }) => steps), problems: plans.flatMap(({ problems }) => problems) };
}

type Folder = { readonly files: ObservedHost['cni']; readonly first: string | undefined };

function diffFolder(cni: DesiredCni, marks: Marks, dir: string, { files: there, first }: Folder): StepPlan {
  const networks = networksOf(cni);
  if (there.kind !== 'read') {
    const error = there.kind === 'unreadable' ? there.error : `the CNI folder ${dir} was not read`;
    return { steps: [], problems: networks.map(({ overlay }) => problem(overlay, error)) };
  }
  const isOurs = (file: ObservedCniFile | undefined) => marks.all.has(file?.mark ?? '');
  const others = new Map([...there.value].filter(([, file]) => !isOurs(file)));
  const ours = new Map([...there.value].filter(([, file]) => isOurs(file)));
  const steps: Step[] = [];
  const problems: Problem[] = [];
  const names = fileNames(networks, cni.first ?? first, ours);
  for (const { overlay, plain, content } of networks) {
    const name = names.get(overlay) ?? plain;
    const inTheWay =
      [name, twin(name)].find((file) => others.has(file)) ??
      [...others].find(([, { network }]) => network === overlay)?.[0];
    if (inTheWay !== undefined) {
      problems.push(
        problem(overlay, `${dir}/${inTheWay} describes the same network and is not Sublet's: move it away`),
      );
    } else if (!cni.isPlaced && !ours.has(name) && wouldBeFirst(name, [...others.keys()])) {
      const why = `${name} would come before every other network file in ${dir}, and engines take the first for their default network`;
      problems.push(problem(overlay, `${why}: give the overlay a name that begins with a letter`));
    } else if (ours.get(name)?.content !== content) {
      steps.push({ kind: 'cni-write', dir, name, content, scope: overlayScope(overlay), part: 'cni' });
    }
  }
  const wanted = new Set(names.values());
  for (const [name, { network }] of ours) {
    if (wanted.has(name)) continue;
    const overlay = network ?? name.slice(0, name.lastIndexOf('.'));
    steps.push({ kind: 'cni-delete', dir, name, scope: overlayScope(overlay), part: 'cni' });
  }
  return { steps, problems };
}

type Network = { readonly overlay: string; readonly plain: string; readonly content: string };

function networksOf({ files }: DesiredCni): Network[] {
  return [...files]
    .map(([plain, content]) => ({ overlay: cniNetworkName(content) ?? plain, plain, content }))
    .sort((a, b) => (a.plain < b.plain ? -1 : 1));
}

/**
 * The name of each overlay's file. Engines of Kubernetes take the first file by name for their default network, so an
 * overlay that comes later never takes that place from another one: where its name would sort before, its file is
 * named to come after.
 */
function fileNames(
  networks: readonly Network[],
  first: string | undefined,
  ours: ReadonlyMap<string, ObservedCniFile>,
): ReadonlyMap<string, string> {
  const before = [...ours].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { network }]) => network);
  const present = before.find((name) => networks.some(({ overlay }) => overlay === name));
  const named = (name: string | undefined) => networks.find(({ overlay }) => overlay === name);
  const leading = named(first) ?? named(present) ?? networks[0];
  return new Map(
    networks.map(({ overlay, plain }) => {
      if (leading === undefined || plain >= leading.plain || !plain.endsWith('.conflist')) return [overlay, plain];
      return [overlay, after(plain, overlay, leading.plain)];
    }),
  );
}

/** The plain name, with letters before the overlay's that have it sort after `leading`. */
function after(plain: string, overlay: string, leading: string): string {
  const at = plain.lastIndexOf(overlay);
  let letters = 'zz';
  const name = (): string => `${plain.slice(0, at)}${letters}-${plain.slice(at)}`;
  while (name() <= leading) letters += 'z';
  return name();
}

/**
 * Whether our file would come first among the others by accident: engines of Kubernetes take the first file by name, whose number (`10-flannel.conflist`)
 * says so. A name that begins with a letter stands behind those; with a digit or a hyphen it may not.
 */
function wouldBeFirst(name: string, others: readonly string[]): boolean {
  return /^[^a-z]/.test(name) && others.length > 0 && others.every((other) => name < other);
}

/** The name that the same network has in the other style; engines must never see both. */
function twin(name: string): string {
  return name.endsWith('.conflist') ? name.replace(/list$/, '') : `${name}list`;
}

function problem(overlay: string, error: string): Problem {
  return { scope: overlayScope(overlay), part: 'cni', error };
}
