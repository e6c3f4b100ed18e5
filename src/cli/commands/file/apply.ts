/** `sublet apply -f FILE`: makes the plan as a file says. */
import { type Define, examples, writes } from '#cli/command-kit.js';
import { type ConsentOptions, needsConsent } from '#cli/operator/consent.js';
import type { FileOptions } from '#cli/plan-file/apply-plan.js';

export const define: Define = (command, terminal) => {
  needsConsent(writes(command))
    .description(
      'Makes the plan as a YAML or JSON file says: network settings, overlays, reservations and exclusions. Shows each change as the command that makes it; what is so already is left alone. A change is made only if nothing that it depends on has changed since it was shown.',
    )
    .requiredOption('-f, --file <FILE>', 'the plan; - reads the standard input')
    .option('--prune', 'remove overlays, reservations and exclusions that the lists of the file leave out');
  examples(
    command,
    ['sublet export > plan.yaml', 'what there is'],
    ['sublet apply -f plan.yaml --dry-run', 'what would be done'],
    ['sublet apply -f plan.yaml', 'do it'],
    ['sublet apply -f plan.yaml --yes --expected-revision 4711', 'only if nothing at all has changed since'],
  );
  command.action(async (options: FileOptions & ConsentOptions) => {
    const { applyPlan } = await import('#cli/plan-file/apply-plan.js');
    await applyPlan(command, options, terminal);
  });
};
