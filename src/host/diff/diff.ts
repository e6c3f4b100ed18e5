/**
 * What must be done so that the observed host becomes the desired one, in an order that never routes to what can't be
 * reached. Pure. Equal hosts give no steps; what is not ours to change gives a problem instead of a step.
 */

import type { StepPlan } from '#host/apply/step-plan.js';
import { diffBlackholes } from '#host/desired/blackholes.js';
import type { DesiredHost } from '#host/desired/desired.js';
import { diffBridges } from '#host/diff/diff-bridges.js';
import { diffCni } from '#host/diff/diff-cni.js';
import { diffDevice } from '#host/diff/diff-device.js';
import { diffDocker } from '#host/diff/diff-docker.js';
import { diffFirewall } from '#host/diff/diff-firewall.js';
import { diffGuard } from '#host/diff/diff-guard.js';
import { diffPeers } from '#host/diff/diff-peers.js';
import { diffRunFiles } from '#host/diff/diff-run-files.js';
import { diffLooseFilters, diffSysctls } from '#host/diff/diff-sysctl.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { diffDetours, diffStrangers } from '#host/observe/strangers.js';

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
    // Last: a program that finds the file finds what it speaks of.
    diffRunFiles(desired, observed),
  ];
  const before: StepPlan = {
    steps: parts.flatMap(({ steps }) => steps),
    problems: [...desired.problems, ...parts.flatMap(({ problems }) => problems)],
  };
  const found = [diffBlackholes(desired, observed, before.steps), diffDetours(desired, observed, before)];
  return { ...before, problems: [...before.problems, ...found.flatMap(({ problems }) => problems)] };
}
