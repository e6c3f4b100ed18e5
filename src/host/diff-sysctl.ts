/** The kernel settings under which a host forwards between its containers and the tunnel. */
import type { DesiredHost } from '#host/desired.js';
import type { Plan } from '#host/diff.js';
import type { ObservedHost } from '#host/observed.js';
import { hostScope, type Problem } from '#host/problem.js';
import type { Step } from '#host/step.js';

export const forwardPath = { 4: 'net/ipv4/ip_forward', 6: 'net/ipv6/conf/all/forwarding' } as const;

/** Reverse path filter of one device: 2 is loose (RFC 3704 §2.4). */
export function reversePathFilter(device: string): string {
  return `net/ipv4/conf/${device}/rp_filter`;
}

/**
 * Forwarding makes a Linux host stop listening to router advertisements, unless the interface is told to go on
 * (`accept_ra` 2); that comes first, so that a host that lives by them keeps its default route.
 */
export function diffSysctls({ sysctls: wanted }: DesiredHost, { sysctls, raDevices }: ObservedHost): Plan {
  const steps: Step[] = [];
  const problems: Problem[] = [];
  if (wanted.forward4 && sysctls.get(forwardPath[4]) !== '1') steps.push(sysctl(forwardPath[4], '1'));
  const forward6 = sysctls.get(forwardPath[6]);
  if (wanted.forward6 && forward6 === undefined) {
    problems.push({ scope: hostScope, part: 'sysctl', error: withoutIpv6 });
  } else if (wanted.forward6 && forward6 !== '1') {
    steps.push(
      ...raDevices.map((device) => sysctl(`net/ipv6/conf/${device}/accept_ra`, '2')),
      sysctl(forwardPath[6], '1'),
    );
  }
  return { steps, problems };
}

const withoutIpv6 =
  'this kernel has IPv6 switched off: boot without ipv6.disable=1, or set network_config.enable_ipv6 to false';

/** The VTEP's and the bridges' filters; a device that is not there yet gets its setting when it comes. */
export function diffLooseFilters(desired: DesiredHost, observed: ObservedHost, creates: string | undefined): Plan {
  const steps = desired.sysctls.looseDevices
    .filter((device) => device === creates || observed.links.has(device))
    .filter((device) => device === creates || observed.sysctls.get(reversePathFilter(device)) !== '2')
    .map((device) => sysctl(reversePathFilter(device), '2'));
  return { steps, problems: [] };
}

function sysctl(path: string, value: string): Step {
  return { kind: 'sysctl', path, value, scope: hostScope, part: 'sysctl' };
}
