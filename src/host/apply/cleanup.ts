/** Takes everything of Sublet's off the host, and nothing else. */
import { apply, type Tools } from '#host/apply/apply.js';
import { nothing } from '#host/desired/desired.js';
import { markOf } from '#host/desired/marks.js';
import { diff } from '#host/diff/diff.js';
import type { HostSettings } from '#host/input.js';
import { allAreas, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import type { CleanupReport } from '#host/reconciler-interface.js';
import { planned } from '#host/tools/tool-command.js';

/** Idempotent. Bridges and Docker networks with containers on them stay, and are listed in `left`. */
export async function cleanHost(
  clusterIds: readonly string[],
  settings: HostSettings,
  { run, batches, docker }: Omit<Tools, 'iptables'>,
): Promise<CleanupReport> {
  const wish = nothing(clusterIds, settings);
  const lookout = {
    run,
    docker,
    vtepName: '',
    bridges: [],
    overlays: [],
    ways: [],
    forwards6: false,
    marks: [...wish.marks.all],
    settings,
  };
  const observed = await observe(lookout, allAreas, bareHost);
  const plan = diff(wish, observed);
  const outcomes = await apply(plan.steps, { run, batches, docker, iptables: settings.iptables });
  await batches.close();
  return {
    removed: outcomes.filter(({ kind }) => kind === 'done').map(({ step }) => planned(step)),
    left: [
      ...plan.problems.map(({ error }) => error),
      ...outcomes.flatMap((outcome) => {
        if (outcome.kind === 'failed') return [outcome.error];
        return outcome.kind === 'skipped'
          ? [`${planned(outcome.step).command}: not tried, since a step before it failed`]
          : [];
      }),
      ...unread(observed, clusterIds, settings),
    ],
  };
}

/** Places that could not be looked at may still hold something of ours. */
function unread(observed: ObservedHost, clusterIds: readonly string[], settings: HostSettings): string[] {
  const { sets, tables, cni, docker, runFiles } = observed;
  const isWithout = settings.dockerOptional === true && docker.kind === 'unreadable' && docker.socket !== undefined;
  const asksDocker = settings.usesDocker && !isWithout;
  const places = [
    sets,
    tables[4],
    tables[6],
    cni,
    ...observed.cniBeside.values(),
    runFiles,
    ...(asksDocker ? [docker] : []),
  ];
  const marks = clusterIds.map(markOf).join(' or ');
  return places.flatMap((place) =>
    place.kind === 'unreadable' ? [`could not look for ${marks}: ${place.error}`] : [],
  );
}
