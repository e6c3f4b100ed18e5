/** An agent as a process has it: real clock, state directory, gRPC, HTTP, and the host it is given. */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { Agent, type LeaveOptions, type LeaveReport } from '#agent/agent.js';
import { agentIdOf } from '#agent/agent-id.js';
import type { AgentLog } from '#agent/agent-log.js';
import type { AgentOptions } from '#agent/agent-options.js';
import { GrpcMasterApi } from '#agent/grpc-master-api.js';
import { NodeAddress } from '#agent/node-address.js';
import { PlanOnly } from '#agent/plan-only.js';
import { AgentHttp } from '#agent/report/agent-http.js';
import { ReaderRevocations } from '#agent/report/reader-revocations.js';
import { systemBootClock } from '#agent/state/boot-clock.js';
import { StateDir } from '#agent/state/state-dir.js';
import { MasterClient } from '#api/master-client.js';
import { accessService } from '#api/services.js';
import type { HostSettings } from '#host/input.js';
import type { Reconciler } from '#host/reconciler-interface.js';
import { systemClock } from '#replica/ports/system-clock.js';
import type { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { explainConnection } from '#tls/connection-probe.js';

export type HostAndPort = { readonly host: string; readonly port: number };

export type StartAgentOptions = {
  /** 1–253 characters of `[A-Za-z0-9._:-]`; default: the host name. */
  readonly id?: string | undefined;
  /** Canonical text; default: the source address of the route to the masters. */
  readonly nodeIp?: string | undefined;
  readonly masters: readonly HostAndPort[];
  /** Absent: without TLS. It is stopped with the agent. */
  readonly certificate?: CertificateReloader | undefined;
  readonly stateDir: string;
  /** Port 0: the system chooses. */
  readonly httpListen: HostAndPort;
  /** Names under which HTTP is asked, besides those of loopback, of this machine and of `httpListen`. */
  readonly httpHosts?: readonly string[];
  /** Where HTTP answers with TLS, for other machines; undefined: nowhere. It needs `certificate`. */
  readonly httpsListen?: HostAndPort | undefined;
  /** With a token for `httpsListen`. */
  readonly httpTokenFile?: string | undefined;
  /** `plan`: print what would be done to this host, and change nothing. */
  readonly network: 'linux' | 'plan';
  readonly networkConfig: AgentOptions['networkConfig'];
  readonly takeover?: boolean | undefined;
  readonly settings: HostSettings;
  readonly reconciler: Reconciler;
  readonly log: AgentLog;
  /** Prints one line of a plan. */
  readonly print: (line: string) => void;
};

export type RunningAgent = {
  readonly agent: Agent;
  /** Where its HTTP answers. */
  readonly http: HostAndPort;
  /** And with TLS; undefined: nowhere. */
  readonly https: HostAndPort | undefined;
  /** Resolves, with the reason, when the agent has given up and the process should end with 1; otherwise never. */
  readonly failed: Promise<Error>;
  /** Stops the process's part; lease and data plane stay. */
  stop(): Promise<void>;
  /** Gives the lease back, takes the data plane down, and stops. Rejects when no master could be reached. */
  leave(): Promise<LeaveReport>;
};

/** @throws StateDirError; Error when HTTP can't listen. */
export async function startAgent(options: StartAgentOptions): Promise<RunningAgent> {
  const parts = await assemble(options);
  const { agent, client, dispose } = parts;
  try {
    const { network: networkMode, certificate, httpListen: listen, httpsListen, httpTokenFile, log } = options;
    const hosts = [options.httpHosts ?? [], listen.host, httpsListen?.host ?? []].flat();
    const revocations = new ReaderRevocations({
      ask: (version) => client.call(accessService.listRevokedReaders, { version }, { idempotent: true }),
      clock: systemClock,
      random: Math.random,
      log,
    });
    const http = await AgentHttp.listen({
      agent,
      networkMode,
      listen,
      hosts,
      certificate,
      log,
      secured: httpsListen && { listen: httpsListen, tokenFile: httpTokenFile, revocations, clock: systemClock },
    });
    agent.start();
    const { host } = options.httpListen;
    const end = async (): Promise<void> => {
      await http.close();
      await dispose();
    };
    return {
      agent,
      http: { host, port: http.port },
      https:
        httpsListen && http.securedPort !== undefined ? { host: httpsListen.host, port: http.securedPort } : undefined,
      failed: parts.failed,
      stop: () => agent.stop().finally(end),
      leave: () => agent.leave().finally(end),
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/**
 * What `sublet agent` does to leave for good, with the agent stopped: gives the cached lease back and takes the data
 * plane down.
 * @throws StateDirError while an agent runs on the directory; MasterError when no master could be reached, or they
 * refuse; NothingHeldError when there is nothing to give back or to take down.
 */
export async function leaveCluster(options: StartAgentOptions, leaveOptions?: LeaveOptions): Promise<LeaveReport> {
  const { agent, dispose } = await assemble(options);
  try {
    return await agent.leave(leaveOptions);
  } finally {
    await dispose();
  }
}

type Assembled = {
  readonly agent: Agent;
  readonly client: MasterClient;
  readonly failed: Promise<Error>;
  readonly dispose: () => Promise<void>;
};

async function assemble(options: StartAgentOptions): Promise<Assembled> {
  try {
    return await assembled(options);
  } catch (error) {
    // It looks at its files again and again: the process would not end.
    options.certificate?.stop();
    throw error;
  }
}

async function assembled(options: StartAgentOptions): Promise<Assembled> {
  const { masters, nodeIp, network, reconciler, print, log, settings, networkConfig, certificate } = options;
  const store = await StateDir.open(options.stateDir, log);
  const name = hostname();
  let agentId: string;
  try {
    agentId = agentIdOf({ given: options.id, hostname: name, store, log });
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
  const client = new MasterClient({
    masters: masters.map(({ host, port }) => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)),
    ...(certificate === undefined ? {} : { credentials: masterCredentials(certificate) }),
    explain: (master) => explainConnection(master, certificate?.material),
  });
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<Error>((resolve) => {
    fail = resolve;
  });
  const address = new NodeAddress({ masters, clock: systemClock, log });
  const agent = new Agent({
    agentId,
    hostname: name,
    nodeIp: nodeIp === undefined ? (inUse) => address.find(inUse) : async () => nodeIp,
    networkConfig,
    takeover: options.takeover ?? false,
    settings,
    api: new GrpcMasterApi(client),
    host: network === 'plan' ? new PlanOnly({ planner: reconciler, print }) : reconciler,
    store,
    clock: systemClock,
    bootClock: systemBootClock(),
    random: Math.random,
    newInstanceId: randomUUID,
    newRunId: randomUUID,
    log,
    failed: (error) => fail(error),
  });
  const dispose = async (): Promise<void> => {
    client.close();
    certificate?.stop();
    await store[Symbol.asyncDispose]();
  };
  return { agent, client, failed, dispose };
}
