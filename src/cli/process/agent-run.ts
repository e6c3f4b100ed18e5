/** The agent process: its configuration, its parts, and its life; and its leaving for good. */

import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { AgentIdError } from '#agent/agent-id.js';
import { MasterError } from '#agent/master-api.js';
import { unbuilt } from '#agent/report/agent-status.js';
import { leaveCluster, type StartAgentOptions, startAgent } from '#agent/start-agent.js';
import { StateDirError } from '#agent/state/state-dir.js';
import { exitCodes, expectedFailure, Failure } from '#cli/failure.js';
import { TlsFolder } from '#cli/operator/tls-folder.js';
import { grpcLogs } from '#cli/process/grpc-log.js';
import { joinedFiles, renewAt, renewal } from '#cli/process/joining.js';
import { serve } from '#cli/process/lifetime.js';
import { type Logger, makeLogger } from '#cli/process/log.js';
import { loadConfig, logBadNode, logWarnings } from '#cli/process/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { plural } from '#cli/words.js';
import { agentSettings } from '#config/agent-settings.js';
import { type AgentConfig, loadAgentConfig } from '#config/files/agent-config.js';
import { formatHostPort } from '#config/host-port.js';
import { errorCode } from '#errors/unknown-error.js';
import { keepFilesPrivate } from '#files/private-folder.js';
import { mayChangeNetwork } from '#host/desired/rights.js';
import type { HostSettings, RunFileSettings } from '#host/input.js';
import { HostReconciler } from '#host/reconciler.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import type { CertificateRenewal } from '#tls/certificate/certificate-renewal.js';
import { TlsFileError, type TlsFiles } from '#tls/certificate/tls-files.js';
import { formatPrincipal } from '#tls/principal.js';

/** Runs until a signal stops it. @throws Failure */
export async function runAgent(command: Command, options: { takeover?: true }, terminal: Terminal): Promise<void> {
  keepFilesPrivate();
  const { config, warnings } = loadConfig(command, agentSettings, loadAgentConfig);
  if (config.network === 'linux') needNetworkRights();
  const log = agentLog(config);
  grpcLogs(log);
  logWarnings(log, warnings);
  logBadNode(log);
  const takeover = options.takeover === true;
  const secured = securedBy(config, await tlsFilesOf(config, log), log);
  const exitCode = await serve(log, async (failed) => {
    const running = await startAgent({ ...startOptions(config, secured, log, terminal), takeover }).catch(
      (error: unknown) => {
        throw startFailure(error, config);
      },
    );
    log.info(
      {
        masters: config.masters.map(formatHostPort),
        http: formatHostPort(running.http),
        ...(running.https && { https: formatHostPort(running.https) }),
        network: config.network,
        node: process.versions.node,
      },
      `agent ${running.agent.options.agentId} runs`,
    );
    const renewing = renewalOf(config, secured, terminal, log);
    void running.failed.then((error) => {
      // It is the masters' answer: a stack would only repeat it.
      log.error({}, `gave up: ${error.message}`);
      failed(exitCodes.refused);
    });
    return {
      unready: () => unbuilt(running.agent),
      stop: () => {
        renewing?.stop();
        return running.stop();
      },
    };
  });
  log.info({}, 'stopped; the data plane stays as it is');
  process.exitCode = exitCode;
  if (exitCode !== exitCodes.done) throw new Failure(exitCodes.refused, 'the agent gave up; its log says why');
}

/** Leaves the cluster and cleans the host up, with the agent stopped. @throws Failure, also when something is left */
export async function leaveWithAgent(
  command: Command,
  options: { hostOnly?: true },
  terminal: Terminal,
): Promise<void> {
  keepFilesPrivate();
  const { config, warnings } = loadConfig(command, agentSettings, loadAgentConfig);
  if (config.network === 'linux') needNetworkRights();
  const log = agentLog({ ...config, log: { ...config.log, level: 'warn' } });
  grpcLogs(log);
  logWarnings(log, warnings);
  const hostOnly = options.hostOnly === true;
  const secured = securedBy(config, await tlsFilesOf({ ...config, join: undefined }, log), log);
  const report = await leaveCluster(startOptions(config, secured, log, terminal), { hostOnly }).catch(
    (error: unknown) => {
      throw leaveFailure(error, config);
    },
  );
  for (const { command, why } of report.removed) terminal.write(`removed  ${why}: ${command}\n`);
  for (const left of report.left) terminal.write(`${terminal.paint('yellow', 'left')}     ${left}\n`);
  if (report.gaveBack) {
    terminal.write('The lease is given back. What this host held is quarantined before it is leased again.\n');
  }
  if (report.left.length > 0) {
    throw new Failure(
      exitCodes.refused,
      `${plural(report.left.length, 'thing')} of Sublet could not be taken off this host`,
      ['See to what is named above, then run `sublet agent leave` once more.'],
    );
  }
  terminal.write('Nothing of Sublet is left on this host.\n');
}

