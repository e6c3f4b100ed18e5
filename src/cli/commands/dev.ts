/** `sublet dev`: a whole cluster on this machine, to try things. */
import { type Define, examples, wholeNumber } from '#cli/command-kit.js';
import { devDefaults, devMax } from '#cli/dev/dev-plan.js';

export const define: Define = (command, terminal) => {
  command
    .description(
      'Starts a cluster on this machine: masters and agents as processes of their own, on loopback, with agents that change nothing on the host (--network plan), and with TLS between all of them: an authority and certificates are made in the data folder. Prints the leases, then `ready`. Ctrl-C stops it; the next run goes on with the same leases.',
    )
    .option(
      '--masters <N>',
      `1 to ${devMax.masters}; an odd number is best (default: ${devDefaults.masters})`,
      wholeNumber,
    )
    .option('--agents <N>', `0 to ${devMax.agents} (default: ${devDefaults.agents})`, wholeNumber)
    .option('--data-dir <DIR>', 'where all data and logs go', `./${devDefaults.dataDir}`)
    .option(
      '--base-port <PORT>',
      `the first port: m1 takes it and the next two, agent-1 the one after; m2 begins 10 higher (default: ${devDefaults.basePort})`,
      wholeNumber,
    )
    .option('--insecure', 'without TLS: every process of this machine may read and change everything');
  examples(
    command,
    ['sublet dev', 'three masters, three agents'],
    ['sublet dev --masters 1 --agents 10', 'one master, ten agents'],
    ['sublet dev --data-dir /tmp/two --base-port 8070', 'a second cluster'],
  );
  command.action(
    async (options: { masters?: number; agents?: number; dataDir: string; basePort?: number; insecure?: true }) => {
      const { runDev } = await import('#cli/dev/dev-run.js');
      await runDev(options, terminal);
    },
  );
};
