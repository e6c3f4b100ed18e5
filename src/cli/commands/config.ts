/** `sublet config check FILE`: what a configuration says, or what is wrong with it, without starting anything. */
import { Option } from 'commander';
import { type Define, examples } from '#cli/command-kit.js';

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
      new Option('--kind <KIND>', 'whose configuration it is (default: told by its keys)').choices(['master', 'agent']),
    );
  examples(
    check,
    ['sublet config check /etc/sublet/master.json', 'before a restart'],
    ['sublet config check --kind agent -', 'what is piped in'],
  );
  check.action(async (file: string, options: { kind?: 'master' | 'agent' }) => {
    const { checkConfig } = await import('#cli/config-check.js');
    checkConfig(file, options.kind, terminal);
  });
};
