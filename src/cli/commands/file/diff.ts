/** `sublet diff -f FILE`: what `sublet apply` would do. */
import { connectsAndPrints, type Define, examples, wholeNumber } from '#cli/command-kit.js';
import type { FileOptions } from '#cli/plan-file/apply-plan.js';

export const define: Define = (command, terminal) => {
  connectsAndPrints(command)
    .description(
      'Compares the plan with a file, and shows each change that `sublet apply` would make as the command that makes it. Ends with 1 if there is any.',
    )
    .requiredOption('-f, --file <FILE>', 'the plan; - reads the standard input')
    .option('--prune', 'with what the lists of the file leave out')
    .option('--expected-revision <N>', 'refuse if anything has changed since this revision', wholeNumber);
  examples(
    command,
    ['sublet diff -f plan.yaml', 'what is different'],
    ['sublet diff -f plan.yaml -o json | jq -r .changes[].command', 'the commands'],
  );
  command.action(async (options: FileOptions) => {
    const { diffPlan } = await import('#cli/plan-file/apply-plan.js');
    await diffPlan(command, options, terminal);
  });
};
