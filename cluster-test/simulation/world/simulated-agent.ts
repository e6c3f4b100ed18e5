/**
 * A host with the real agent on it. Its disk keeps the agent's state, its data plane the last input; both outlive the
 * process. It can be killed, put to sleep, installed anew, and get another address.
 */

import { Agent } from '#agent/agent.js';
import type { AgentLog } from '#agent/agent-log.js';
import type { MasterApi, RegisterRequest, RegisterResponse } from '#agent/master-api.js';
import { WatchedHost } from '#agent/testing/fake-host.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import type { LeaseUse } from '#cluster-test/simulation/checks/lease-use.js';
import type { LiveHands } from '#cluster-test/simulation/checks/live-hands.js';
import { MasterLink } from '#cluster-test/simulation/world/master-link.js';
import type { SimulatedMaster } from '#cluster-test/simulation/world/simulated-master.js';
import type { SimulatedNetwork } from '#cluster-test/simulation/world/simulated-network.js';
import { type Machine, SimulatedProcess } from '#cluster-test/simulation/world/world.js';
import { defaultHostSettings } from '#host/input.js';

/** Before a call: the cluster's life, and the newest revision that its answer must not be older than. */
export type Asked = { readonly life: number; readonly seen: number };

/** Hears of what the masters acknowledged. */
export type RegistrationWitness = {
  /** The present life of the cluster. */
  readonly life: number;
  /** By incarnation: other clusters of the same id. */
  readonly apart: ReadonlyMap<string, unknown>;
  asked(): Asked;
  granted(request: RegisterRequest, response: RegisterResponse, asked: Asked): void;
};

export type AgentParts = {
  readonly network: SimulatedNetwork;
  readonly masters: () => readonly SimulatedMaster[];
  /** undefined: of a clone. It shares its addresses with the host that it is a copy of, until it is refused. */
  readonly hands: LiveHands | undefined;
  readonly use: LeaseUse;
  readonly witness: RegistrationWitness;
};

export class SimulatedAgent {
  readonly machine: Machine;
  readonly agentId: string;
  nodeIp: string;
  takeover = false;
  store = new MemoryStore();
  agent: Agent | undefined;
  process: SimulatedProcess | undefined;
  readonly #parts: AgentParts;
  /** The life of the cluster that has granted its lease. */
  leaseLife = 0;
  #instances = 0;
  #runs = 0;
  #boots = 0;
  /** Of a copy of a machine that runs: its process goes on with the random value of the first one. */
  copiedRunId: string | undefined;
  #runId = '';
  asleep = false;
  #sleptFromMs = 0;

