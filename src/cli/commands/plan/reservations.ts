/** `sublet reservations`: lists reservations and exclusions. */

import { Option } from 'commander';
import { formatIp, parseIp } from '#address/ip.js';
import { operatorService } from '#api/services.js';
import { connectsAndWatches, type Define, examples } from '#cli/command-kit.js';
import { argument } from '#cli/failure.js';
import { operate } from '#cli/operator/operator.js';
import type { List, ListOptions, TableShape } from '#cli/output/list.js';
import { showList } from '#cli/output/list-watch.js';
import { type Cell, formatTable } from '#cli/table.js';
import type { Terminal } from '#cli/terminal.js';
import { sublet } from '#proto/sublet.js';

export const define: Define = (command, terminal) => {
  connectsAndWatches(command)
    .description('Reservations (blocks for one agent or node address) and exclusions (ranges without allocation).')
    .option('--overlay <NAME>', 'only those of this overlay')
    .option('--for <ID>', 'only what is reserved for this agent')
    .option('--for-node <IP>', 'only what is reserved for this node address')
    .addOption(new Option('--state <STATE>', 'only reservations, or only exclusions').choices(['reserved', 'excluded']))
    .option('--stale', 'answer from what this master has, without asking the others');
  examples(
    command,
    ['sublet reservations', 'all of them'],
    ['sublet unreserve dcos 9.0.50.0/24', 'end one'],
    ['sublet reservations --for db-1 -o name | xargs -L1 sublet unreserve', 'end those of an agent'],
  );
  command.action((options: Selection & { stale?: true }) =>
    operate(command, terminal, async (operator) => {
      const request = { stale: options.stale === true };
      const { forNode } = options;
      const node = forNode === undefined ? {} : { forNode: formatIp(argument('--for-node', forNode, parseIp)) };
      const look = async (): Promise<sublet.v1.ListReservationsResponse> => {
        const response = await operator.client.call(operatorService.listReservations, request, { idempotent: true });
        const found = response.reservations.filter((each) => selects({ ...options, ...node }, each));
        return reservationList.replaced(response, found);
      };
      await showList(operator, operatorService.listReservations, look, reservationList, options);
    }),
  );
};

type Reservation = sublet.v1.Reservation.$Properties;
type Selection = ListOptions & {
  readonly overlay?: string;
  readonly for?: string;
  readonly forNode?: string;
  readonly state?: string;
};

function selects(wanted: Selection, { overlay, agentId, nodeIp }: Reservation): boolean {
  if (wanted.overlay !== undefined && wanted.overlay !== overlay) return false;
  if (wanted.for !== undefined && wanted.for !== agentId) return false;
  if (wanted.forNode !== undefined && wanted.forNode !== nodeIp) return false;
  return wanted.state === undefined || wanted.state === (agentId || nodeIp ? 'reserved' : 'excluded');
}

const reservationList: List<sublet.v1.ListReservationsResponse, Reservation> = {
  one: 'a reservation',
  type: 'sublet.v1.Reservation',
  message: sublet.v1.Reservation,
  items: ({ reservations }) => reservations,
  replaced: ({ revision }, reservations) => new sublet.v1.ListReservationsResponse({ reservations, revision }),
  // As `sublet unreserve` takes it.
  name: ({ overlay, subnet }) => `${overlay ?? ''} ${subnet ?? ''}`,
  watched: (reservation) => reservation,
  table: formatReservations,
};

function formatReservations(
  { reservations }: sublet.v1.ListReservationsResponse,
  terminal: Terminal,
  { titles, remarks, widths }: TableShape,
): string {
  if (reservations.length === 0) return remarks ? 'Nothing is reserved or excluded.\n' : '';
  const rows = reservations.map(({ overlay, subnet, agentId, nodeIp }): readonly Cell[] => [
    overlay ?? '',
    subnet ?? '',
    nodeIp ? `node ${nodeIp}` : agentId ? agentId : { text: '(excluded)', style: 'yellow' },
  ]);
  return formatTable(
    [{ title: 'OVERLAY' }, { title: 'SUBNET', least: 18 }, { title: 'FOR', least: 10 }],
    rows,
    terminal,
    { titled: titles, ...(widths && { widths }) },
  );
}
