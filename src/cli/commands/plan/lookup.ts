/** `sublet lookup IP`: whose address is this? */
import { formatIp, parseIp } from '#address/ip.js';
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { argument } from '#cli/failure.js';
import { operate, print } from '#cli/operator/operator.js';
import { type Cell, formatFacts } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { blockState, lookupKind } from '#cli/words.js';
import { sublet } from '#proto/sublet.js';

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description(
      'Whose address is this: of which container network on which agent, which tunnel endpoint, or which node?',
    )
    .argument('<IP>', 'an IPv4 or IPv6 address')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet lookup 9.0.1.7', 'a container'],
    ['sublet lookup 44.128.0.2', 'a tunnel endpoint'],
    ['sublet lookup fd01:b::1:0:0:1', 'IPv6 as well'],
  );
  command.action((text: string, options: { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const ip = formatIp(argument('IP', text, parseIp));
      const request = { ip, stale: options.stale === true };
      const response = await operator.client.call(operatorService.lookup, request, { idempotent: true });
      print(operator, operatorService.lookup, response, () => formatLookup(response, terminal));
    }),
  );
};

export function formatLookup(found: sublet.v1.LookupResponse, terminal: Terminal): string {
  const reserved = found.blockState === sublet.v1.BlockState.BLOCK_STATE_RESERVED;
  const facts: readonly (readonly [string, Cell])[] = [
    ['address', { text: found.ip, style: 'bold' }],
    ['is', lookupKind(found.kind)],
    ['overlay', found.overlay],
    ['subnet', found.subnet],
    ['state', found.blockState === sublet.v1.BlockState.BLOCK_STATE_UNSPECIFIED ? '' : blockState(found.blockState)],
    [reserved ? 'reserved for' : 'agent', found.agentId],
    [reserved && found.agentId === '' ? 'reserved for node' : 'node ip', found.nodeIp],
    ['bridge', found.bridge],
  ];
  return formatFacts(
    facts.filter(([, value]) => value !== ''),
    terminal,
  );
}
