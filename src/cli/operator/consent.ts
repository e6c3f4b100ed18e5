/**
 * Consent to a change that can't be undone. On a terminal a command shows what the change does and asks; `--yes` goes
 * on without the question, and `--dry-run` shows the same and changes nothing. Where stdin or stdout is no terminal
 * nothing is asked: a script has decided already, and must not wait for an answer.
 */
import type { Command } from 'commander';
import { exitCodes, Failure } from '#cli/failure.js';
import type { Operator } from '#cli/operator/operator.js';
import { forPeople, writeValue } from '#cli/output/form.js';
import { type Terminal, wrap } from '#cli/terminal.js';

export type ConsentOptions = { readonly yes?: true; readonly dryRun?: true };

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
  { terminal, output }: Pick<Operator, 'terminal' | 'output'>,
  { yes, dryRun }: ConsentOptions,
  consequences: () => Promise<Consequences>,
): Promise<boolean> {
  if (dryRun === true) {
    const lines = await consequences();
    if (forPeople(output)) terminal.write(`${statements(lines, terminal)}Nothing was changed: --dry-run.\n`);
    else writeValue(output, { dryRun: true, consequences: lines }, terminal);
    return false;
  }
  if (yes === true || !terminal.interactive) return true;
  terminal.note(statements(await consequences(), terminal));
  await confirmed({ terminal }, {});
  return true;
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
  operator: Pick<Operator, 'terminal' | 'output'>,
  { dryRun }: Pick<ConsentOptions, 'dryRun'>,
  consequences: () => Promise<Consequences>,
): Promise<boolean> {
  return consented(operator, { yes: true, ...(dryRun === true && { dryRun }) }, consequences);
}

function statements(lines: readonly string[], terminal: Terminal): string {
  return lines.map((line) => `${wrap(line, terminal)}\n`).join('');
}
