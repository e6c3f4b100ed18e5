/** `sublet doctor`: looks at this machine, its configuration files and the masters, and says the way out of what is wrong. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { clusterService } from '#api/services.js';
import { type CertificateFiles, certificateFindings, statusFindings } from '#cli/doctor/cluster-checks.js';
import { clockFinding, folderFindings, nodeFinding, openFilesFinding } from '#cli/doctor/machine-checks.js';
import { peerFinding, portFinding } from '#cli/doctor/network-checks.js';
import { exitCodes, Failure, usage } from '#cli/failure.js';
import { agentFindings, formatFindings } from '#cli/local/agent-check.js';
import { readConfigFile } from '#cli/local/config-file.js';
import { connectionSetting } from '#cli/operator/connection-setting.js';
import { operate } from '#cli/operator/operator.js';
import { formOf, forPeople, plainJson, writeValue } from '#cli/output/form.js';
import { orFailure } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { loadAgentConfig } from '#config/files/agent-config.js';
import { loadMasterConfig, type MasterConfig } from '#config/files/master-config.js';
import { configKind } from '#config/schema/kind.js';
import { openFilesLimit } from '#door/connection-shares.js';
import type { CheckFinding } from '#host/host-status.js';
import { processRunner } from '#host/tools/runner.js';
import { runningVersions } from '#runtime/node-releases.js';
import { levelStoreDefaults } from '#storage/level-store.js';

export type DoctorOptions = { readonly config?: readonly string[] };

/** Where the packages have them. */
const usualFiles = ['/etc/sublet/master.json', '/etc/sublet/agent.json'];

/** @throws Failure when something is wrong */
export async function runDoctor(command: Command, options: DoctorOptions, terminal: Terminal): Promise<void> {
  const output = formOf(command);
  const findings = await examined(command, options, terminal);
  if (forPeople(output)) terminal.write(formatFindings(findings, terminal, 'wrong'));
  else writeValue(output, plainJson(findings), terminal);
  const wrong = findings.filter(({ severity }) => severity === 'error').length;
  if (wrong > 0) throw new Failure(exitCodes.refused, `${plural(wrong, 'thing')} ${wrong === 1 ? 'is' : 'are'} wrong`);
}

/** All that is found, in the order of machine, files, masters. */
export async function examined(
  command: Command,
  { config = usualFiles.filter((file) => existsSync(file)) }: DoctorOptions,
  terminal: Terminal,
): Promise<readonly CheckFinding[]> {
  const files = await Promise.all(config.map((file) => fileFindings(file, terminal)));
  const own = certificateFiles(command);
  return [
    nodeFinding(runningVersions()),
    openFilesFinding(openFilesLimit()),
    await clockFinding(processRunner),
    ...files.flat(),
    ...(own === undefined ? [] : certificateFindings(own, terminal.now())),
    ...(await masterFindings(command, terminal)),
  ];
}

/** The files of this connection, by flags, the environment or the context; undefined: not all three are named. */
function certificateFiles(command: Command): CertificateFiles | undefined {
  const folder = connectionSetting(command, 'tls')?.value;
  const part = (name: 'ca' | 'cert' | 'key'): string | undefined =>
    connectionSetting(command, `tls-${name}`)?.value ??
    (folder === undefined ? undefined : join(folder, `${name}.pem`));
  const [ca, cert, key] = [part('ca'), part('cert'), part('key')];
  return ca === undefined || cert === undefined || key === undefined ? undefined : { ca, cert, key };
}

async function fileFindings(file: string, terminal: Terminal): Promise<readonly CheckFinding[]> {
  const source = { file: readConfigFile(file, exitCodes.usage) };
  const kind = configKind(source.file.text);
  if (kind === undefined) throw usage(`${file}: its keys are of neither a master nor an agent`);
  try {
    if (kind === 'agent') {
      const { config } = orFailure(file, exitCodes.refused, () => loadAgentConfig(source));
      return [configured(file, 'an agent'), ...(await agentFindings(config)), ...tls(config.tls, terminal)];
    }
    const { config } = orFailure(file, exitCodes.refused, () => loadMasterConfig(source));
    return [configured(file, 'a master'), ...(await ofMaster(config)), ...tls(config.tls, terminal)];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [
      {
        severity: 'error',
        what: 'configuration',
        says: [error.message, ...error.hints].join('; '),
        todo: `sublet config check ${file}`,
      },
    ];
  }
}

function configured(file: string, whose: string): CheckFinding {
  return { severity: 'ok', what: 'configuration', says: `${file} is that of ${whose}` };
}

function tls(files: CertificateFiles | undefined, terminal: Terminal): readonly CheckFinding[] {
  return files === undefined ? [] : certificateFindings(files, terminal.now());
}

const monotonic = (): number => performance.now();
async function ofMaster({
  name,
  dataDir,
  listen,
  peerListen,
  httpListen,
  cluster,
}: MasterConfig): Promise<readonly CheckFinding[]> {
  const others = cluster.members.filter((member) => member.name !== name);
  return [
    ...folderFindings(dataDir, levelStoreDefaults.freeBytesFloor, monotonic),
    ...(await Promise.all([
      portFinding('listen', listen, monotonic),
      portFinding('peer_listen', peerListen, monotonic),
      portFinding('http_listen', httpListen, monotonic),
      ...others.map((other) => peerFinding(other.name, other.peer, monotonic)),
    ])),
  ];
}

async function masterFindings(command: Command, terminal: Terminal): Promise<readonly CheckFinding[]> {
  let found: readonly CheckFinding[] = [];
  try {
    await operate(command, terminal, async ({ client }) => {
      found = statusFindings(await client.call(clusterService.getStatus, {}, { idempotent: true }));
    });
    return found;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const [first = '', ...attempts] = error.message.split('\n');
    return [
      {
        severity: 'error',
        what: 'masters',
        says: [first, ...attempts.map((each) => each.trim())].join('; '),
        todo: error.hints[0] ?? '',
      },
    ];
  }
}
