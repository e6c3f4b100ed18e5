/** `sublet debug bundle`: what helps to find a fault, in one archive. */
import { connects, type Define, examples } from '#cli/command-kit.js';
import type { BundleOptions } from '#cli/debug/bundle.js';

export const define: Define = (command, terminal) => {
  command.description('Gathers what helps to find a fault.');
  const bundle = connects(command.command('bundle').summary('write one archive, without secrets'))
    .description(
      'Writes one archive (.tar.gz): what the masters answer, metrics, configuration files, the end of the logs, what `sublet doctor` finds, and addresses, routes and firewall of this machine. Private keys, tokens and passwords are left out. manifest.json in it lists each file, and what could not be had. Changes nothing.',
    )
    .argument('[FILE]', 'where to write (default: sublet-debug-TIME.tar.gz here)')
    .option('--config <FILE...>', 'configuration files of this machine (default: those in /etc/sublet)')
    .option('--master-http <HOST:PORT>', 'where a master of this machine answers HTTP', '127.0.0.1:7072')
    .option('--agent-http <HOST:PORT>', 'where the agent of this machine answers HTTP', '127.0.0.1:7073')
    .option('--no-host', 'without addresses, routes, firewall and logs of this machine');
  examples(
    bundle,
    ['sublet debug bundle', 'on a machine with a master or an agent, as root'],
    ['sublet debug bundle fault.tar.gz --master 10.0.0.1:7070', 'with a name, and another master’s answers'],
  );
  examples(command, ['sublet debug bundle', 'one archive, to be sent to whom it concerns']);
  bundle.action(async (file: string | undefined, options: BundleOptions) => {
    const { writeBundle } = await import('#cli/debug/bundle.js');
    await writeBundle(bundle, file, options, terminal);
  });
};
