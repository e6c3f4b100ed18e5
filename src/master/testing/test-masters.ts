/**
 * Masters in one process for specs: real services, real gRPC on loopback, a real address plan; only the log is
 * a `MemoryCluster`, and time a `VirtualTime` where a spec wants to own it.
 */
import assert from 'node:assert/strict';
import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import { parseCidr4 } from '#address/cidr4.js';
import { parseOui } from '#address/mac.js';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { checkNetwork } from '#ipam/changes/network-check.js';
import { commandKindOf } from '#ipam/commands/command-kind.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { IpamMachine, type PlanOutcome } from '#master/ipam-machine.js';
import type { ConfiguredNetwork } from '#master/leader/configured-network.js';
import { type MasterLog, silentLog } from '#master/master-log.js';
import { MasterServices, type ServiceLimits } from '#master/master-services.js';
import { bind, type CallerOf } from '#master/server/api-server.js';
import { Health } from '#master/server/health.js';
import { addReflection } from '#master/server/reflection.js';
import { MemoryCluster, type MemoryMember } from '#master/testing/memory-log.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import { systemClock } from '#replica/ports/system-clock.js';

export const testSettings: NetworkSettings = {
  vtepSubnet: parseCidr4('44.128.0.0/20'),
  vtepSubnet6: undefined,
  vtepMacOui: parseOui('70:b3:d5:00:00:00'),
  vtepMtu: 0,
  vni: 1024,
  vtepName: 'vtep1024',
  vxlanPort: 64_000,
  quarantineMs: 900_000,
  reclaimMs: undefined,
};

export const testOverlay: Overlay = {
  name: 'dcos',
  v4: { subnet: parseCidr4('9.0.0.0/8'), prefix: 24 },
  v6: undefined,
  enabled: true,
};

export type TestMastersOptions = {
  readonly count?: number;
  /** Which incarnation of cluster "test" they are of. Default: f1. */
  readonly incarnation?: string;
  /** Whether the first one leads from the start. Default: true. */
  readonly elect?: boolean;
  readonly settings?: Partial<NetworkSettings>;
  readonly overlays?: readonly Overlay[];
  readonly file?: ConfiguredNetwork['file'];
  readonly clock?: Clock;
  /** Ms since 1970. Default: the machine's. */
  readonly wallClock?: () => number;
  readonly limits?: Partial<ServiceLimits>;
  readonly logger?: MasterLog;
  /** As if they were behind TLS: the callers of the API, and the masters that call the peer port. */
  readonly callerOf?: CallerOf;
  readonly peerNameAt?: (from: string) => string;
  /** Called when a master finds that its plan is corrupt; `at` is its place. */
  readonly onCorrupt?: (at: number, error: Error) => void;
};

export type TestMaster = {
  /** The server on the peer port. */
  readonly peerServer: Server;
  readonly health: Health;
  readonly member: MemoryMember<PlanOutcome>;
  readonly machine: IpamMachine;
  readonly services: MasterServices;
  /** HOST:PORT of the API. */
  readonly api: string;
};

export class TestMasters implements AsyncDisposable {
  readonly cluster: MemoryCluster<PlanOutcome>;
  readonly masters: readonly TestMaster[];
  readonly #servers: readonly Server[];
  readonly #clients: MasterClient[] = [];

  private constructor(cluster: MemoryCluster<PlanOutcome>, masters: readonly TestMaster[], servers: readonly Server[]) {
    this.cluster = cluster;
    this.masters = masters;
    this.#servers = servers;
  }

  /** The commands in the log, without the branch mark that each leader begins with. */
  get commands(): readonly Uint8Array[] {
    return this.cluster.commands.filter((command) => commandKindOf(command) !== 'mark-branch');
  }

  static async start(options: TestMastersOptions = {}): Promise<TestMasters> {
    const count = options.count ?? 1;
    const initial = {
      settings: { ...testSettings, ...options.settings },
      overlays: options.overlays ?? [testOverlay],
    };
    assert.equal(checkNetwork(initial.settings, initial.overlays), undefined);
    const machines = Array.from({ length: count }, () => new IpamMachine());
    const peerServers = machines.map(() => new Server());
    const insecure = ServerCredentials.createInsecure();
    const ports = await Promise.all(peerServers.map((server) => bind(server, '127.0.0.1:0', insecure)));
    const cluster = new MemoryCluster(
      machines,
      ports.map((port) => `127.0.0.1:${port}`),
      options.incarnation,
    );
    const servers = [...peerServers];
    const masters: TestMaster[] = [];
    for (const [at, machine] of machines.entries()) {
      const member = cluster.member(at);
      const services = new MasterServices({
        log: member,
        machine,
        clusterId: 'test',
        name: member.info.name,
        network: { initial, file: options.file ?? { settings: {}, overlays: undefined } },
        electionTimeoutMs: 1_000,
        peerCredentials: credentials.createInsecure(),
        version: 'test',
        clock: options.clock ?? systemClock,
        wallClock: options.wallClock ?? Date.now,
        random: () => 0.5,
        logger: options.logger ?? silentLog,
        onCorrupt: (error) => options.onCorrupt?.(at, error),
        ...(options.limits === undefined ? {} : { limits: options.limits }),
        ...(options.callerOf && { callerOf: options.callerOf }),
        ...(options.peerNameAt && { peerNameAt: options.peerNameAt }),
      });
      const { definition, implementation } = services.peerService();
      const peerServer = peerServers[at] ?? assert.fail();
      peerServer.addService(definition, implementation);
      const server = services.apiServer(() => undefined);
      addReflection(server, services.admission);
      const health = new Health(services.admission);
      health.addTo(server);
      servers.push(server);
      masters.push({
        peerServer,
        health,
        member,
        machine,
        services,
        api: `127.0.0.1:${await bind(server, '127.0.0.1:0', insecure)}`,
      });
    }
    if (options.elect ?? true) cluster.elect(0);
    for (const { services } of masters) services.open();
    return new TestMasters(cluster, masters, servers);
  }

  master(at: number): TestMaster {
    const master = this.masters[at];
    if (master === undefined) throw new RangeError(`there is no master ${at}`);
    return master;
  }

  /** A client of one master alone; closed with the masters. */
  client(at = 0, timeoutMs = 5_000): MasterClient {
    const client = new MasterClient({ masters: [this.master(at).api], timeoutMs });
    this.#clients.push(client);
    return client;
  }

  /** Registers an agent through one master. */
  register(
    agentId: string,
    more: sublet.v1.RegisterRequest.$Properties = {},
    at = 0,
  ): Promise<sublet.v1.RegisterResponse> {
    const request = { agentId, instanceId: `${agentId}-1`, sequence: 1, nodeIp: nodeIpOf(agentId), ...more };
    return this.client(at).call(agentService.register, request, { idempotent: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    for (const { services } of this.masters) services.stop();
    for (const server of this.#servers) server.forceShutdown();
  }
}

/** `agent-7` → 10.0.0.7. */
function nodeIpOf(agentId: string): string {
  const number = Number(/\d+$/.exec(agentId)?.[0] ?? 0);
  return `10.0.${number >> 8}.${number & 255}`;
}
