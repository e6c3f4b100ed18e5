/** `sublet snapshot save|inspect|restore|recover|keygen`: backups, and a cluster that begins anew with the plan of a lost one. */

import { randomBytes } from 'node:crypto';
import { status } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { isServiceError } from '#api/master-client.js';
import { clusterService } from '#api/services.js';
import { connects, type Define, examples, outputOption } from '#cli/command-kit.js';
import { argument, expectedFailure, Failure, folderFailure, usage } from '#cli/failure.js';
import { operate } from '#cli/operator/operator.js';
import { masterFailure } from '#cli/operator/refusal-words.js';
import { readWhole, writeWhole } from '#cli/operator/snapshot-file-io.js';
import {
  authoritiesOf,
  checkOrigin,
  identitiesFrom,
  makeIdentityFile,
  originOf,
  originText,
  readsBackup,
  recipientsIn,
  type SnapshotOrigin,
} from '#cli/operator/snapshot-trust.js';
import { formOf, forPeople, plainJson, writeValue } from '#cli/output/form.js';
import { formatFacts } from '#cli/table.js';
import { type Terminal, wrap } from '#cli/terminal.js';
import { count, plural, shellWord } from '#cli/words.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';
import { withPrivateFiles } from '#files/private-folder.js';
import {
  type NewCluster,
  previousStateOf,
  type RecoveryReport,
  readSurvivor,
  recoverCluster,
  restoreCluster,
} from '#master/recovery.js';
import type { SnapshotFileContent } from '#storage/snapshots/snapshot-file.js';
import { clusterIdForm, memberNameForm } from '#text/name-form.js';

export const define: Define = (command, terminal) => {
  command.description(
    'Backups of the address plan, and what to do with one, or with the one master that is left, after a disaster.',
  );
  save(command, terminal);
  inspect(command, terminal);
  restore(command, terminal);
  recover(command, terminal);
  keygen(command, terminal);
  examples(
    command,
    ['sublet snapshot save plan.snapshot', 'while the cluster serves'],
    ['sublet snapshot inspect plan.snapshot', 'is it whole, and of when?'],
  );
};

function save(group: Command, terminal: Terminal): void {
  const command = connects(group.command('save').summary('save a backup while the cluster serves'))
    .description(
      'Saves a backup, from any master, while the cluster serves. The file is there whole or not at all. With TLS the master signs it.',
    )
    .argument('<FILE>', 'the file; one that is there is replaced')
    .option('--encrypt-to <RECIPIENT,…>', 'encrypt it to these recipients of age (sublet snapshot keygen)')
    .option('--stale', 'what the asked master has, also while there is no leader');
  examples(command, ['sublet snapshot save /var/backups/sublet.snapshot', 'everything acknowledged until now']);
  command.action((file: string, { stale, encryptTo }: { stale?: true; encryptTo?: string }) => {
    const recipients = encryptTo === undefined ? [] : recipientsIn(encryptTo);
    return operate(command, terminal, async ({ client, material }) => {
      // Settles on a master that answers; the stream then comes from that one.
      await client.call(clusterService.getStatus, {}, { idempotent: true });
      const pieces = async function* (): AsyncGenerator<Uint8Array> {
        // Opened when it is read, so that whatever ends it early is heard here.
        const stream = client.serverStream(clusterService.saveSnapshot, { stale: stale === true });
        for await (const { chunk } of stream) yield chunk;
      };
      const authorities = material?.authorities;
      const check = (content: SnapshotFileContent): void => void originOf(file, content, authorities);
      const content = await writeWhole(file, pieces(), { recipients, check }).catch((error: unknown) => {
        const failure = error instanceof Failure ? error : masterFailure(error);
        if (stale || !isServiceError(error) || error.code !== status.UNAVAILABLE) throw failure;
        const hint = `To save what the asked master has: sublet snapshot save ${file} --stale`;
        throw new Failure(failure.exitCode, failure.message, [...failure.hints, hint]);
      });
      const sealed = recipients.length > 0 ? `, encrypted to ${recipients.map(({ text }) => text).join(', ')}` : '';
      terminal.write(`Saved ${file}${sealed}.\n${describe(content, originOf(file, content, authorities), terminal)}`);
    });
  });
}

