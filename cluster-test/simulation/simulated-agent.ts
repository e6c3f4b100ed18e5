/**
 * A host with the real agent on it. Its disk keeps the agent's state, its data plane what the agent told it last; both
 * outlive the process. It can be killed, put to sleep, installed anew, and get another address.
 */

import { Agent } from '#agent/agent.js';
import type { AgentLog } from '#agent/agent-log.js';
import type { MasterApi, RegisterRequest, RegisterResponse } from '#agent/master-api.js';
import { FakeHost } from '#agent/testing/fake-host.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import type { LiveHands } from '#cluster-test/simulation/live-hands.js';
import { MasterLink } from '#cluster-test/simulation/master-link.js';
import type { SimulatedMaster } from '#cluster-test/simulation/simulated-master.js';
import type { SimulatedNetwork } from '#cluster-test/simulation/simulated-network.js';
import { type Machine, SimulatedProcess } from '#cluster-test/simulation/world.js';
import { defaultHostSettings, type HostInput } from '#host/input.js';

/** Hears of what the masters acknowledged. */
export interface RegistrationWitness {
  asked(): number;
  granted(request: RegisterRequest, response: RegisterResponse, asked: number): void;
}

export class SimulatedAgent {
  readonly machine: Machine;
  readonly agentId: string;
  nodeIp: string;
  takeover = false;
  store = new MemoryStore();
  agent: Agent | undefined;
  process: SimulatedProcess | undefined;
  readonly #parts: {
    readonly network: SimulatedNetwork;
    readonly masters: () => readonly SimulatedMaster[];
    readonly hands: LiveHands;
    readonly witness: RegistrationWitness;
  };
  #instances = 0;
  #boots = 0;
  asleep = false;
  #sleptFromMs = 0;

  constructor(
    machine: Machine,
    agentId: string,
    nodeIp: string,
    parts: {
      readonly network: SimulatedNetwork;
      readonly masters: () => readonly SimulatedMaster[];
      readonly hands: LiveHands;
      readonly witness: RegistrationWitness;
    },
  ) {
    this.machine = machine;
    this.agentId = agentId;
    this.nodeIp = nodeIp;
    this.#parts = parts;
    this.store.identity = { instanceId: this.#newInstanceId(), sequence: 0, formerClusterIds: [] };
  }

  get running(): boolean {
    return this.process?.alive === true;
  }

  start(): void {
    if (this.running) return;
    const { network, masters, hands } = this.#parts;
    const { machine } = this;
    const random = machine.world.random(`agent ${machine.name}`);
    const process = new SimulatedProcess(machine, machine.name);
    this.process = process;
    machine.world.count('agent starts');
    const host = new WatchedHost((input) => hands.told(this, input));
    const link = new MasterLink(network, process, masters, random.below(64));
    const agent = new Agent({
      ...{ agentId: this.agentId, hostname: machine.name, nodeIp: () => Promise.resolve(this.nodeIp) },
      ...{ networkConfig: { enableIpv6: false }, takeover: this.takeover, settings: defaultHostSettings },
      ...{ api: this.#witnessed(link), host, store: this.store, clock: process.clock, log: silent },
      bootClock: { bootId: `${machine.name}-${this.#boots}`, now: () => machine.bootNow() },
      random: () => random.below(1 << 20) / (1 << 20),
      newInstanceId: () => this.#newInstanceId(),
      newRunId: () => `run-${random.below(1 << 30)}`,
      failed: (error) => machine.world.fail('an agent that goes on', `${machine.name}: ${error.message}`),
    });
    this.agent = agent;
    this.takeover = false;
    process.run(() => agent.start());
  }

  kill(): void {
    if (this.asleep) this.wake();
    this.process?.kill();
    this.#parts.hands.gone(this);
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
    this.#parts.hands.gone(this);
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
    this.#parts.hands.asleep(this);
  }

  wake(): void {
    if (!this.asleep) return;
    this.asleep = false;
    this.machine.sleptMs += (this.machine.world.time.now() - this.#sleptFromMs) * this.machine.rate;
    this.#parts.hands.awake(this);
    this.process?.resume();
  }

  #newInstanceId(): string {
    this.#instances += 1;
    return `${this.machine.name}-i${this.#instances}`;
  }

  #witnessed(api: MasterApi): MasterApi {
    const { witness } = this.#parts;
    return {
      register: async (request) => {
        const asked = witness.asked();
        const response = await api.register(request);
        witness.granted(request, response, asked);
        return response;
      },
      reportStatus: (request) => api.reportStatus(request),
      leave: (request) => api.leave(request),
      returnOverlays: (request) => api.returnOverlays(request),
      keepAlive: (events) => api.keepAlive(events),
      watch: (request, events) => api.watch(request, events),
      turnFrom: (master) => api.turnFrom(master),
      get current() {
        return api.current;
      },
    };
  }
}

class WatchedHost extends FakeHost {
  readonly #told: (input: HostInput) => void;

  constructor(told: (input: HostInput) => void) {
    super();
    this.#told = told;
  }

  override update(input: HostInput): void {
    this.inputs.length = 0;
    super.update(input);
    this.#told(input);
  }
}

const silent: AgentLog = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