/** Said before a lease is taken that this process could make nothing of. @throws Failure */
function needNetworkRights(): void {
  if (mayChangeNetwork()) return;
  throw new Failure(exitCodes.refused, 'network linux changes this host’s network, which this user may not do', [
    'Run it as root, or with CAP_NET_ADMIN and CAP_NET_RAW; --network plan only prints what would be done.',
  ]);
}

function agentLog(config: AgentConfig): Logger {
  return makeLogger(config.log, { process: 'agent', name: config.id ?? hostname() });
}

function startOptions(config: AgentConfig, secured: Secured, log: Logger, terminal: Terminal): StartAgentOptions {
  const { nodeIp, masters, stateDir, httpListen, httpHosts, network, networkConfig } = config;
  const { httpsListen, httpTokenFile } = config;
  return {
    ...secured,
    nodeIp,
    masters,
    stateDir,
    httpListen,
    httpHosts,
    httpsListen,
    httpTokenFile,
    network,
    networkConfig,
    log,
    settings: hostSettings(config),
    reconciler: new HostReconciler({ log, clock: systemClock }),
    print: (line) => terminal.write(`${line}\n`),
  };
}

/** Of the configuration, or those that joining has brought; undefined: the agent is without TLS. @throws Failure */
async function tlsFilesOf(config: AgentConfig, log: Logger): Promise<TlsFiles | undefined> {
  const { id, stateDir, join: token, joinPort: port } = config;
  const folder = tlsFolderIn(stateDir).path;
  if (config.tls !== undefined) return config.tls;
  const masters = config.masters.map(({ host }) => formatHostPort({ host, port }));
  return joinedFiles({ role: 'agent', id, folder, join: token, masters }, log);
}

/** Of a certificate that joining has brought; files of the configuration are renewed by others, unless `tls.renew` is on. */
function renewalOf(
  config: AgentConfig,
  { certificate }: Secured,
  terminal: Terminal,
  log: Logger,
): CertificateRenewal | undefined {
  const folder = renewedFolder(config);
  if (folder === undefined || certificate === undefined) return undefined;
  const masters = config.masters.map(formatHostPort);
  const ask = (request: Parameters<typeof renewAt>[2]) => renewAt(masters, certificate, request);
  const wallClock = (): number => terminal.now();
  return renewal({ certificate, folder, ask, timer: systemClock, wallClock, log }).start();
}

/** The files that this agent has the masters renew; undefined: others renew them. */
export function renewedFolder({ tls, tlsRenew, stateDir }: AgentConfig): TlsFolder | undefined {
  if (tls === undefined) return tlsFolderIn(stateDir);
  return tlsRenew ? new TlsFolder(tls) : undefined;
}

/** Where joining puts an agent's certificate. */
function tlsFolderIn(stateDir: string): TlsFolder {
  return TlsFolder.at(join(stateDir, 'tls'));
}

type Secured = Pick<StartAgentOptions, 'id' | 'certificate'>;

/** An agent renews while it runs: a host that was off for longer than its certificate was valid has none. */
const joinAnew = [
  'A host without a certificate that is of use joins anew: `sublet token create --role agent --id ID`, then --join TOKEN here.',
];

