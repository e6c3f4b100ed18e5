/**
 * What must be done so that the observed host becomes the desired one, in an order that never routes to what can't be
 * reached. Pure. Equal hosts give no steps; what only somebody else can mend gives a problem instead of a step.
 */
import { diffBlackholes } from '#host/blackholes.js';
import type { DesiredHost } from '#host/desired.js';
import { diffBridges } from '#host/diff-bridges.js';
import { diffCni } from '#host/diff-cni.js';
import { diffDevice } from '#host/diff-device.js';
import { diffDocker } from '#host/diff-docker.js';
import { diffFirewall } from '#host/diff-firewall.js';
import { diffGuard } from '#host/diff-guard.js';
import { diffPeers } from '#host/diff-peers.js';
import { diffLooseFilters, diffSysctls } from '#host/diff-sysctl.js';
import type { ObservedHost } from '#host/observed.js';
import type { StepPlan } from '#host/step-plan.js';
import { diffStrangers } from '#host/strangers.js';

export function diff(desired: DesiredHost, observed: ObservedHost): StepPlan {
  const device = diffDevice(desired, observed);
  // Another one's device has the name: whatever is done for the network would be done for that one.
  if (desired.device.kind === 'present' && device.tables === undefined) {
    return { steps: [], problems: [...desired.problems, ...device.problems] };
  }
  const parts: StepPlan[] = [
    diffSysctls(desired, observed),
    device,
    diffGuard(desired, observed),
    diffPeers(desired, device.tables),
    diffLooseFilters(desired, observed, device.creates),
    diffFirewall(desired, observed),
    diffBridges(desired, observed),
    diffStrangers(desired, observed),
    diffCni(desired, observed),
    diffDocker(desired, observed),
  ];
  parts.push(
    diffBlackholes(
      desired,
      observed,
      parts.flatMap(({ steps }) => steps),
    ),
  );
  return {
    steps: parts.flatMap(({ steps }) => steps),
    problems: [...desired.problems, ...parts.flatMap(({ problems }) => problems)],
  };
}
