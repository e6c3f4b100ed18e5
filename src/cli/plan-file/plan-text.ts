/** The plan of the masters as a file, and what a file would change, in words. */

import type { Json } from '#api/proto-json.js';
import { planCommandOf } from '#cli/plan-file/plan-calls.js';
import type { LivePlan, PlanChange, PlanDiff } from '#cli/plan-file/plan-changes.js';
import { wrapIndented } from '#cli/table.js';
import type { Style, Terminal } from '#cli/terminal.js';
import { overlayUse, plural } from '#cli/words.js';
import { formatDuration } from '#text/duration.js';
import { printable } from '#text/printable-text.js';

/** The plan as `loadPlanFile` reads it. */
export function planFileOf({ clusterId, network, reservations }: LivePlan): Json {
  const {
    vtepSubnet = '',
    vtepSubnet6,
    vtepMacOui = '',
    vtepMtu,
    vtepName,
    vni = 0,
    vxlanPort = 0,
    overlays,
  } = network;
  const range = (overlay: string | null | undefined, subnet: string | null | undefined) => ({
    ...(overlay && { overlay }),
    subnet: subnet ?? '',
  });
  return {
    cluster: clusterId,
    network: {
      vtep_subnet: vtepSubnet,
      ...(vtepSubnet6 && { vtep_subnet6: vtepSubnet6 }),
      vtep_mac_oui: vtepMacOui,
      // 0, which a file can't say: the underlay's, less the encapsulation.
      ...(vtepMtu && { vtep_mtu: vtepMtu }),
      ...(vtepName && { vtep_name: vtepName }),
      vni,
      vxlan_port: vxlanPort,
      overlays: (overlays ?? []).map((overlay) => {
        const { name = '', subnet, prefix, subnet6, prefix6 } = overlay;
        const use = overlayUse(overlay);
        return {
          name,
          ...(subnet && { subnet, prefix: prefix ?? 0 }),
          ...(subnet6 && { subnet6, prefix6: prefix6 ?? 0 }),
          ...(use === 'draining' ? { draining: true } : { enabled: use === 'enabled' }),
        };
      }),
    },
    lease: {
      reclaim: network.reclaimMs ? formatDuration(network.reclaimMs) : 'never',
      quarantine: formatDuration(network.quarantineMs ?? 0),
    },
    reservations: reservations.flatMap(({ overlay, subnet, agentId, nodeIp }) => {
      if (!nodeIp && !agentId) return [];
      return [{ ...range(overlay, subnet), ...(nodeIp ? { node_ip: nodeIp } : { agent: agentId ?? '' }) }];
    }),
    exclusions: reservations.flatMap(({ overlay, subnet, agentId, nodeIp }) =>
      agentId || nodeIp ? [] : [range(overlay, subnet)],
    ),
  };
}

const styles: Readonly<Record<PlanChange['sign'], Style>> = { '+': 'green', '~': 'yellow', '-': 'red' };

/** Each change with its command, and what the file leaves as it is. */
export function formatDiff({ changes, unlisted }: PlanDiff, file: string, terminal: Terminal): string {
  const parts = changes.map(({ sign, what, call, lasting }) => {
    const said = `${printable(what)}${lasting ? ' (can’t be undone)' : ''}`;
    const head = wrapIndented(said, terminal.columns && terminal.columns - 2, '  ');
    // A command is whole, to be copied.
    return `${terminal.paint(styles[sign], sign)} ${head}\n    ${terminal.paint('cyan', printable(planCommandOf(call)))}\n`;
  });
  const shown = unlisted.slice(0, unlistedShownMax).join(', ');
  const more = unlisted.length - unlistedShownMax;
  const rest = `Not in ${file}, and left as it is: ${shown}${more > 0 ? ` and ${plural(more, 'more')}` : ''}. --prune removes it.`;
  const left = unlisted.length === 0 ? '' : `${wrapIndented(printable(rest), terminal.columns, '  ')}\n`;
  return parts.join('') + left;
}

const unlistedShownMax = 10;

/** The same for programs. */
export function diffJson(live: LivePlan, { changes, unlisted }: PlanDiff): { readonly [name: string]: Json } {
  return {
    revision: live.revision,
    changes: changes.map(({ sign, what, call, lasting }) => ({ sign, what, command: planCommandOf(call), lasting })),
    unlisted,
  };
}
