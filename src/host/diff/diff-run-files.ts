/** The lease's files: written where they differ, removed where they are ours and no longer wanted. */
import { basename } from 'node:path';
import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { envEnding, isOursAt } from '#host/desired/desired-run-files.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { hostScope, overlayScope, type Problem, type Scope } from '#host/problem.js';

export function diffRunFiles({ runFiles, marks }: DesiredHost, { runFiles: there }: ObservedHost): StepPlan {
  const { files, flannelError } = runFiles;
  if (files === undefined) return { steps: [], problems: [] };
  if (there.kind !== 'read') {
    const error = there.kind === 'unreadable' ? there.error : 'the run files were not read';
    return { steps: [], problems: files.size === 0 ? [] : [problem(hostScope, error)] };
  }
  const steps: Step[] = [];
  const problems: Problem[] = flannelError === undefined ? [] : [problem(hostScope, flannelError)];
  for (const [path, { overlay, content }] of files) {
    const now = there.value.get(path);
    const scope = overlay === undefined ? hostScope : overlayScope(overlay);
    if (now !== undefined && !isOursAt(now, marks)) {
      problems.push(
        problem(scope, `${path} is there and not Sublet's: stop the program that writes it, and remove it`),
      );
    } else if (now !== content) {
      steps.push({ kind: 'file-write', path, content, scope, part: 'files' });
    }
  }
  for (const [path, content] of there.value) {
    if (!files.has(path) && isOursAt(content, marks)) {
      steps.push({ kind: 'file-delete', path, scope: scopeOf(path), part: 'files' });
    }
  }
  return { steps, problems };
}

/** Of a file whose overlay is no longer there, by its name. */
function scopeOf(path: string): Scope {
  const name = basename(path);
  return name.endsWith(envEnding) ? overlayScope(name.slice(0, -envEnding.length)) : hostScope;
}

function problem(scope: Scope, error: string): Problem {
  return { scope, part: 'files', error };
}
