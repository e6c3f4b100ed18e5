/** `sublet master`: runs a master. */
import { type Define, examples } from '#cli/command-kit.js';
import { addSettingFlags } from '#cli/setting-flags.js';
import { masterSettings } from '#config/master-settings.js';

export const define: Define = (command, terminal) => {
  command
    .description(
      'Runs a master: one member of the cluster that holds the address plan. Without any settings it is a cluster of one in ./sublet-data, on loopback.',
    )
    .option('--config <FILE>', 'JSON; flags win over it');
  addSettingFlags(command, masterSettings);
  examples(
    command,
    ['sublet master', 'a cluster of one, to try things'],
    ['sublet master --config /etc/sublet/master.json', 'from a file'],
    ['sublet master --config dcos-master.json --name m1 --member m1=10.0.0.1:7071 …', 'flags win'],
    ['sublet config check /etc/sublet/master.json', 'look before starting'],
  );
  command.action(async () => {
    const { runMaster } = await import('#cli/process/master-run.js');
    await runMaster(command, terminal);
  });
};
