/** Turns what a pass found into the status of each overlay. Pure. */
import type { DesiredHost, DesiredOverlay } from '#host/desired/desired.js';
import type { HostOverlayStatus, HostStatus } from '#host/host-status.js';
import { familyOfPart, type Problem } from '#host/problem.js';

/** `problems` were seen, `failures` happened; `converged` says that no step is left to run. */
export function hostStatusOf(
  { overlays }: DesiredHost,
  problems: readonly Problem[],
  failures: readonly Problem[],
  converged: boolean,
): HostStatus {
  const all = [...problems, ...failures];
  const errors = all.filter(({ note }) => note === undefined);
  const ofHost = errors.filter((problem) => concernsAll(problem, overlays)).map(({ error }) => error);
  return {
    overlays: overlays.map((overlay) => overlayStatus(overlay, all)),
    problems: unique(ofHost),
    converged,
    ...(converged && ofHost.length === 0 && { cleared: true as const }),
  };
}

/** Also what is left of overlays that this host no longer has: the others work all the same. */
function concernsAll(problem: Problem, overlays: readonly DesiredOverlay[]): boolean {
  const { scope } = problem;
  if (scope.kind === 'overlay') return overlays.every(({ name }) => name !== scope.name);
  if (familyOfPart(problem.part) === undefined) return true;
  const held = overlays.filter(({ families }) => families.length > 0);
  return held.length > 0 && held.every((overlay) => concerns(problem, overlay));
}

/** A problem of the host is one of each overlay; where one family alone fails, of each that has this family. */
function concerns({ scope, part }: Problem, { name, families }: DesiredOverlay): boolean {
  if (scope.kind === 'overlay') return scope.name === name;
  const family = familyOfPart(part);
  return family === undefined || families.includes(family);
}

function overlayStatus(overlay: DesiredOverlay, all: readonly Problem[]): HostOverlayStatus {
  const { name } = overlay;
  const own = all.filter((problem) => concerns(problem, overlay));
  const errors = own.filter(({ note }) => note === undefined).map(({ error }) => error);
  const notes = unique(own.filter(({ note }) => note !== undefined).map(({ error }) => error));
  return errors.length === 0 ? { kind: 'ok', name, notes } : { kind: 'failed', name, error: unique(errors).join('. ') };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
