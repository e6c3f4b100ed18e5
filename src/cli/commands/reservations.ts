/** `sublet reservations`: lists reservations and exclusions. */
import { operatorService } from '#api/services.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { operate, print } from '#cli/operator.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import type { sublet } from '#proto/sublet.js';

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description('What is kept for one agent (reserved), and what nobody gets (excluded).')
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(command, ['sublet reservations', 'all of them'], ['sublet unreserve dcos 9.0.50.0/24', 'end one']);
  command.action((options: { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const response = await operator.client.call(operatorService.listReservations, request, { idempotent: true });
      print(operator, operatorService.listReservations, response, () => formatReservations(response, terminal));
    }),
  );
};

export function formatReservations({ reservations }: sublet.v1.ListReservationsResponse, terminal: Terminal): string {
  if (reservations.length === 0) return 'Nothing is reserved or excluded.\n';
  const rows = reservations.map(({ overlay, subnet, agentId }): readonly Cell[] => [
    overlay ?? '',
    subnet ?? '',
    agentId ? agentId : { text: 'nobody (excluded)', style: 'yellow' },
  ]);
  return formatTable(
    [{ title: 'OVERLAY' }, { title: 'SUBNET', least: 18 }, { title: 'FOR', least: 10 }],
    rows,
    terminal,
  );
}
