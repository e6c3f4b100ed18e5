/** Writes a manual page for `sublet` and one for each of its commands into a folder: `manual.js FOLDER`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fill, makeProgram } from '../../dist/src/cli/program.js';
import { RecordedTerminal } from '../../dist/src/cli/testing/recorded-terminal.js';

const [folder = 'man'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const terminal = new RecordedTerminal(78);
const program = makeProgram(terminal);
for (const command of program.commands) await fill(command, terminal);
const date = new Date(Number(process.env.SOURCE_DATE_EPOCH ?? 0) * 1000).toISOString().slice(0, 10);
for (const command of [program, ...program.commands]) {
  const name = command === program ? 'sublet' : `sublet-${command.name()}`;
  writeFileSync(join(folder, `${name}.1`), page(command, name));
}

function page(command, name) {
  const others = program.commands.filter((other) => other !== command).map((other) => `sublet-${other.name()}`);
  const below = command === program ? [] : command.commands;
  return [
    `.TH ${name.toUpperCase()} 1 ${date} "Sublet ${program.version()}" "Sublet"`,
    '.SH NAME',
    `${name} \\- ${roff(command.summary() || command.description())}`,
    '.SH SYNOPSIS',
    `.B ${roff(usage(command))}`,
    ...below.flatMap((inner) => ['.br', `.B ${roff(usage(inner))}`]),
    '.SH DESCRIPTION',
    roff(command.description()),
    ...parts(command, 'SH'),
    ...(command === program ? commandList() : []),
    ...below.flatMap((inner) => [
      `.SH "${roff(`sublet ${command.name()} ${inner.name()}`).toUpperCase()}"`,
      roff(inner.description()),
      ...parts(inner, 'SS'),
    ]),
    '.SH SEE ALSO',
    (command === program ? others : ['sublet', ...others]).map((other) => `.BR ${other} (1)`).join(',\n'),
    '',
  ].join('\n');
}

/** Arguments, options and examples, below headings of that level. */
function parts(command, heading) {
  const help = command.createHelp();
  const terms = [
    ...help.visibleArguments(command).map((one) => [help.argumentTerm(one), help.argumentDescription(one)]),
    ...help.visibleOptions(command).map((one) => [help.optionTerm(one), help.optionDescription(one)]),
  ];
  const examples = exampleLines(command);
  return [
    ...(terms.length === 0 ? [] : [`.${heading} OPTIONS`]),
    ...terms.flatMap(([term, about]) => ['.TP', `.B ${roff(term)}`, roff(about)]),
    ...(examples.length === 0 ? [] : [`.${heading} EXAMPLES`, '.nf', ...examples.map(roff), '.fi']),
  ];
}

function commandList() {
  return [
    '.SH COMMANDS',
    ...program.commands.flatMap((one) => ['.TP', `.BR sublet-${one.name()} (1)`, roff(one.summary())]),
  ];
}

function usage(command) {
  return command.createHelp().commandUsage(command).replace(/\s+/g, ' ');
}

function exampleLines(command) {
  let help = '';
  command.configureOutput({ writeOut: (text) => (help += text) }).outputHelp();
  const [, examples = ''] = help.split('\nExamples:\n');
  return examples.split('\n').filter((line) => line.trim() !== '');
}

/** Text as a page's source: no character of it is a command there. */
function roff(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('’', "'")
    .replaceAll('…', '...')
    .replace(/^([.'])/gm, '\\&$1');
}
