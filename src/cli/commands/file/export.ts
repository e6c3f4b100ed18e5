/** `sublet export`: the plan as a file for `sublet apply`. */
import { connects, type Define, examples } from '#cli/command-kit.js';
import { OutputOption } from '#cli/output/form.js';

export const define: Define = (command, terminal) => {
  connects(command.addOption(new OutputOption(['yaml', 'json', 'jsonpath'], 'the same file'))).description(
    'Prints network settings, overlays, reservations and exclusions as a file that `sublet apply` takes. What agents hold is no part of it: `sublet snapshot save` makes a backup.',
  );
  examples(
    command,
    ['sublet export > plan.yaml', 'to be kept under version control'],
    ['sublet apply -f plan.yaml', 'after it was edited'],
  );
  command.action(async () => {
    const { exportPlan } = await import('#cli/plan-file/apply-plan.js');
    await exportPlan(command, terminal);
  });
};
