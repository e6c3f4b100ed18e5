/** An agent with everything around it in a test's hands: time, masters, store, host, chance. */
import { Agent } from '#agent/agent.js';
import type { AgentLog } from '#agent/agent-log.js';
import type { AgentOptions } from '#agent/agent-options.js';
import { FakeHost } from '#agent/testing/fake-host.js';
import { FakeMasters } from '#agent/testing/fake-masters.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import { defaultHostSettings } from '#host/input.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

export class AgentWorld {
  readonly time = new VirtualTime();
  readonly masters = new FakeMasters(this.time);
  readonly store = new MemoryStore();
  host = new FakeHost();
  readonly logged: string[] = [];
  readonly failures: Error[] = [];
  nodeIp: string | undefined = '10.0.0.1';
  /** The boot clock runs with the time, plus what the host slept. */
  sleptMs = 0;
  bootId = 'boot-1';
  /** run_ids drawn so far: by each process one. */
  runs = 0;
  /** What chance gives. */
  random = 0.5;

  /** A process starts on what the store holds. */
  start(parts: Partial<AgentOptions> = {}): Agent {
    const agent = this.make(parts);
    agent.start();
    return agent;
  }

  /** A process that only looks at the store, as one that is to leave. */
  make(parts: Partial<AgentOptions> = {}): Agent {
    this.host = new FakeHost();
    const { bootId } = this;
    return new Agent({
      agentId: 'a',
      hostname: 'host-a',
      nodeIp: async () => {
        if (this.nodeIp === undefined) throw new Error('no route to any master');
        return this.nodeIp;
      },
      networkConfig: {},
      takeover: false,
      settings: defaultHostSettings,
      api: this.masters,
      host: this.host,
      store: this.store,
      clock: this.time,
      bootClock: { bootId, now: () => this.time.now() + this.sleptMs },
      random: () => this.random,
      newInstanceId: () => 'instance-2',
      newRunId: () => `run-${++this.runs}`,
      log: this.log,
      failed: (error) => this.failures.push(error),
      ...parts,
    });
  }

  readonly log: AgentLog = {
    debug: () => {},
    info: (_, message) => this.logged.push(message),
    warn: (_, message) => this.logged.push(message),
    error: (_, message) => this.logged.push(message),
  };
}
