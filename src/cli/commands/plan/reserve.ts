/** `sublet reserve OVERLAY SUBNET --for ID`: keeps a block for one agent. */

import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { type ConsentOptions, previewed, previews } from '#cli/operator/consent.js';
import { heldWithin, reservationLeaves } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import { forPeople } from '#cli/output/form.js';
import { wrap } from '#cli/terminal.js';

export const define: Define = (command, terminal) => {
  previews(writes(command))
    .description('Reserves one block of an overlay for one agent, which gets it at its next registration.')
    .argument('<OVERLAY>', 'name of the overlay')
    .argument('<SUBNET>', 'one block of it, IPv4 or IPv6')
    .requiredOption('--for <ID>', 'the agent');
  examples(
    command,
    ['sublet reserve dcos 9.0.50.0/24 --for db-1', 'db-1 gets this one'],
    ['sublet reservations', 'what is reserved'],
    ['sublet unreserve dcos 9.0.50.0/24', 'and no longer'],
  );
  command.action(
    (overlay: string, text: string, options: ConsentOptions & { for: string; expectedRevision?: number }) =>
      operate(command, terminal, async (operator) => {
        const subnet = subnetArgument(text);
        const leaves = async () =>
          reservationLeaves(await heldWithin(operator.client, overlay, subnet), subnet, options.for);
        const goOn = await previewed(operator, options, async () => [
          `${subnet} of ${overlay} would be reserved for ${options.for}.`,
          await leaves(),
        ]);
        if (!goOn) return;
        const left = forPeople(operator.output) ? wrap(await leaves(), terminal) : '';
        const request = { overlay, subnet, agentId: options.for, expectedRevision: options.expectedRevision ?? 0 };
        const response = await operator.client.call(operatorService.reserve, request, { idempotent: false });
        const done = `Reserved ${subnet} of ${overlay} for ${options.for}.\n${left}\n`;
        print(operator, operatorService.reserve, response, () => done);
      }),
  );
};
