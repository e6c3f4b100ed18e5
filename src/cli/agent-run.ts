/** The agent process: its configuration, its parts, and its life; and its leaving for good. */
import { hostname } from 'node:os';
import type { Command } from 'commander';
import { MasterError } from '#agent/master-api.js';
import { leaveCluster, type StartAgentOptions, startAgent } from '#agent/start-agent.js';
import { StateDirError } from '#agent/state-dir.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { grpcLogs } from '#cli/grpc-log.js';
import { serve } from '#cli/lifetime.js';
import { type Logger, makeLogger } from '#cli/log.js';
import { loadConfig, logBadNode, logWarnings } from '#cli/process-config.js';
import type { Terminal } from '#cli/terminal.js';
import { type AgentConfig, loadAgentConfig } from '#config/agent-config.js';
import { agentSettings } from '#config/agent-settings.js';
import { formatHostPort } from '#config/host-port.js';
import type { HostSettings } from '#host/input.js';
import { HostReconciler } from '#host/reconciler.js';

/** Runs until it is told to stop. @throws Failure */
export async function runAgent(command: Command, options: { takeover?: true }, terminal: Terminal): Promise<void> {
  const { config, warnings } = loadConfig(command, agentSettings, loadAgentConfig);
  const log = await agentLog(config);
  grpcLogs(log);
  logWarnings(log, warnings);
  logBadNode(log);
  const takeover = options.takeover === true;
  const exitCode = await serve(log, async (failed) => {
    const running = await startAgent({ ...startOptions(config, log, terminal), takeover }).catch((error: unknown) => {
      throw startFailure(error, config);
    });
    log.info(
      {
        masters: config.masters.map(formatHostPort),
        http: formatHostPort(running.http),
        network: config.network,
        node: process.versions.node,
      },
      `agent ${running.agent.options.agentId} runs`,
    );
    void running.failed.then((error) => {
      log.error({ err: error }, `gave up: ${error.message}`);
      failed(exitCodes.refused);
    });
    return running;
  });
  log.info({}, 'stopped; the data plane stays as it is');
  process.exitCode = exitCode;
  if (exitCode !== exitCodes.done) throw new Failure(exitCodes.refused, 'the agent gave up; its log says why');
}

/** Leaves the cluster and cleans the host up, with the agent stopped. @throws Failure */
export async function leaveWithAgent(command: Command, _: unknown, terminal: Terminal): Promise<void> {
  const { config, warnings } = loadConfig(command, agentSettings, loadAgentConfig);
  const log = await agentLog({ ...config, log: { ...config.log, level: 'warn' } });
  grpcLogs(log);
  logWarnings(log, warnings);
  const report = await leaveCluster(startOptions(config, log, terminal)).catch((error: unknown) => {
    throw leaveFailure(error, config);
  });
  for (const { command, why } of report.removed) terminal.write(`removed  ${why}: ${command}\n`);
  for (const left of report.left) terminal.write(`${terminal.paint('yellow', 'left')}     ${left}\n`);
  terminal.write('This host has left. What it held rests before it is let again.\n');
}

function agentLog(config: AgentConfig): Promise<Logger> {
  return makeLogger(config.log, { process: 'agent', name: config.id ?? hostname() });
}

function startOptions(config: AgentConfig, log: Logger, terminal: Terminal): StartAgentOptions {
  const { id, nodeIp, masters, stateDir, httpListen, network, networkConfig } = config;
  return {
    ...{ id, nodeIp, masters, stateDir, httpListen, network, networkConfig, log },
    settings: hostSettings(config),
    reconciler: new HostReconciler({ log }),
    print: (line) => terminal.write(`${line}\n`),
  };
}

/** The site's settings, for the host. */
export function hostSettings(config: AgentConfig): HostSettings {
  return {
    masters: config.masters.map(({ host }) => host),
    ...(config.overlaysAllowed !== undefined && { overlaysAllowed: config.overlaysAllowed }),
    cniDir: config.cniDir,
    ...(config.cniDataDir !== undefined && { cniDataDir: config.cniDataDir }),
    cniStyle: config.cniStyle,
    overlayMtu: config.networkConfig.overlayMtu,
    enableIpv6: config.networkConfig.enableIpv6,
    ...dockerHost(config),
    usesDocker: config.networkConfig.dockerBridge,
    iptables: config.iptables,
  };
}

function dockerHost({ dockerHost }: AgentConfig): { readonly dockerHost?: string } {
  const found = dockerHost ?? process.env.DOCKER_HOST;
  return found === undefined || found === '' ? {} : { dockerHost: found };
}

function startFailure(error: unknown, config: AgentConfig): unknown {
  if (error instanceof StateDirError) return new Failure(exitCodes.refused, error.message);
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const at = formatHostPort(config.httpListen);
  if (code === 'EADDRINUSE') {
    return new Failure(exitCodes.refused, `http_listen ${at}: something listens there already`, [
      'Choose another address with --http-listen.',
    ]);
  }
  if (code === 'EADDRNOTAVAIL')
    return new Failure(exitCodes.refused, `http_listen ${at}: this host has no such address`);
  return error;
}

function leaveFailure(error: unknown, config: AgentConfig): unknown {
  if (error instanceof MasterError) {
    const exitCode = error.kind === 'unavailable' ? exitCodes.noMaster : exitCodes.refused;
    return new Failure(exitCode, `${error.message} [${error.status}]`, [
      `The masters asked were ${config.masters.map(formatHostPort).join(', ')}; name others with --master.`,
    ]);
  }
  // No lease to give back: said in plain words by a plain error.
  if (error instanceof Error && error.constructor === Error) return new Failure(exitCodes.refused, error.message);
  return startFailure(error, config);
}
