/**
 * Consent to a change that can't be undone. On a terminal a command shows what the change does and asks; `--yes` goes
 * on without the question, and `--dry-run` has the masters judge the change, shows the same and changes nothing. Where stdin or stdout is no terminal
 * nothing is asked: a script has decided already, and must not wait for an answer.
 */
import type { Command } from 'commander';
import { operatorService } from '#api/services.js';
import { exitCodes, Failure } from '#cli/failure.js';
import type { Operator } from '#cli/operator/operator.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import type { sublet } from '#proto/sublet.js';

export type ConsentOptions = { readonly yes?: true; readonly dryRun?: true };

/** The request of a change that the plan decides on: `--dry-run` has the masters judge it. */
export type PreviewedChange = Omit<sublet.v1.PreviewChangeRequest.$Properties, 'change'>;

type Asking = Pick<Operator, 'terminal' | 'output'> & Partial<Pick<Operator, 'client'>>;

/** What a change does, one statement each, and what can't be undone of it. */
export type Consequences = readonly [string, ...string[]];

/** Adds `--dry-run`: the command shows what it would do. */
export function previews(command: Command): Command {
  return command.option('--dry-run', 'say what it would do, and change nothing');
}

/** Adds `--yes` and `--dry-run`. */
export function needsConsent(command: Command): Command {
  return previews(command.option('--yes', 'do not ask; without a terminal nothing is asked'));
}

/**
 * Whether the change is to be made. `consequences` is called only if they are shown.
 * @throws Failure when the answer is not yes
 */
export async function consented(
  { terminal, output, client }: Asking,
  { yes, dryRun }: ConsentOptions,
  consequences: () => Promise<Consequences>,
  change?: PreviewedChange,
): Promise<boolean> {
  if (dryRun === true) {
    const isChange = client === undefined || change === undefined || (await judged(client, change));
    const lines = isChange ? await consequences() : (['Nothing would change: the plan is so already.'] as const);
    if (forPeople(output)) terminal.write(`${statements(lines, terminal)}Nothing was changed: --dry-run.\n`);
    else writeValue(output, { dryRun: true, consequences: lines }, terminal);
    return false;
  }
  if (yes === true || !terminal.interactive) return true;
  terminal.note(statements(await consequences(), terminal));
  await confirmed({ terminal }, {});
  return true;
}

/** Whether the plan would be another one. @throws ServiceError as the change would be refused */
async function judged(client: Operator['client'], change: PreviewedChange): Promise<boolean> {
  const { changes } = await client.call(operatorService.previewChange, change, { idempotent: true });
  return changes;
}

/** Asks whether to go on with what was shown. @throws Failure when the answer is not yes */
export async function confirmed(
  { terminal }: Pick<Operator, 'terminal'>,
  { yes }: Pick<ConsentOptions, 'yes'>,
): Promise<void> {
  if (yes === true || !terminal.interactive) return;
  const answer = await terminal.ask('Go on? [y/N] ');
  if (/^y(?:es)?$/i.test(answer.trim())) return;
  throw new Failure(exitCodes.refused, 'nothing was changed: the answer was not yes');
}

/** As `consented`, for a change that can be undone: `--dry-run` shows it, and nothing is asked. */
export function previewed(
  operator: Asking,
  { dryRun }: Pick<ConsentOptions, 'dryRun'>,
  consequences: () => Promise<Consequences>,
  change?: PreviewedChange,
): Promise<boolean> {
  return consented(operator, { yes: true, ...(dryRun === true && { dryRun }) }, consequences, change);
}

function statements(lines: readonly string[], terminal: Terminal): string {
  return lines.map((line) => `${wrap(line, terminal)}\n`).join('');
}
