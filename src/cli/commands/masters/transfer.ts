/** `sublet transfer [NAME]`: has the leader hand over. */
import { clusterService } from '#api/services.js';
import { connectsAndPrints, type Define, examples } from '#cli/command-kit.js';
import { type ConsentOptions, previewed, previews } from '#cli/operator/consent.js';
import { transferOf } from '#cli/operator/member-previews.js';
import { operate, print } from '#cli/operator/operator.js';

export const define: Define = (command, terminal) => {
  previews(connectsAndPrints(command))
    .description('Transfers leadership to another master, without a pause for callers.')
    .argument('[NAME]', 'the next leader; default: the one with the longest log');
  examples(command, ['sublet transfer', 'before the leader’s machine is worked on'], ['sublet transfer m2', 'to m2']);
  command.action((name: string | undefined, options: ConsentOptions) =>
    operate(command, terminal, async (operator) => {
      const request = { to: name ?? '' };
      if (!(await previewed(operator, options, () => transferOf(operator.client, request.to)))) return;
      const response = await operator.client.call(clusterService.transferLeadership, request, { idempotent: false });
      print(operator, clusterService.transferLeadership, response, () => `${response.leader} leads now.\n`);
    }),
  );
};
