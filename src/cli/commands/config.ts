/** `sublet config check|schema`: what a configuration says, or what is wrong with it, and what files may hold. */
import { Argument, Option } from 'commander';
import { type Define, examples } from '#cli/command-kit.js';
import { jsonText } from '#text/printable-text.js';

export const define: Define = (command, terminal) => {
  command.description('Looks at configuration files without starting anything.');
  examples(command, ['sublet config check /etc/sublet/master.json', 'before a restart']);
  const check = command
    .command('check')
    .summary('what a file says, or what is wrong with it')
    .description(
      'Reads a configuration as `sublet master` or `sublet agent` would, and says what it means or what is wrong with it, all at once. Exits with 0 when it can be used, else with 1.',
    )
    .argument('<FILE>', 'the file; - reads the standard input')
    .addOption(
      new Option('--kind <KIND>', 'whose configuration it is (default: found by its keys)').choices([
        'master',
        'agent',
      ]),
    );
  examples(
    check,
    ['sublet config check /etc/sublet/master.json', 'before a restart'],
    ['sublet config check --kind agent -', 'what is piped in'],
  );
  check.action(async (file: string, options: { kind?: 'master' | 'agent' }) => {
    const { checkConfig } = await import('#cli/local/config-check.js');
    checkConfig(file, options.kind, terminal);
  });
  const schema = command
    .command('schema')
    .summary('what a file may hold, as a JSON Schema for editors')
    .description(
      'Prints the JSON Schema (2020-12) of a file: editors complete keys and check values by it. Rules between keys are no part of it; `sublet config check` and `sublet diff` know them.',
    )
    .addArgument(
      new Argument('<KIND>', 'which file: a plan for `sublet apply`, or a configuration').choices([
        'plan',
        'master',
        'agent',
      ]),
    );
  examples(
    schema,
    ['sublet config schema plan > plan.schema.json', 'for plan.yaml'],
    ['sublet config schema master > master.schema.json', 'for /etc/sublet/master.json'],
  );
  schema.action(async (kind: 'plan' | 'master' | 'agent') => {
    const { fileSchema } = await import('#config/schema/file-schema.js');
    terminal.write(`${jsonText(fileSchema(kind), 2)}\n`);
  });
};
