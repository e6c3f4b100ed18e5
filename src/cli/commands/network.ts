/** `sublet network [show|grow]`: the network that all agents share. */
import type { Command } from 'commander';
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/subnet-argument.js';
import { usage } from '#cli/failure.js';
import { operate, print } from '#cli/operator.js';
import { type Cell, formatFacts } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import type { sublet } from '#proto/sublet.js';

export const define: Define = (command, terminal) => {
  command.description('The network that all agents share, and growing its VTEP subnet.');
  show(command, terminal);
  grow(command, terminal);
  examples(
    command,
    ['sublet network', 'the same as sublet network show'],
    ['sublet network grow --vtep-subnet 44.128.0.0/16', 'more tunnel endpoints'],
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
  command.action((options: { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(operatorService.getNetwork, request, { idempotent: true });
      const { network, clusterId } = response;
      print(operator, operatorService.getNetwork, response, () => formatNetwork(network ?? {}, clusterId, terminal));
    }),
  );
}

type GrowOptions = { vtepSubnet?: string; vtepSubnet6?: string; expectedRevision?: number };

function grow(group: Command, terminal: Terminal): void {
  const command = writes(group.command('grow').summary('give the tunnel endpoints a larger subnet'))
    .description(
      'Gives the tunnel endpoints a larger subnet, one that contains the one they have. Addresses that are held stay.',
    )
    .option('--vtep-subnet <CIDR>', 'a supernet of the IPv4 VTEP subnet')
    .option('--vtep-subnet6 <CIDR>', 'a supernet of the IPv6 VTEP subnet');
  examples(command, ['sublet network grow --vtep-subnet 44.128.0.0/16', '65,536 addresses']);
  command.action(({ vtepSubnet, vtepSubnet6, expectedRevision = 0 }: GrowOptions) =>
    operate(command, terminal, async (operator) => {
      if (vtepSubnet === undefined && vtepSubnet6 === undefined)
        throw usage('--vtep-subnet or --vtep-subnet6 is needed');
      const request = {
        vtepSubnet: vtepSubnet === undefined ? '' : subnetArgument(vtepSubnet, '--vtep-subnet'),
        vtepSubnet6: vtepSubnet6 === undefined ? '' : subnetArgument(vtepSubnet6, '--vtep-subnet6'),
        expectedRevision,
      };
      const response = await operator.client.call(operatorService.updateNetwork, request, { idempotent: false });
      print(operator, operatorService.updateNetwork, response, () =>
        formatNetwork(response.network ?? {}, '', terminal),
      );
    }),
  );
}

export function formatNetwork(network: sublet.v1.Network.$Properties, clusterId: string, terminal: Terminal): string {
  const facts: readonly (readonly [string, Cell])[] = [
    ['cluster', clusterId],
    ['vtep subnet', [network.vtepSubnet, network.vtepSubnet6].filter(Boolean).join('  ')],
    ['vtep mac oui', network.vtepMacOui ?? ''],
    ['vtep mtu', network.vtepMtu ? String(network.vtepMtu) : 'the underlay’s, less the encapsulation'],
    ['vxlan', `${network.vtepName ?? ''}, VNI ${network.vni ?? 0}, UDP port ${network.vxlanPort ?? 0}`],
    ...(network.overlays ?? []).map(({ name, subnet, prefix, subnet6, prefix6, enabled }) => {
      const spaces = [subnet && `${subnet} in /${prefix ?? 0}s`, subnet6 && `${subnet6} in /${prefix6 ?? 0}s`];
      return ['overlay', [name, ...spaces, enabled ? '' : '(disabled)'].filter(Boolean).join('  ')] as const;
    }),
  ];
  return formatFacts(
    facts.filter(([, value]) => value !== ''),
    terminal,
  );
}
