/** What would be done to this host, without doing it; works without root and where the tools are missing. */
import { HostInputError, hostRefusal } from '#host/desired/bounds.js';
import { desired } from '#host/desired/desired.js';
import type { Underlay } from '#host/desired/underlay.js';
import { diff } from '#host/diff/diff.js';
import type { HostInput } from '#host/input.js';
import { factsOf } from '#host/observe/host-facts.js';
import { type Area, allAreas, lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import type { PlannedStep } from '#host/reconciler-interface.js';
import type { DockerEngine } from '#host/tools/docker-engine.js';
import type { Runner } from '#host/tools/runner.js';
import { planned } from '#host/tools/tool-command.js';

/** Taken where node_ip is on no interface of the machine that plans. */
const plannedUnderlay: Underlay = { device: 'the underlay', mtu: 1500 };

/** The steps for `input` on this host as it is; what can't be read counts as not there yet. */
export async function planHost(input: HostInput, run: Runner, docker: DockerEngine): Promise<readonly PlannedStep[]> {
  return plannedSteps(input, await observeWhatCan(input, run, docker));
}

/** The steps for `input` on a host observed so. Pure. @throws HostInputError for what this host refuses */
export function plannedSteps(input: HostInput, observed: ObservedHost): readonly PlannedStep[] {
  const wish = desired(input, { underlay: plannedUnderlay, ...factsOf(observed, input) });
  const refusal = hostRefusal(input, observed);
  if (refusal !== undefined) throw new HostInputError(refusal);
  return diff(wish, observed).steps.map(planned);
}

async function observeWhatCan(input: HostInput, run: Runner, docker: DockerEngine): Promise<ObservedHost> {
  let observed = bareHost;
  for (const area of allAreas) {
    try {
      observed = readOrBare(await observe(lookoutOf(input, run, docker), new Set<Area>([area]), observed));
    } catch {
      // Missing tool, or no right to look: the plan then is that for a bare host, which is what it is for.
    }
  }
  return observed;
}

function readOrBare(observed: ObservedHost): ObservedHost {
  const { sets, tables, cni, docker, runFiles } = observed;
  return {
    ...observed,
    sets: sets.kind === 'read' ? sets : bareHost.sets,
    tables: {
      4: tables[4].kind === 'read' ? tables[4] : bareHost.tables[4],
      6: tables[6].kind === 'read' ? tables[6] : bareHost.tables[6],
    },
    cni: cni.kind === 'read' ? cni : bareHost.cni,
    cniBeside: new Map([...observed.cniBeside].map(([dir, one]) => [dir, one.kind === 'read' ? one : bareHost.cni])),
    docker: docker.kind === 'read' ? docker : bareHost.docker,
    runFiles: runFiles.kind === 'read' ? runFiles : bareHost.runFiles,
  };
}