/** With TLS an agent goes by the id of its certificate. @throws Failure */
function securedBy(config: AgentConfig, files: TlsFiles | undefined, log: Logger): Secured {
  const { id } = config;
  if (files === undefined) return { id };
  try {
    const certificate = new CertificateReloader({ files, allowed: ['agent'], timer: systemClock, log });
    const { principal } = certificate.material;
    if (id !== undefined && id !== principal.id) {
      throw new TlsFileError(
        `id (--id) is ${id}, and ${files.cert} is of ${formatPrincipal(principal)}: an agent may act for itself only`,
      );
    }
    return { id: principal.id, certificate: certificate.start() };
  } catch (error) {
    if (error instanceof TlsFileError) {
      throw new Failure(exitCodes.usage, error.message, config.tls === undefined ? joinAnew : []);
    }
    throw error;
  }
}

/** The site's settings, for the host. */
export function hostSettings(config: AgentConfig): HostSettings {
  return {
    masters: config.masters.map(({ host }) => host),
    ...(config.overlaysAllowed !== undefined && { overlaysAllowed: config.overlaysAllowed }),
    guard: config.guard,
    guardExcept: config.guardExcept,
    cniDir: config.cniDir,
    cniDirsBeside: config.cniDirs,
    cniFilePrefix: config.cniFilePrefix,
    ...(config.cniDefault !== undefined && { cniDefault: config.cniDefault }),
    cniPortmap: config.cniPortmap,
    cniChain: config.cniChain,
    ...(config.cniDataDir !== undefined && { cniDataDir: config.cniDataDir }),
    cniStyle: config.cniStyle,
    overlayMtu: config.networkConfig.overlayMtu,
    enableIpv6: config.networkConfig.enableIpv6,
    ...dockerHost(config),
    dockerOptional: config.dockerOptional,
    usesDocker: config.networkConfig.dockerBridge,
    bridges: config.bridges,
    ...(config.onChange.length === 0 ? {} : { onChange: config.onChange }),
    runFiles: runFileSettings(config),
    iptables: config.iptables,
  };
}

function runFileSettings({ runFiles }: AgentConfig): RunFileSettings {
  const { runDir, flannelFile, flannelOverlay } = runFiles;
  return {
    ...(runDir === undefined ? {} : { runDir }),
    ...(flannelFile === undefined ? {} : { flannelFile }),
    ...(flannelOverlay === undefined ? {} : { flannelOverlay }),
  };
}

function dockerHost({ dockerHost }: AgentConfig): { readonly dockerHost?: string } {
  const found = dockerHost ?? process.env.DOCKER_HOST;
  return found === undefined || found === '' ? {} : { dockerHost: found };
}

function startFailure(error: unknown, config: AgentConfig): unknown {
  if (error instanceof StateDirError) return new Failure(exitCodes.refused, error.message);
  if (error instanceof AgentIdError) return new Failure(exitCodes.usage, error.message);
  const code = errorCode(error);
  const { httpListen, httpsListen } = config;
  const secured =
    httpsListen !== undefined && error instanceof Error && 'port' in error && error.port === httpsListen.port;
  const at = secured ? `https_listen ${formatHostPort(httpsListen)}` : `http_listen ${formatHostPort(httpListen)}`;
  if (code === 'EADDRINUSE') {
    return new Failure(exitCodes.refused, `${at}: something listens there already`, [
      `Choose another address with ${secured ? '--https-listen' : '--http-listen'}.`,
    ]);
  }
  if (code === 'EADDRNOTAVAIL') return new Failure(exitCodes.refused, `${at}: this host has no such address`);
  return error;
}

function leaveFailure(error: unknown, config: AgentConfig): unknown {
  if (error instanceof MasterError) {
    const message = `${error.message} [${error.status}]`;
    if (error.kind === 'unavailable') {
      const asked = config.masters.map(formatHostPort).join(', ');
      return new Failure(exitCodes.noMaster, message, [
        `Nothing was changed on this host. The masters asked were ${asked}; name others with --master.`,
      ]);
    }
    const advice =
      error.kind === 'aborted'
        ? 'What this host held is another’s by now, or was released: `sublet agent leave --host-only` takes the rest off this host.'
        : 'Ask again later, or take Sublet off this host without the masters: `sublet agent leave --host-only`.';
    return new Failure(exitCodes.refused, message, [`Nothing was changed. ${advice}`]);
  }
  return expectedFailure(error) ?? startFailure(error, config);
}