  constructor(machine: Machine, agentId: string, nodeIp: string, parts: AgentParts) {
    this.machine = machine;
    this.agentId = agentId;
    this.nodeIp = nodeIp;
    this.#parts = parts;
    this.store.identity = { instanceId: this.#newInstanceId(), sequence: 0, formerClusterIds: [] };
  }

  /** Of its present process, or of the last one. */
  get runId(): string {
    return this.#runId;
  }

  get running(): boolean {
    return this.process?.alive === true;
  }

  start(): void {
    if (this.running) return;
    const { network, masters, hands, use } = this.#parts;
    const { machine } = this;
    const random = machine.world.random(`agent ${machine.name}`);
    const process = new SimulatedProcess(machine, machine.name);
    this.process = process;
    machine.world.count('agent starts');
    const host = new WatchedHost((input) => {
      use.told(this, input);
      hands?.told(this, input);
    });
    this.#runs += 1;
    // Each process has a port of its own.
    const port = 4000 + this.#runs;
    const link = new MasterLink({
      network,
      process,
      masters,
      first: random.below(64),
      connection: () => `${this.nodeIp}:${port}`,
      watched: this.agentId,
      closed: () => use.broken(this, process),
    });
    const agent = new Agent({
      agentId: this.agentId,
      hostname: machine.name,
      nodeIp: () => Promise.resolve(this.nodeIp),
      networkConfig: { enableIpv6: false },
      takeover: this.takeover,
      settings: defaultHostSettings,
      api: this.#witnessed(link, process),
      host,
      store: this.store,
      clock: process.clock,
      log: silent,
      bootClock: { bootId: `${machine.name}-${this.#boots}`, now: () => machine.bootNow() },
      random: () => random.below(1 << 20) / (1 << 20),
      newInstanceId: () => this.#newInstanceId(),
      newRunId: () => {
        this.#runId = this.copiedRunId ?? `run-${random.below(1 << 30)}`;
        this.copiedRunId = undefined;
        return this.#runId;
      },
      failed: (error) => machine.world.fail('an agent that goes on', `${machine.name}: ${error.message}`),
    });
    this.agent = agent;
    this.takeover = false;
    process.run(() => agent.start());
  }

  kill(): void {
    if (this.asleep) this.wake();
    this.process?.kill();
    this.#gone();
  }

  /** The host reboots: what ran is gone, what is on disk stays. */
  reboot(): void {
    this.kill();
    this.#boots += 1;
  }

  /** A new installation on the same host. */
  reinstall(): void {
    this.reboot();
    this.store = new MemoryStore();
    this.store.identity = { instanceId: this.#newInstanceId(), sequence: 0, formerClusterIds: [] };
  }

  /** Takes its data plane down and gives everything back. Ends the process. */
  leave(): void {
    const { agent, process } = this;
    if (agent?.lease === undefined || process?.alive !== true || process.paused) return;
    this.#gone();
    this.machine.world.count('agents that left');
    process.run(() => {
      const end = (): void => process.kill();
      agent.leave().then(end, end);
    });
  }

  sleep(): void {
    if (!this.running || this.asleep) return;
    this.asleep = true;
    this.#sleptFromMs = this.machine.world.time.now();
    this.process?.pause();
    this.#parts.hands?.asleep(this);
  }

  wake(): void {
    if (!this.asleep) return;
    this.asleep = false;
    this.machine.sleptMs += (this.machine.world.time.now() - this.#sleptFromMs) * this.machine.rate;
    this.#parts.hands?.awake(this);
    this.process?.resume();
  }

  /** The state directory as a copy of the disk has it. */
  copyStore(): MemoryStore {
    const { identity, lease, peers } = this.store;
    return Object.assign(new MemoryStore(), { identity, lease, peers });
  }

  #gone(): void {
    this.#parts.use.gone(this);
    this.#parts.hands?.gone(this);
  }

  #newInstanceId(): string {
    this.#instances += 1;
    return `${this.machine.name}-i${this.#instances}`;
  }

  #witnessed(api: MasterApi, process: SimulatedProcess): MasterApi {
    const { witness, use, hands } = this.#parts;
    const { time } = this.machine.world;
    return {
      register: async (request) => {
        const asked = witness.asked();
        const sentMs = time.now();
        const response = await api.register(request);
        witness.granted(request, response, asked);
        this.leaseLife = witness.life;
        // Which process another incarnation knows is nothing to this one.
        if (witness.apart.has(response.incarnation)) return response;
        use.accepted(this, process, { epoch: response.lease?.epoch ?? 0, runId: request.runId ?? '', sentMs });
        return response;
      },
      reportStatus: (request) => api.reportStatus(request),
      leave: (request) => api.leave(request),
      returnOverlays: (request) => api.returnOverlays(request),
      keepAlive: (events) => {
        let sent = { epoch: 0, runId: '', sentMs: 0 };
        const stream = api.keepAlive({
          message: (response) => {
            if (!witness.apart.has(this.store.lease?.lease.incarnation ?? '')) use.accepted(this, process, sent);
            this.leaseLife = witness.life;
            hands?.keptAlive(this);
            events.message(response);
          },
          ended: (error) => {
            use.broken(this, process);
            events.ended(error);
          },
        });
        return {
          master: stream.master,
          cancel: () => {
            use.broken(this, process);
            stream.cancel();
          },
          send: (request) => {
            sent = { epoch: request.epoch ?? 0, runId: request.runId ?? '', sentMs: time.now() };
            stream.send(request);
          },
        };
      },
      watch: (request, events) => api.watch(request, events),
      turnFrom: (master) => api.turnFrom(master),
      reconnect: () => api.reconnect(),
      get current() {
        return api.current;
      },
    };
  }
}

const silent: AgentLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
