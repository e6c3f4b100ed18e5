/** Turns what a pass found into the status of each overlay. Pure. */
import type { DesiredHost } from '#host/desired.js';
import type { Problem } from '#host/problem.js';
import type { HostStatus, OverlayStatus } from '#host/status.js';

/** `problems` were seen, `failures` happened; `converged` says that no step is left to run. */
export function statusOf(
  { overlays }: DesiredHost,
  problems: readonly Problem[],
  failures: readonly Problem[],
  converged: boolean,
): HostStatus {
  const all = [...problems, ...failures];
  const errors = all.filter(({ note }) => note === undefined);
  const ofHost = errors.filter(({ scope }) => scope.kind === 'host').map(({ error }) => error);
  return {
    overlays: overlays.map((name) => overlayStatus(name, all, ofHost)),
    problems: unique(ofHost),
    converged,
  };
}

function overlayStatus(name: string, all: readonly Problem[], ofHost: readonly string[]): OverlayStatus {
  const own = all.filter(({ scope }) => scope.kind === 'overlay' && scope.name === name);
  const errors = [...ofHost, ...own.filter(({ note }) => note === undefined).map(({ error }) => error)];
  const ofHostToo = all.filter(({ scope }) => scope.kind === 'host' || scope.name === name);
  const notes = unique(ofHostToo.filter(({ note }) => note !== undefined).map(({ error }) => error));
  return errors.length === 0 ? { kind: 'ok', name, notes } : { kind: 'failed', name, error: unique(errors).join('. ') };
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
