/** The master process: its configuration, its parts, and its life. */
import type { Command } from 'commander';
import { type ExitCode, exitCodes, expectedFailure, Failure, folderFailure } from '#cli/failure.js';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { grpcLogs } from '#cli/process/grpc-log.js';
import { renewal } from '#cli/process/joining.js';
import { serve } from '#cli/process/lifetime.js';
import { type Logger, makeLogger } from '#cli/process/log.js';
import { loadConfig, logBadNode, logWarnings } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { version } from '#cli/version.js';
import { loadMasterConfig, type MasterConfig } from '#config/files/master-config.js';
import type { NetworkSection } from '#config/files/network-config.js';
import { formatHostPort } from '#config/host-port.js';
import { masterSettings } from '#config/master-settings.js';
import { systemErrorIn } from '#errors/expected-error.js';
import { InvariantError } from '#errors/invariant.js';
import { keepFilesPrivate } from '#files/private-folder.js';
import type { ConfiguredNetwork } from '#master/leader/configured-network.js';
import { type Master, type MasterOptions, startMaster } from '#master/master.js';
import { compileEarly } from '#master/process/early-compilation.js';
import { boundHeapGrowth } from '#master/process/heap-growth.js';
import { RemovedError } from '#master/process/replica-report.js';
import { ConfigurationMismatchError, NotMemberError } from '#replica/members/stored-self.js';
import { StoreError } from '#replica/ports/log-store.js';
import { systemClock } from '#replica/ports/system-clock.js';
import type { CertificateRenewal } from '#tls/certificate/certificate-renewal.js';
import { TlsFileError } from '#tls/certificate/tls-files.js';

/** Runs until a signal stops it. @throws Failure */
export async function runMaster(command: Command, terminal: Terminal): Promise<void> {
  keepFilesPrivate();
  compileEarly();
  boundHeapGrowth();
  const { config, warnings } = loadConfig(command, masterSettings, loadMasterConfig);
  const log = makeLogger(config.log, { process: 'master', name: config.name });
  grpcLogs(log);
  logWarnings(log, warnings);
  logBadNode(log);
  let fatal: Failure | undefined;
  const exitCode = await serve(log, async (failed) => {
    const onFatal = (error: Error): void => {
      fatal = new Failure(fatalExitCode(error), `master ${config.name} has stopped by itself; its log says why`);
      log.fatal(isBug(error) ? { err: error } : {}, error.message);
      failed(fatal.exitCode);
    };
    const master = await startMaster({ ...masterOptions(config), version, logger: log, onFatal }).catch(
      (error: unknown) => {
        throw folderFailure('data_dir (--data-dir)', config.dataDir, error) ?? startFailure(error);
      },
    );
    const { api, peer, http } = master.addresses;
    const join = master.joinAddress;
    log.info(
      { api, peer, http, ...(join === undefined ? {} : { join }), data: config.dataDir, node: process.versions.node },
      `master ${config.name} of cluster ${config.cluster.id} runs`,
    );
    void master.ready().then(() => log.info({}, 'ready'));
    const renewing = renewalOf(config, master, terminal, log);
    return {
      unready: () => master.unready(),
      stop: () => {
        renewing?.stop();
        return master.stop();
      },
    };
  });
  if (fatal !== undefined) throw fatal;
  log.info({}, 'stopped');
  process.exitCode = exitCode;
}

/** Of the files of `tls`, with `tls.renew` alone: others may renew them. */
function renewalOf(
  { tls, tlsRenew }: MasterConfig,
  master: Pick<Master, 'certificate' | 'renewCertificate'>,
  terminal: Terminal,
  log: Logger,
): CertificateRenewal | undefined {
  const { certificate } = master;
  if (tls === undefined || certificate === undefined || !tlsRenew) return undefined;
  const ask = ({ csr }: { readonly csr: Uint8Array }) => master.renewCertificate(csr);
  const wallClock = (): number => terminal.now();
  return renewal({ certificate, folder: new TlsFolder(tls), ask, timer: systemClock, wallClock, log }).start();
}

function masterOptions(config: MasterConfig): Omit<MasterOptions, 'version' | 'logger' | 'onFatal'> {
  const { name, dataDir, cluster, raft, insecure } = config;
  return {
    name,
    dataDir,
    insecure,
    tls: config.tls,
    clusterId: cluster.id,
    founders: cluster.members.map((member) => ({ name: member.name, peer: formatHostPort(member.peer) })),
    join: cluster.join.map(formatHostPort),
    listen: formatHostPort(config.listen),
    peerListen: formatHostPort(config.peerListen),
    httpListen: formatHostPort(config.httpListen),
    httpHosts: config.httpHosts,
    nodeIps: config.nodeIps,
    httpTls: config.httpTls,
    httpTokenFile: config.httpTokenFile,
    healthListen: config.healthListen && formatHostPort(config.healthListen),
    network: configuredNetwork(config.network),
    timing: { heartbeatMs: raft.heartbeatMs, electionMs: raft.electionMs },
    retainEntries: raft.retainEntries,
    joining: config.joining && {
      ...config.joining,
      listen: config.joining.listen && formatHostPort(config.joining.listen),
    },
  };
}

function configuredNetwork({ settings, mentioned, overlays }: NetworkSection): ConfiguredNetwork {
  return { initial: { settings, overlays: overlays ?? [] }, file: { settings: mentioned, overlays } };
}

/** With 2 and 71 a supervisor leaves it alone. Otherwise it may start it again; whether that helps, the message says. */
function fatalExitCode(error: Error): ExitCode {
  if (error instanceof RemovedError || error instanceof NotMemberError) return exitCodes.removed;
  return error instanceof ConfigurationMismatchError ? exitCodes.usage : exitCodes.storeFailed;
}

/** Of any other failure the message says all, and a stack would only repeat it. */
function isBug(error: Error): boolean {
  if (error instanceof InvariantError) return error.code === 'broken';
  return !(error instanceof ConfigurationMismatchError) && expectedFailure(error) === undefined;
}

function startFailure(error: unknown): unknown {
  // Another process has the store open: the store is intact, and another start would fail alike.
  if (error instanceof StoreError && error.code === 'locked') return new Failure(exitCodes.refused, error.message);
  if (error instanceof StoreError || error instanceof ConfigurationMismatchError) {
    return new Failure(fatalExitCode(error), error.message);
  }
  if (error instanceof TlsFileError) return new Failure(exitCodes.usage, error.message);
  return portFailure(error) ?? expectedFailure(error) ?? error;
}

function portFailure(error: unknown): Failure | undefined {
  const { code = '', address, port } = systemErrorIn(error) ?? {};
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'something listens there already',
    EADDRNOTAVAIL: 'this machine has no such address',
    EACCES: 'this user may not',
  };
  const why = reasons[code];
  if (why === undefined || address === undefined || port === undefined) return undefined;
  return new Failure(exitCodes.refused, `can’t listen at ${formatHostPort({ host: address, port })}: ${why}`, [
    'Choose other addresses with --listen, --peer-listen, --http-listen and --join-listen.',
  ]);
}
