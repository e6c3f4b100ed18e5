/** `sublet doctor`: what is wrong with this machine and the masters, and the way out. */
import { connects, type Define, examples, outputOption } from '#cli/command-kit.js';
import type { DoctorOptions } from '#cli/doctor/run-doctor.js';

export const define: Define = (command, terminal) => {
  connects(command.addOption(outputOption('a list of findings')))
    .description(
      'Looks at this machine (Node.js, open files, clock), at its configuration files (folders, disk, ports, peers, certificates, and what an agent needs of the host), and at what the masters say of themselves. For what is wrong it says the way out. Changes nothing but a file of 200 kB that it writes into a master’s data directory and removes. Ends with 1 if something is wrong.',
    )
    .option('--config <FILE...>', 'configuration files of this machine (default: those in /etc/sublet)');
  examples(
    command,
    ['sublet doctor', 'this machine, and the masters'],
    ['sublet doctor --config /etc/sublet/master.json', 'with its disk, its ports and its peers'],
    ['sublet doctor -o json | jq ".[] | select(.severity != \\"ok\\")"', 'for scripts'],
  );
  command.action(async (options: DoctorOptions) => {
    const { runDoctor } = await import('#cli/doctor/run-doctor.js');
    await runDoctor(command, options, terminal);
  });
};
