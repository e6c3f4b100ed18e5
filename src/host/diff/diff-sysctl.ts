/** The kernel settings under which a host forwards between its containers and the tunnel. */

import type { StepPlan } from '#host/apply/step-plan.js';
import type { DesiredHost } from '#host/desired/desired.js';
import type { Step } from '#host/diff/host-step.js';
import type { ObservedHost } from '#host/observe/observed.js';
import { hostScope, overlayScope, type Part, type Scope } from '#host/problem.js';
import { forwardPath, reversePathFilter } from '#host/tools/sysctl-path.js';

/**
 * Forwarding makes a Linux host stop listening to router advertisements, unless the interface has `accept_ra` 2; that
 * is set first, so that a host that lives by them keeps its default route.
 */
export function diffSysctls({ sysctls: wanted }: DesiredHost, { sysctls, raDevices }: ObservedHost): StepPlan {
  const steps: Step[] = [];
  if (wanted.forward4 && sysctls.get(forwardPath[4]) !== '1') steps.push(sysctl('sysctl', forwardPath[4], '1'));
  if (wanted.forward6 && sysctls.get(forwardPath[6]) !== '1') {
    steps.push(
      ...raDevices.map((device) => sysctl('sysctl6', `net/ipv6/conf/${device}/accept_ra`, '2')),
      sysctl('sysctl6', forwardPath[6], '1'),
    );
  }
  return { steps, problems: [] };
}

/** The VTEP's and the bridges' filters; a device that is not there yet gets its setting when it comes. */
export function diffLooseFilters(desired: DesiredHost, observed: ObservedHost, creates: string | undefined): StepPlan {
  const steps = desired.sysctls.looseDevices
    .filter(({ name }) => name === creates || observed.links.has(name))
    .filter(({ name }) => name === creates || observed.sysctls.get(reversePathFilter(name)) !== '2')
    .map(({ name, overlay }) => {
      const scope = overlay === undefined ? hostScope : overlayScope(overlay);
      return sysctl('loose-filter', reversePathFilter(name), '2', scope);
    });
  return { steps, problems: [] };
}

function sysctl(part: Part, path: string, value: string, scope: Scope = hostScope): Step {
  return { kind: 'sysctl', path, value, scope, part };
}
