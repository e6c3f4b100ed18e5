/** Keeps tables that are equal once: with 65,000 peers each is some ten MB. */
import type { DesiredHost } from '#host/desired/desired.js';
import type { ObservedHost } from '#host/observe/observed.js';

/** Where a table is as wanted the model holds the very same map, so that it is kept once and compared at a glance. */
export function shareTables(model: ObservedHost, wish: DesiredHost): ObservedHost {
  const share = (have: ReadonlyMap<string, string>, want: ReadonlyMap<string, string>) =>
    sameTable(have, want) ? want : have;
  return {
    ...model,
    neighbours: share(model.neighbours, wish.neighbours),
    fdb: share(model.fdb, wish.fdb),
    routes: share(model.routes, wish.routes),
    sourceRoutes: share(model.sourceRoutes, wish.sourceRoutes),
  };
}

function sameTable(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  for (const [key, value] of a) if (b.get(key) !== value) return false;
  return true;
}
