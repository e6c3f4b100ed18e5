/** `sublet exclude OVERLAY RANGE`: excludes a range of an overlay from allocation. */

import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/plan/subnet-argument.js';
import { type ConsentOptions, previewed, previews } from '#cli/operator/consent.js';
import { heldWithin, leftHeld } from '#cli/operator/consequences.js';
import { operate, print } from '#cli/operator/operator.js';
import { forPeople } from '#cli/output/form.js';
import { wrap } from '#cli/terminal.js';

export const define: Define = (command, terminal) => {
  previews(writes(command))
    .description(
      'Excludes a range of an overlay from allocation, for example addresses that are used elsewhere. Blocks in it that are held stay held.',
    )
    .argument('<OVERLAY>', 'name of the overlay')
    .argument('<RANGE>', 'one or more whole blocks, as a CIDR, IPv4 or IPv6');
  examples(
    command,
    ['sublet exclude dcos 9.64.0.0/10', 'a quarter of 9.0.0.0/8'],
    ['sublet unreserve dcos 9.64.0.0/10', 'and back again'],
  );
  command.action((overlay: string, text: string, options: ConsentOptions & { expectedRevision?: number }) =>
    operate(command, terminal, async (operator) => {
      const subnet = subnetArgument(text);
      const leaves = async () => leftHeld(await heldWithin(operator.client, overlay, subnet), subnet);
      const request = { overlay, subnet, agentId: '', expectedRevision: options.expectedRevision ?? 0 };
      const lines = async () =>
        [`${subnet} of ${overlay} would be excluded: no agent gets a block of it.`, await leaves()] as const;
      if (!(await previewed(operator, options, lines, { reserve: request }))) return;
      const left = forPeople(operator.output) ? wrap(await leaves(), terminal) : '';
      const response = await operator.client.call(operatorService.reserve, request, { idempotent: false });
      print(operator, operatorService.reserve, response, () => `Excluded ${subnet} of ${overlay}.\n${left}\n`);
    }),
  );
};
