/** The parts of docs/reference that are made from the program itself, between `<!-- name -->` and `<!-- end -->`. */
import { status } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { wireReason } from '#api/error-info.js';
import { refusalReasons, refusals } from '#api/refusal.js';
import { table } from '#api/testing/reference-page.js';
import { exitCodes } from '#cli/failure.js';
import { fill, makeProgram } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import type { Setting } from '#config/schema/setting.js';

export function settingsTable(settings: readonly Setting[]): string {
  const rows = settings.map(({ key, alias, flag, takes, about, default: byDefault }) => [
    alias === undefined ? `\`${key}\`` : `\`${key}\`, in DC/OS files \`${alias}\``,
    `\`${flag}${takes === undefined ? '' : ` ${takes}`}\``,
    about,
    byDefault ?? '',
  ]);
  return table(['key', 'flag', 'meaning', 'default'], rows);
}

export function refusalTable(): string {
  const rows = refusalReasons.map((reason) => {
    const { code, meaning } = refusals[reason];
    return [`\`${status[code]}\``, `\`${wireReason(reason)}\``, meaning];
  });
  return table(['status', 'reason', 'meaning'], rows);
}

const exitMeanings: Readonly<Record<keyof typeof exitCodes, string>> = {
  done: 'done',
  refused: 'refused by a master, or failed; the message says why',
  usage: 'wrong use: a command, flag, argument or configuration that can’t be',
  noMaster: 'no master reachable, or none that can answer for want of a leader',
  storeFailed: 'a master can’t go on: its store failed, or its data was lost',
  removed: 'a master is no member of its cluster any more; systemd does not start it again',
};

export function exitCodeTable(): string {
  const rows = Object.entries(exitCodes).map(([name, code]) => [String(code), meaningOf(name)]);
  return table(['exit code', 'meaning'], rows);
}

function meaningOf(name: string): string {
  const found = Object.entries(exitMeanings).find(([key]) => key === name);
  if (found === undefined) throw new Error(`exit code ${name} has no meaning`);
  return found[1];
}

/** Every command's help, as it prints it. */
export async function commandPages(): Promise<string> {
  const terminal = new RecordedTerminal(100);
  const program = makeProgram(terminal);
  // Before the commands are loaded, as `sublet --help` has it.
  const first = page(program);
  for (const command of program.commands) await fill(command, terminal);
  const others = program.commands.flatMap((command) => [command, ...command.commands]).map(page);
  return [first, ...others].join('\n');
}

function page(command: Command): string {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) });
  command.outputHelp();
  const path: string[] = [];
  for (let at: Command | null = command; at !== null; at = at.parent) path.unshift(at.name());
  return `## ${path.join(' ')}\n\n\`\`\`\n${help.trim()}\n\`\`\`\n`;
}