function inspect(group: Command, terminal: Terminal): void {
  const command = readsBackup(group.command('inspect'))
    .summary('check a backup, and show what it holds')
    .description(
      'Reads a backup to its end, checks every sum and the signature, loads the plan, and tells what it holds.',
    )
    .argument('<FILE>', 'the backup')
    .addOption(outputOption('its header and counts as JSON'));
  examples(command, ['sublet snapshot inspect plan.snapshot', 'ends with 1 if it is damaged']);
  command.action(async (file: string, { identity }: { identity?: string }) => {
    const output = formOf(command);
    const content = await readWhole(file, identitiesFrom(identity));
    const origin = originOf(file, content, authoritiesOf(command));
    const { header, records } = content;
    const { agentCount, revision, adoption } = previousStateOf(content).ipam;
    if (forPeople(output)) terminal.write(describe(content, origin, terminal));
    else {
      const facts = { ...header, signature: origin, records: records.length, agents: agentCount, revision, adoption };
      writeValue(output, plainJson(facts), terminal);
    }
  });
}

function describe(content: SnapshotFileContent, origin: SnapshotOrigin, terminal: Terminal): string {
  const { header, records } = content;
  const { agentCount } = previousStateOf(content).ipam;
  return formatFacts(
    [
      ['cluster', header.clusterId],
      ['log index', `${header.index} of term ${header.term}`],
      ['agents', count(agentCount)],
      ['records', count(records.length)],
      [
        'members',
        header.members.map(({ name, peer, votes }) => `${name}=${peer}${votes ? '' : ' (learner)'}`).join(', '),
      ],
      ['saved', `${new Date(header.savedAt).toISOString()} by ${header.savedBy}, version ${header.version}`],
      ['signed', originText(origin, header.savedAt)],
    ],
    terminal,
  );
}

type RebornOptions = {
  readonly dataDir: string;
  readonly name?: string;
  readonly peer?: string;
  readonly clusterId?: string;
};

function rebornOptions(command: Command): Command {
  return command
    .requiredOption('--data-dir <DIR>', 'the data directory of the master that begins anew')
    .option('--name <NAME>', 'its name')
    .option('--peer <HOST:PORT>', 'where other masters will reach it')
    .option('--cluster-id <ID>', 'id of the new cluster (default: the old one’s with a random suffix)');
}

function restore(group: Command, terminal: Terminal): void {
  const command = readsBackup(rebornOptions(group.command('restore').summary('begin a new cluster with a backup')))
    .description(
      'Begins a new cluster of one master with a backup, on one machine only: other masters are added to it. It is in adoption: running agents get back what they hold, and no other block is allocated until `sublet adoption end`.',
    )
    .argument('<FILE>', 'the backup')
    .option('--unverified', 'take the backup although its signature is missing or not verified');
  examples(command, [
    'sublet snapshot restore plan.snapshot --data-dir /var/lib/sublet --name m1 --tls /etc/sublet/tls',
    'then start m1',
  ]);
  type Options = RebornOptions & { identity?: string; unverified?: true };
  command.action(async (file: string, options: Options) => {
    const content = await readWhole(file, identitiesFrom(options.identity));
    if (options.unverified !== true) {
      const authorities = authoritiesOf(command);
      const warning = checkOrigin(file, originOf(file, content, authorities), authorities);
      if (warning !== undefined) terminal.note(`${terminal.paintNote('yellow', '!')} ${warning}\n`);
    }
    const [first] = content.header.members;
    const reborn = rebornOf(options, content.header.clusterId, first ?? { name: 'master-1', peer: '127.0.0.1:7071' });
    const restored = () => restoreCluster(options.dataDir, previousStateOf(content), reborn);
    const report = await asFailure(() =>
      withPrivateFiles(restored).catch((error: unknown) => {
        throw folderFailure('--data-dir', options.dataDir, error) ?? error;
      }),
    );
    terminal.write(
      `Restored ${file}.\n${wrap(onlyHere, terminal)}\n${next(report, reborn, options.dataDir, terminal)}`,
    );
  });
}

