/** What `sublet apply` and `sublet import` do with the changes that they have shown. */
import { exitCodes, Failure } from '#cli/failure.js';
import { type ConsentOptions, confirmed } from '#cli/operator/consent.js';
import type { Operator } from '#cli/operator/operator.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { Application, type WantedPlan } from '#cli/plan-file/application.js';
import type { LivePlan, PlanDiff } from '#cli/plan-file/plan-changes.js';
import { diffJson } from '#cli/plan-file/plan-text.js';
import { plural } from '#cli/words.js';

/** @throws Failure for another revision than the expected one */
export function checkRevision(
  { revision }: LivePlan,
  { expectedRevision, look }: Pick<WantedPlan, 'expectedRevision' | 'look'>,
): void {
  if (expectedRevision === 0 || expectedRevision === revision) return;
  const message = `the plan is at revision ${revision}, not at ${expectedRevision}; nothing was changed`;
  throw new Failure(exitCodes.refused, `--expected-revision: ${message}`, [look]);
}

/**
 * Asks where a change can't be undone, makes all, and says so. `already` goes on after "the plan at revision N" where
 * there are none. @throws Failure
 */
export async function makeChanges(
  operator: Operator,
  { live, diff }: { readonly live: LivePlan; readonly diff: PlanDiff },
  wanted: WantedPlan,
  options: ConsentOptions & { readonly already: string },
): Promise<void> {
  const { client, output, terminal } = operator;
  const { changes } = diff;
  if (changes.some(({ lasting }) => lasting)) await confirmed(operator, options);
  const revision = await new Application(client, wanted).make(live, changes);
  if (!forPeople(output)) writeValue(output, { ...diffJson(live, diff), revision }, terminal);
  else if (changes.length === 0) {
    terminal.write(`Nothing to change: the plan at revision ${revision} ${options.already}.\n`);
  } else terminal.write(`Made ${plural(changes.length, 'change')}: the plan is at revision ${revision}.\n`);
}
