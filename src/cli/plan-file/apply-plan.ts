/** `sublet apply`, `sublet diff` and `sublet export`: the plan of the masters and the plan in a file. */
import type { Command } from 'commander';
import type { MasterClient } from '#api/master-client.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { readConfigFile } from '#cli/local/config-file.js';
import type { ConsentOptions } from '#cli/operator/consent.js';
import { type Operator, operate } from '#cli/operator/operator.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { yamlText } from '#cli/output/yaml-text.js';
import { readLivePlan } from '#cli/plan-file/live-plan.js';
import { checkRevision, makeChanges } from '#cli/plan-file/make-changes.js';
import { type LivePlan, type PlanDiff, planDiff } from '#cli/plan-file/plan-changes.js';
import { diffJson, formatDiff, planFileOf } from '#cli/plan-file/plan-text.js';
import { orFailure } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { plural, shellWord } from '#cli/words.js';
import { type LoadedPlan, loadPlanFile } from '#config/files/plan-file.js';
import { formatProblem } from '#config/schema/config-problem.js';
import { parseYamlText } from '#config/schema/yaml-file.js';
import { printable } from '#text/printable-text.js';

export type FileOptions = {
  readonly file: string;
  readonly prune?: true;
  readonly expectedRevision?: number;
};

/** Shows what `sublet apply` would do. @throws Failure when there is anything, and when it can't be done */
export async function diffPlan(command: Command, options: FileOptions, terminal: Terminal): Promise<void> {
  const loaded = readPlanFile(options.file);
  await operate(command, terminal, async (operator) => {
    const { live, diff } = await compared(operator.client, loaded, options);
    show(operator, live, diff, options.file);
    const { length } = diff.changes;
    if (length > 0) {
      throw new Failure(
        exitCodes.refused,
        `the plan at revision ${live.revision} differs from ${options.file}: ${plural(length, 'change')}`,
      );
    }
    if (forPeople(operator.output)) {
      terminal.write(`The plan at revision ${live.revision} is as ${options.file} says.\n`);
    }
  });
}

/** Makes the plan as the file says. */
export async function applyPlan(
  command: Command,
  options: FileOptions & ConsentOptions,
  terminal: Terminal,
): Promise<void> {
  const loaded = readPlanFile(options.file);
  await operate(command, terminal, async (operator) => {
    const { client, output } = operator;
    const { live, diff } = await compared(client, loaded, options);
    const people = forPeople(output);
    if (people || options.dryRun === true) show(operator, live, diff, options.file);
    if (options.dryRun === true) {
      const so = diff.changes.length > 0 ? '' : `The plan at revision ${live.revision} is as ${options.file} says. `;
      if (people) terminal.write(`${so}Nothing was changed: --dry-run.\n`);
      return;
    }
    const { plan } = loaded;
    const wanted = {
      diff: (now: LivePlan) => planDiff(now, plan, options.prune === true),
      expectedRevision: options.expectedRevision ?? 0,
      look: lookAgain(options),
      goOn: `Applied again, the file brings about what is left: sublet apply -f ${shellWord(options.file)}`,
      mend: `Change the file, and look what is left: sublet diff -f ${shellWord(options.file)}`,
    };
    await makeChanges(operator, { live, diff }, wanted, { ...options, already: `is as ${options.file} says` });
  });
}

/** Prints the plan as a file. */
export async function exportPlan(command: Command, terminal: Terminal): Promise<void> {
  await operate(command, terminal, async ({ client, output }) => {
    const live = await readLivePlan(client);
    const file = planFileOf(live);
    if (output.kind !== 'yaml') {
      writeValue(output, file, terminal);
      return;
    }
    terminal.write(
      `# The plan of cluster ${printable(live.clusterId)} at revision ${live.revision}.\n${yamlText(file)}`,
    );
  });
}

export function readPlanFile(file: string): LoadedPlan {
  const { name, text } = readConfigFile(file, exitCodes.usage);
  return orFailure(name, exitCodes.usage, () => loadPlanFile({ name, text, parse: parseYamlText }));
}

function show({ output, terminal }: Operator, live: LivePlan, diff: PlanDiff, file: string): void {
  if (forPeople(output)) terminal.write(formatDiff(diff, file, terminal));
  else writeValue(output, diffJson(live, diff), terminal);
}

function lookAgain({ file }: Pick<FileOptions, 'file'>): string {
  return `Look again: sublet diff -f ${shellWord(file)}`;
}

/** @throws Failure for another revision than the expected one, and for what no call brings about */
async function compared(
  client: MasterClient,
  { plan, problem }: LoadedPlan,
  { file, prune, expectedRevision = 0 }: FileOptions,
): Promise<{ readonly live: LivePlan; readonly diff: PlanDiff }> {
  const live = await readLivePlan(client);
  checkRevision(live, { expectedRevision, look: lookAgain({ file }) });
  const diff = planDiff(live, plan, prune === true);
  if (diff.impossible.length > 0) {
    const problems = diff.impossible.map((finding) => formatProblem(problem(finding)));
    throw new Failure(exitCodes.refused, `${file} can’t be applied: ${plural(problems.length, 'problem')}`, problems);
  }
  return { live, diff };
}