function recover(group: Command, terminal: Terminal): void {
  const command = rebornOptions(group.command('recover').summary('begin a new cluster with one survivor'))
    .description(
      'Begins a new cluster of one master with the store of one that survived, when the others are lost for good. It is in adoption, as after a restore. Whatever only the lost ones knew is lost.',
    )
    .option('--yes-i-lost-the-quorum', 'the others are gone and will never be started again');
  examples(command, [
    'sublet snapshot recover --data-dir /var/lib/sublet --yes-i-lost-the-quorum',
    'with that master stopped, then start it',
  ]);
  command.action(async (options: RebornOptions & { yesILostTheQuorum?: true }) => {
    const survivor = await asFailure(() => readSurvivor(options.dataDir));
    const { self, membership, legacy } = survivor;
    const others = membership.members.filter(({ id }) => id !== self.id).map(({ name, peer }) => `${name} at ${peer}`);
    if (options.yesILostTheQuorum !== true) {
      throw usage(
        `${self.name} would begin a cluster of its own, without ${others.join(', ') || 'any other master'}`,
        `It knows ${plural(legacy.ipam.agentCount, 'agent')}, up to log index ${legacy.index}. What only the others knew would be lost.`,
        'Only if they are gone for good, and can never be started again: --yes-i-lost-the-quorum',
      );
    }
    const reborn = rebornOf(options, membership.clusterId, self);
    const suffix = new Date().toISOString().replaceAll(/[:.]/g, '-');
    const report = await asFailure(() =>
      withPrivateFiles(() => recoverCluster(options.dataDir, survivor, reborn, suffix)),
    );
    terminal.note(
      `${terminal.paintNote('yellow', '!')} The quorum of cluster ${membership.clusterId} was given up. Never start ${others.join(' or ') || 'a copy of it'} again: it would lease what this cluster leases.\n`,
    );
    terminal.write(`Recovered what ${self.name} had. Its old store is ${report.oldStore ?? ''}.\n`);
    terminal.write(next(report, reborn, options.dataDir, terminal));
  });
}

function keygen(group: Command, terminal: Terminal): void {
  const command = group
    .command('keygen')
    .summary('make a key to encrypt backups to')
    .description(
      'Makes a file with an identity of age, as age-keygen does, and prints its recipient. Backups are encrypted to the recipient; the identity alone decrypts them.',
    )
    .argument('<FILE>', 'the file with the identity: keep it, and a copy, away from the masters and the backups');
  examples(command, ['sublet snapshot keygen backup.key', 'then: sublet snapshot save FILE --encrypt-to age1…']);
  command.action((file: string) => {
    const recipient = makeIdentityFile(file);
    terminal.write(`Made ${file}. Its recipient is ${recipient}\n`);
  });
}

function rebornOf(
  { name, peer, clusterId }: RebornOptions,
  oldClusterId: string,
  before: { readonly name: string; readonly peer: string },
): NewCluster {
  const reborn = {
    name: name ?? before.name,
    peer: peer === undefined ? before.peer : formatHostPort(argument('--peer', peer, parseHostPort)),
    clusterId: clusterId ?? `${oldClusterId.slice(0, 54)}-${randomBytes(4).toString('hex')}`,
  };
  // What is not given comes from a file: it is checked as a flag is.
  if (!memberNameForm.pattern.test(reborn.name)) {
    throw usage(`--name: "${reborn.name}": ${memberNameForm.allowed} are allowed`);
  }
  if (!clusterIdForm.pattern.test(reborn.clusterId)) {
    throw usage(`--cluster-id: "${reborn.clusterId}": ${clusterIdForm.allowed} are allowed`);
  }
  argument('--peer', reborn.peer, parseHostPort);
  return reborn;
}

const onlyHere =
  'Do this on one machine only: restored on others as well, there are several clusters that grant the same addresses. Add masters to this one instead (sublet members add).';

function next(
  { index, agents }: RecoveryReport,
  { name, clusterId }: NewCluster,
  dataDir: string,
  terminal: Terminal,
): string {
  const made = `The new cluster is ${clusterId}: one master, ${name}, at log index ${index}, in adoption, with ${plural(agents, 'agent')} on record.`;
  return [
    wrap(made, terminal),
    'Next:',
    `  sublet master --name ${name} --cluster-id ${clusterId} --data-dir ${shellWord(dataDir)} …`,
    '  sublet adoption             which agents are not back yet',
    '  sublet adoption end         once those that still run are back',
    '',
  ].join('\n');
}

/** What these steps say in plain words, as failures. */
async function asFailure<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw expectedFailure(error) ?? error;
  }
}
