/** `sublet unreserve OVERLAY SUBNET`: ends a reservation or an exclusion. */
import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { type ConsentOptions, previewed, previews } from '#cli/operator/consent.js';
import { operate, print } from '#cli/operator/operator.js';
import { unreservation } from '#cli/operator/plan-previews.js';

export const define: Define = (command, terminal) => {
  previews(writes(command))
    .description('Ends a reservation or an exclusion: its blocks can be allocated again.')
    .argument('<OVERLAY>', 'name of the overlay')
    .argument('<SUBNET>', 'what was reserved or excluded, as `sublet reservations` lists it');
  examples(
    command,
    ['sublet unreserve dcos 9.0.50.0/24', 'end a reservation'],
    ['sublet unreserve dcos 9.64.0.0/10', 'end an exclusion'],
  );
  command.action((overlay: string, text: string, options: ConsentOptions & { expectedRevision?: number }) =>
    operate(command, terminal, async (operator) => {
      const subnet = subnetArgument(text);
      const request = { overlay, subnet, expectedRevision: options.expectedRevision ?? 0 };
      const lines = () => unreservation(operator.client, overlay, subnet);
      if (!(await previewed(operator, options, lines, { unreserve: request }))) return;
      const response = await operator.client.call(operatorService.unreserve, request, { idempotent: false });
      print(operator, operatorService.unreserve, response, () => `${subnet} of ${overlay} can be allocated again.\n`);
    }),
  );
};
