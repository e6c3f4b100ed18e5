/** `sublet reserve OVERLAY SUBNET --for ID`: keeps a block for one agent. */
import { operatorService } from '#api/services.js';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { subnetArgument } from '#cli/commands/subnet-argument.js';
import { operate, print } from '#cli/operator.js';

export const define: Define = (command, terminal) => {
  writes(command)
    .description('Keeps one block of an overlay for one agent, which gets it when it registers next. Nobody else does.')
    .argument('<OVERLAY>', 'name of the overlay')
    .argument('<SUBNET>', 'one block of it, IPv4 or IPv6')
    .requiredOption('--for <ID>', 'the agent');
  examples(
    command,
    ['sublet reserve dcos 9.0.50.0/24 --for db-1', 'db-1 gets this one'],
    ['sublet reservations', 'what is reserved'],
    ['sublet unreserve dcos 9.0.50.0/24', 'and no longer'],
  );
  command.action((overlay: string, text: string, options: { for: string; expectedRevision?: number }) =>
    operate(command, terminal, async (operator) => {
      const subnet = subnetArgument(text);
      const request = { overlay, subnet, agentId: options.for, expectedRevision: options.expectedRevision ?? 0 };
      const response = await operator.client.call(operatorService.reserve, request, { idempotent: false });
      print(
        operator,
        operatorService.reserve,
        response,
        () => `Reserved ${subnet} of ${overlay} for ${options.for}.\n`,
      );
    }),
  );
};
