/**
 * The Docker networks. One of that name with another subnet is an error and never "already there"; one of ours with
 * containers on it is never removed under them.
 */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import {
  type DesiredDockerNetwork,
  type DockerEngineFacts,
  type DockerNetworkRequest,
  directRoutingBlock,
  dockerOption,
  dockerRequest,
} from '#host/desired/desired-docker.js';
import type { Marks } from '#host/desired/marks.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedDockerNetwork, ObservedHost } from '#host/observe/observed.js';
import { overlayScope, type Problem, type Scope } from '#host/problem.js';

export function diffDocker(
  { docker: wanted, dockerOptional, marks }: DesiredHost,
  { docker: there, links }: ObservedHost,
): StepPlan {
  if (there.kind !== 'read') {
    // A bridge of Docker's stays when the engine ends: where there is one, Docker belongs to this host.
    const isHostWithout = there.kind === 'unreadable' && !wanted.some(({ bridge }) => links.has(bridge));
    if (dockerOptional && isHostWithout && there.socket !== undefined) {
      return { steps: [], problems: wanted.map(waits) };
    }
    const error = there.kind === 'unreadable' ? there.error : 'Docker was not asked';
    return { steps: [], problems: wanted.map(({ overlay }) => problem(overlay, error)) };
  }
  const plans = wanted.map((network): StepPlan => {
    const now = there.networks.get(network.overlay);
    const request = dockerRequest(network, there.engine);
    if (now === undefined) return { steps: [create(request, network.overlay)], problems: [] };
    return compare(network, request, now, marks, there.engine);
  });
  const names = new Set(wanted.map(({ overlay }) => overlay));
  const stale = [...there.networks.values()].filter(({ name, mark }) => marks.all.has(mark ?? '') && !names.has(name));
  plans.push(
    ...stale.map((network) => removal(network, overlayScope(network.name), 'which this host no longer holds')),
  );
  return { steps: plans.flatMap(({ steps }) => steps), problems: plans.flatMap(({ problems }) => problems) };
}

/** On a host without Docker. */
function waits({ overlay, bridge }: DesiredDockerNetwork): Problem {
  const error = `this host has no Docker: the addresses of ${bridge} wait for it; without Docker set network_config.docker_bridge to false`;
  return { ...problem(overlay, error), note: true };
}

function compare(
  network: DesiredDockerNetwork,
  request: DockerNetworkRequest,
  there: ObservedDockerNetwork,
  marks: Marks,
  engine: DockerEngineFacts,
): StepPlan {
  const { overlay } = network;
  const isOurs = marks.all.has(there.mark ?? '');
  const wrong = differences(network, there);
  if (wrong.length === 0) {
    const unlike = Object.entries(request.Options).filter(([key, value]) => there.options[key] !== value);
    const isIdle = isOurs && there.containers.length === 0;
    if (isIdle && unlike.length > 0) wrong.push('options of another lease');
    else return { steps: [], problems: fitProblems(network, unlike, there, engine) };
  }
  if (!isOurs) {
    const error = `there is a Docker network "${overlay}" that is not Sublet's, with ${wrong.join(' and ')}: remove it with "docker network rm ${overlay}"`;
    return { steps: [], problems: [problem(overlay, error)] };
  }
  const { steps, problems } = removal(there, overlayScope(overlay), `with ${wrong.join(' and ')}`);
  return { steps: steps.length === 0 ? [] : [...steps, create(request, overlay)], problems };
}

/** What makes the network unfit, in words. */
function differences({ subnet, subnet6, bridge }: DesiredDockerNetwork, there: ObservedDockerNetwork): string[] {
  const wrong: string[] = [];
  const wanted = [subnet, subnet6].filter((range) => range !== undefined);
  if (there.driver !== 'bridge') wrong.push(`driver ${there.driver} and not bridge`);
  if (!wanted.every((range) => there.subnets.includes(range))) {
    wrong.push(`subnet ${there.subnets.join(', ') || 'none'} and not ${wanted.join(', ')}`);
  }
  const name = there.options[dockerOption.bridge];
  if (name !== bridge) wrong.push(`bridge ${name ?? 'of a generated name'} and not ${bridge}`);
  return wrong;
}

/** Options that decide from where the containers are reached. */
const routingOptions: ReadonlySet<string> = new Set([
  dockerOption.trusted,
  dockerOption.gatewayMode4,
  dockerOption.gatewayMode6,
]);

/** A network that was made for another engine, or before an upgrade, may cut its containers off from other hosts. */
function fitProblems(
  network: DesiredDockerNetwork,
  unlike: readonly (readonly [key: string, value: string])[],
  there: ObservedDockerNetwork,
  engine: DockerEngineFacts,
): Problem[] {
  const { overlay, reachedBy } = network;
  const block = directRoutingBlock(network, engine, there.options, reachedBy);
  if (block === undefined) return notes(network, unlike, there);
  const on = there.containers.length === 0 ? '' : ` (${named(there.containers)})`;
  const error = `containers on the Docker network "${overlay}"${on} are cut off from other hosts: ${block}. Stop them or disconnect them, and "docker network rm ${overlay}": Sublet creates it again as it has to be, then start them`;
  const others = unlike.filter(([key]) => !routingOptions.has(key));
  return [problem(overlay, error), ...notes(network, others, there)];
}

/** What is not as we would make it, but carries traffic; and what Docker did of its own accord. */
function notes(
  { overlay, subnet }: DesiredDockerNetwork,
  unlike: readonly (readonly [key: string, value: string])[],
  there: ObservedDockerNetwork,
): Problem[] {
  const said = unlike.map(
    ([key, value]) =>
      `Docker network "${overlay}" has ${key} "${there.options[key] ?? ''}" and not "${value}": make it anew when it has no containers ("docker network rm ${overlay}", Sublet creates it again)`,
  );
  const stray = subnet === undefined ? there.subnets.filter((range) => !range.includes(':')) : [];
  said.push(
    ...stray.map(
      (range) =>
        `Docker gave the IPv6-only network "${overlay}" an IPv4 pool of its own, ${range}: engines before 28 can't do without`,
    ),
  );
  return said.map((error) => ({ ...problem(overlay, error), note: true }));
}

function removal(network: ObservedDockerNetwork, scope: Scope, why: string): StepPlan {
  const { name, id, containers } = network;
  if (containers.length === 0) {
    return { steps: [{ kind: 'docker-delete', name, id, scope, part: 'docker' }], problems: [] };
  }
  const error = `Docker network "${name}" ${why} still has containers (${named(containers)}): stop them or connect them elsewhere`;
  return { steps: [], problems: [{ scope, part: 'docker', error }] };
}

/** Containers named in an error. */
const namedMax = 5;

function named(containers: readonly string[]): string {
  return `${containers.slice(0, namedMax).join(', ')}${containers.length > namedMax ? ', …' : ''}`;
}

function create(request: DockerNetworkRequest, overlay: string): Step {
  return { kind: 'docker-create', request, scope: overlayScope(overlay), part: 'docker' };
}

function problem(overlay: string, error: string): Problem {
  return { scope: overlayScope(overlay), part: 'docker', error };
}
