/** `sublet import dcos-state|flannel`: takes the network of another system into the plan. */
import { type Command, Option } from 'commander';
import { type Define, examples, writes } from '#cli/command-kit.js';
import { usage } from '#cli/failure.js';
import type { ImportOptions } from '#cli/import/run-import.js';
import { needsConsent } from '#cli/operator/consent.js';
import type { Terminal } from '#cli/terminal.js';
import { shellWord } from '#cli/words.js';

export const define: Define = (command, terminal) => {
  command.description(
    'Takes the network of DC/OS or flannel into the plan: overlays, and for each host a reservation of what it has, so that the agent that registers the same node address gets exactly that. What is in the way is listed before anything is changed.',
  );
  dcosState(command, terminal);
  flannel(command, terminal);
  examples(
    command,
    ['sublet import dcos-state state.json --dry-run', 'what would be done'],
    ['sublet import flannel --etcd http://10.0.0.1:2379', 'do it'],
  );
};

const description = (what: string): string =>
  `${what} A new overlay is enabled last, when all is reserved. Each change is shown as the command that makes it, and is made only if nothing that it depends on has changed; run again, it makes what is left.`;

function dcosState(group: Command, terminal: Terminal): void {
  const command = needsConsent(writes(group.command('dcos-state').summary('from the state of DC/OS’s overlay master')))
    .description(
      description(
        'Reads the State document of DC/OS: overlays, and subnets and VTEP address of each agent, which are reserved for its address. A VTEP’s MAC follows from its address.',
      ),
    )
    .argument('<FILE>', 'the document; - reads the standard input');
  examples(
    command,
    ['curl -s http://leader.mesos:5050/overlay-master/state > state.json', 'on a host of DC/OS'],
    ['sublet import dcos-state state.json --dry-run', 'what would be done'],
    ['sublet import dcos-state state.json', 'do it'],
  );
  command.action(async (file: string, options: ImportOptions) => {
    const { readConfigFile } = await import('#cli/local/config-file.js');
    const { readDcosState } = await import('#cli/import/dcos-state.js');
    const { runImport } = await import('#cli/import/run-import.js');
    const { exitCodes } = await import('#cli/failure.js');
    const read = async () => {
      const { name, text } = readConfigFile(file, exitCodes.usage);
      return readDcosState(name, text);
    };
    const source = { name: file === '-' ? 'stdin' : file, again: `sublet import dcos-state ${shellWord(file)}` };
    await runImport(command, source, read, options, terminal);
  });
}

const defaultPrefix = '/coreos.com/network';
const defaultOverlay = 'flannel';

type FlannelOptions = ImportOptions & {
  readonly etcd?: string;
  readonly etcdCa?: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
  readonly file?: string;
  readonly prefix: string;
  readonly overlay: string;
};

function flannel(group: Command, terminal: Terminal): void {
  const source = (flags: string, about: string): Option => new Option(flags, about).helpGroup('Source:');
  const command = needsConsent(writes(group.command('flannel').summary('from flannel’s keys in etcd')))
    .description(
      description(
        'Reads flannel’s configuration and its subnets, which are reserved for the PublicIP of their host. VTEP addresses are allocated afresh: flannel’s are in the subnets.',
      ),
    )
    .addOption(source('--etcd <URL>', 'an endpoint of etcd 3.4 or later, like http://10.0.0.1:2379'))
    .addOption(source('--etcd-ca <FILE>', 'authority of etcd, PEM; default: those of the system'))
    .addOption(source('--etcd-cert <FILE>', 'your certificate for etcd, PEM'))
    .addOption(source('--etcd-key <FILE>', 'its key, PEM'))
    .addOption(
      source('--file <FILE>', 'in place of --etcd: what `etcdctl get --prefix PREFIX/ -w json` printed; - is stdin'),
    )
    .addOption(source('--prefix <KEY>', 'where flannel’s keys are').default(defaultPrefix))
    .option('--overlay <NAME>', 'name of the overlay that its network becomes', defaultOverlay);
  examples(
    command,
    ['sublet import flannel --etcd http://10.0.0.1:2379 --dry-run', 'what would be done'],
    ['sublet import flannel --etcd http://10.0.0.1:2379', 'do it'],
    [
      'etcdctl get --prefix /coreos.com/network/ -w json | sublet import flannel --file -',
      'where etcdctl has the rights',
    ],
  );
  command.action(async (options: FlannelOptions) => {
    const { etcd, file, prefix, overlay, etcdCa, etcdCert, etcdKey } = options;
    const [from, ...others] = [etcd, file].filter((each) => each !== undefined);
    if (from === undefined || others.length > 0) throw usage('--etcd and --file: give one of them');
    if ((etcdCert === undefined) !== (etcdKey === undefined)) throw usage('--etcd-cert and --etcd-key go together');
    if (!/^\/.*[^/]$/.test(prefix)) {
      throw usage(
        `--prefix: "${prefix}" is not allowed: it begins with / and ends without one, like /coreos.com/network`,
      );
    }
    const { readConfigFile } = await import('#cli/local/config-file.js');
    const { etcdKeysBelow, etcdKeysIn } = await import('#cli/import/etcd-range.js');
    const { readFlannelKeys } = await import('#cli/import/flannel-keys.js');
    const { runImport } = await import('#cli/import/run-import.js');
    const { exitCodes } = await import('#cli/failure.js');
    const read = async () => {
      if (etcd === undefined) {
        const { name, text } = readConfigFile(from, exitCodes.usage);
        return readFlannelKeys(etcdKeysIn(name, text), prefix, overlay);
      }
      const tls = {
        ...(etcdCa !== undefined && { ca: etcdCa }),
        ...(etcdCert !== undefined && { cert: etcdCert }),
        ...(etcdKey !== undefined && { key: etcdKey }),
      };
      return readFlannelKeys(await etcdKeysBelow(prefix, { url: etcd, ...tls }), prefix, overlay);
    };
    const name = etcd === undefined && from === '-' ? 'stdin' : from;
    await runImport(command, { name, again: commandOf(options) }, read, options, terminal);
  });
}

/** The command that reads the same again: without what it was read by, it would read something else. */
function commandOf({ etcd, etcdCa, etcdCert, etcdKey, file, prefix, overlay }: FlannelOptions): string {
  const flags = [
    ['--etcd', etcd],
    ['--etcd-ca', etcdCa],
    ['--etcd-cert', etcdCert],
    ['--etcd-key', etcdKey],
    ['--file', file],
    ['--prefix', prefix === defaultPrefix ? undefined : prefix],
    ['--overlay', overlay === defaultOverlay ? undefined : overlay],
  ] as const;
  return [
    'sublet import flannel',
    ...flags.flatMap(([flag, value]) => (value === undefined ? [] : [flag, shellWord(value)])),
  ].join(' ');
}
