/** `sublet reserve OVERLAY SUBNET --for ID`: keeps a block for one agent, or for a node address. */

import { formatIp, parseIp } from '#address/ip.js';
import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { argument, usage } from '#cli/failure.js';
import { type ConsentOptions, previewed, previews } from '#cli/operator/consent.js';
import { heldWithin, reservationLeaves } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import { forPeople } from '#cli/output/form.js';
import { wrap } from '#cli/terminal.js';

export const define: Define = (command, terminal) => {
  previews(writes(command))
    .description(
      'Reserves one block of an overlay for one agent, which gets it at its next registration; or for the agent that registers a node address, whatever its id is.',
    )
    .argument('<OVERLAY>', "name of the overlay; '' for an address of the VTEP subnet")
    .argument('<SUBNET>', 'one block of it, IPv4 or IPv6')
    .option('--for <ID>', 'the agent')
    .option('--for-node <IP>', 'the node address');
  examples(
    command,
    ['sublet reserve dcos 9.0.50.0/24 --for db-1', 'db-1 gets this one'],
    ['sublet reserve dcos 9.0.51.0/24 --for-node 10.0.0.7', 'the host at 10.0.0.7 gets this one'],
    ['sublet reservations', 'what is reserved'],
    ['sublet unreserve dcos 9.0.50.0/24', 'and no longer'],
  );
  command.action((overlay: string, text: string, options: ConsentOptions & Whom & { expectedRevision?: number }) =>
    operate(command, terminal, async (operator) => {
      const subnet = subnetArgument(text);
      const { agentId, nodeIp } = fieldsOf(options);
      const whom = nodeIp === '' ? agentId : `node ${nodeIp}`;
      const block = `${subnet} of ${overlay === '' ? 'the VTEP subnet' : overlay}`;
      const leaves = async () =>
        reservationLeaves(await heldWithin(operator.client, overlay, subnet), subnet, { agentId, nodeIp });
      const request = { overlay, subnet, agentId, nodeIp, expectedRevision: options.expectedRevision ?? 0 };
      const lines = async () => [`${block} would be reserved for ${whom}.`, await leaves()] as const;
      if (!(await previewed(operator, options, lines, { reserve: request }))) return;
      const left = forPeople(operator.output) ? wrap(await leaves(), terminal) : '';
      const response = await operator.client.call(operatorService.reserve, request, { idempotent: false });
      const done = `Reserved ${block} for ${whom}.\n${left}\n`;
      print(operator, operatorService.reserve, response, () => done);
    }),
  );
};

type Whom = { readonly for?: string; readonly forNode?: string };

/** @throws Failure unless one of them is given */
function fieldsOf({ for: agentId = '', forNode }: Whom): { readonly agentId: string; readonly nodeIp: string } {
  if ((agentId === '') === (forNode === undefined)) throw usage('--for and --for-node: give one of them');
  return { agentId, nodeIp: forNode === undefined ? '' : formatIp(argument('--for-node', forNode, parseIp)) };
}
