/** The CNI files: written where they differ, removed where they are ours and no longer wanted. */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { overlayScope, type Problem } from '#host/problem.js';

export function diffCni({ cni, marks }: DesiredHost, observed: ObservedHost): StepPlan {
  const there = observed.cni;
  const { dir } = cni;
  if (there.kind !== 'read') {
    const error = there.kind === 'unreadable' ? there.error : `the CNI folder ${dir} was not read`;
    return { steps: [], problems: [...cni.files.keys()].map((name) => problem(name, error)) };
  }
  const steps: Step[] = [];
  const problems: Problem[] = [];
  const isOurs = (name: string) => marks.all.has(there.value.get(name)?.mark ?? '');
  for (const [name, content] of cni.files) {
    const inTheWay = [name, twin(name)].find((file) => there.value.has(file) && !isOurs(file));
    if (inTheWay !== undefined) {
      problems.push(problem(name, `${dir}/${inTheWay} describes the same network and is not Sublet's: move it away`));
    } else if (
      !there.value.has(name) &&
      wouldBeFirst(
        name,
        [...there.value.keys()].filter((file) => !isOurs(file)),
      )
    ) {
      const why = `${name} would come before every other network file in ${dir}, and engines take the first for their default network`;
      problems.push(problem(name, `${why}: give the overlay a name that begins with a letter`));
    } else if (there.value.get(name)?.content !== content) {
      steps.push({ kind: 'cni-write', dir, name, content, scope: overlayScope(overlayOf(name)), part: 'cni' });
    }
  }
  for (const name of there.value.keys()) {
    if (isOurs(name) && !cni.files.has(name))
      steps.push({ kind: 'cni-delete', dir, name, scope: overlayScope(overlayOf(name)), part: 'cni' });
  }
  return { steps, problems };
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

function overlayOf(name: string): string {
  return name.slice(0, name.lastIndexOf('.'));
}

function problem(name: string, error: string): Problem {
  return { scope: overlayScope(overlayOf(name)), part: 'cni', error };
}
