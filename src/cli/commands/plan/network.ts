/** `sublet network [show|grow|set]`: the network that all agents share. */

import { type Command, InvalidArgumentError } from 'commander';
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, refuseUnknown, wholeNumber, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { usage } from '#cli/failure.js';
import { type ConsentOptions, consented, needsConsent, previewed, previews } from '#cli/operator/consent.js';
import { networkGrowth } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import { settingsChange } from '#cli/operator/plan-previews.js';
import { type Cell, formatFacts } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { overlayUse } from '#cli/words.js';
import type { sublet } from '#proto/sublet.js';
import { formatDuration, parseDuration } from '#text/duration.js';

export const define: Define = (command, terminal) => {
  command.description('The network that all agents share, and changing what can be changed of it.');
  show(command, terminal);
  grow(command, terminal);
  set(command, terminal);
  examples(
    command,
    ['sublet network', 'the same as sublet network show'],
    ['sublet network grow --vtep-subnet 44.128.0.0/16', 'more tunnel endpoints'],
    ['sublet network set --quarantine 1h', 'a longer quarantine'],
  );
};

function show(group: Command, terminal: Terminal): void {
  const command = connectsAndPrints(group.command('show', { isDefault: true }).summary('the whole network'))
    .description('The network that all agents share.')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet network show', 'the tunnel endpoints and the overlays'],
    ['sublet overlays', 'how full they are'],
  );
  // Being what the group does by default, it gets what is no command, too.
  command.allowExcessArguments().action((options: { stale?: true }) => {
    refuseUnknown(group, command.args);
    return operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(operatorService.getNetwork, request, { idempotent: true });
      const { network, clusterId } = response;
      print(operator, operatorService.getNetwork, response, () => formatNetwork(network ?? {}, clusterId, terminal));
    });
  });
}

type GrowOptions = ConsentOptions & { vtepSubnet?: string; vtepSubnet6?: string; expectedRevision?: number };

function grow(group: Command, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('grow').summary('give the tunnel endpoints a larger subnet')))
    .description(
      'Gives the tunnel endpoints a larger subnet, one that contains the one they have. Addresses that are held stay.',
    )
    .option('--vtep-subnet <CIDR>', 'a supernet of the IPv4 VTEP subnet')
    .option('--vtep-subnet6 <CIDR>', 'a supernet of the IPv6 VTEP subnet');
  examples(command, ['sublet network grow --vtep-subnet 44.128.0.0/16', '65,536 addresses']);
  command.action(({ vtepSubnet, vtepSubnet6, expectedRevision = 0, ...consent }: GrowOptions) =>
    operate(command, terminal, async (operator) => {
      if (vtepSubnet === undefined && vtepSubnet6 === undefined) {
        throw usage('--vtep-subnet or --vtep-subnet6 is needed');
      }
      const request = {
        vtepSubnet: vtepSubnet === undefined ? '' : subnetArgument(vtepSubnet, '--vtep-subnet'),
        vtepSubnet6: vtepSubnet6 === undefined ? '' : subnetArgument(vtepSubnet6, '--vtep-subnet6'),
        expectedRevision,
      };
      const lines = () => networkGrowth(operator.client, request);
      if (!(await consented(operator, consent, lines, { updateNetwork: request }))) return;
      const response = await operator.client.call(operatorService.updateNetwork, request, { idempotent: false });
      print(operator, operatorService.updateNetwork, response, () =>
        formatNetwork(response.network ?? {}, '', terminal),
      );
    }),
  );
}

type SetOptions = ConsentOptions & {
  vtepMtu?: number;
  quarantine?: number;
  reclaim?: number;
  expectedRevision?: number;
};

function set(group: Command, terminal: Terminal): void {
  const command = previews(writes(group.command('set').summary('change the MTU, the quarantine and the TTL of leases')))
    .description(
      'Changes settings that may change under agents. Agents take a new MTU over within 30 s. While there are agents, leases can be made to last longer, or for ever, but not shorter: an agent out of reach would not learn of it.',
    )
    .option('--vtep-mtu <BYTES>', 'MTU of the tunnel endpoints; 0: the underlay’s, less the encapsulation', wholeNumber)
    .option('--quarantine <TIME>', 'how long a freed block is quarantined before it is leased again, like 15m', time)
    .option(
      '--reclaim <TIME>',
      'never, or how long an agent may be silent before its lease ends, like 48h',
      neverOrTime,
    );
  examples(
    command,
    ['sublet network set --vtep-mtu 1400', 'the underlay carries less than it says'],
    ['sublet network set --reclaim never', 'only a release frees'],
  );
  command.action(({ vtepMtu, quarantine, reclaim, expectedRevision = 0, ...consent }: SetOptions) =>
    operate(command, terminal, async (operator) => {
      const change = {
        ...(vtepMtu === undefined ? {} : { vtepMtu }),
        ...(quarantine === undefined ? {} : { quarantineMs: quarantine }),
        ...(reclaim === undefined ? {} : { reclaimMs: reclaim }),
      };
      if (Object.keys(change).length === 0) throw usage('--vtep-mtu, --quarantine or --reclaim is needed');
      const request = { ...change, expectedRevision };
      const lines = () => settingsChange(operator.client, change);
      if (!(await previewed(operator, consent, lines, { updateNetwork: request }))) return;
      const response = await operator.client.call(operatorService.updateNetwork, request, { idempotent: false });
      print(operator, operatorService.updateNetwork, response, () =>
        formatNetwork(response.network ?? {}, '', terminal),
      );
    }),
  );
}

/** For commander: milliseconds. */
function time(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined) throw new InvalidArgumentError('a length of time like 90s, 15m or 1h30m is allowed.');
  return ms;
}

/** As `time`; never is 0, as in the API. */
function neverOrTime(text: string): number {
  if (text === 'never') return 0;
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) {
    throw new InvalidArgumentError('never, or a length of time like 24h, is allowed.');
  }
  return ms;
}

export function formatNetwork(network: sublet.v1.Network.$Properties, clusterId: string, terminal: Terminal): string {
  const facts: readonly (readonly [string, Cell])[] = [
    ['cluster', clusterId],
    ['vtep subnet', [network.vtepSubnet, network.vtepSubnet6].filter(Boolean).join('  ')],
    ['vtep mac oui', network.vtepMacOui ?? ''],
    ['vtep mtu', network.vtepMtu ? String(network.vtepMtu) : 'the underlay’s, less the encapsulation'],
    ['vxlan', `${network.vtepName ?? ''}, VNI ${network.vni ?? 0}, UDP port ${network.vxlanPort ?? 0}`],
    ['leases', leaseWords(network)],
    ...(network.overlays ?? []).map((overlay) => {
      const { name, subnet, prefix, subnet6, prefix6, enabled } = overlay;
      const spaces = [subnet && `${subnet} in /${prefix ?? 0}s`, subnet6 && `${subnet6} in /${prefix6 ?? 0}s`];
      return [
        'overlay',
        [name, ...spaces, enabled ? '' : `(${overlayUse(overlay)})`].filter(Boolean).join('  '),
      ] as const;
    }),
  ];
  return formatFacts(
    facts.filter(([, value]) => value !== ''),
    terminal,
  );
}

function leaseWords({ quarantineMs, reclaimMs }: sublet.v1.Network.$Properties): string {
  const last = reclaimMs ? `end after ${formatDuration(reclaimMs)} of silence` : 'last until they are released';
  return `${last}; quarantine ${formatDuration(quarantineMs ?? 0)}`;
}
