/**
 * A host of a site: the real agent, over real connections to real masters, on a state directory in memory and a data
 * plane that records its input. It can be stopped and started, moved to another address, and cloned with its state.
 */
import { randomUUID } from 'node:crypto';
import { Agent } from '#agent/agent.js';
import type { AgentLog } from '#agent/agent-log.js';
import { GrpcMasterApi } from '#agent/grpc-master-api.js';
import { leaseOf } from '#agent/lease/lease.js';
import type { MasterApi } from '#agent/master-api.js';
import { WatchedHost } from '#agent/testing/fake-host.js';
import { MemoryStore } from '#agent/testing/memory-store.js';
import { MasterClient } from '#api/master-client.js';
import { until } from '#cluster-test/process/condition.js';
import { blocksOf, type SiteRecord } from '#cluster-test/site/record.js';
import { defaultHostSettings } from '#host/input.js';
import { systemClock } from '#replica/ports/system-clock.js';

/** A master that is killed takes its answers with it; so long is one waited for. */
const callTimeoutMs = 2_000;
/** A process that was heard is current for 15 s; less what a message may be under way. */
const surelyCurrentMs = 10_000;
/** Masters that have just begun to serve answer within this time, ms. */
const answerBoundMs = 30_000;

export type SiteHostOptions = {
  readonly name: string;
  readonly agentId: string;
  readonly nodeIp: string;
  /** HOST:PORT of each master. */
  readonly masters: readonly string[];
  readonly record: SiteRecord;
  /** Called after each message of this host that a master accepted. */
  readonly accepted: (host: SiteHost) => void;
  /** The state of the host that this one is a copy of. */
  readonly state?: MemoryStore;
};

export class SiteHost {
  readonly name: string;
  readonly agentId: string;
  nodeIp: string;
  readonly store: MemoryStore;
  readonly #options: SiteHostOptions;
  #running: { readonly agent: Agent; readonly client: MasterClient } | undefined;
  /** When a master last accepted a registration or a keep-alive of the process that runs, and when that was sent. */
  accepted: { readonly sentMs: number; readonly answeredMs: number } | undefined;
  /** Its keep-alive stream broke off since then. */
  broken = false;

  constructor(options: SiteHostOptions) {
    this.#options = options;
    this.name = options.name;
    this.agentId = options.agentId;
    this.nodeIp = options.nodeIp;
    const { state } = options;
    this.store = new MemoryStore();
    if (state === undefined) {
      this.store.identity = { instanceId: `instance-${options.name}`, sequence: 0, formerClusterIds: [] };
    } else {
      Object.assign(this.store, { identity: state.identity, lease: state.lease, peers: state.peers });
    }
  }

  get running(): boolean {
    return this.#running !== undefined;
  }

  get agent(): Agent | undefined {
    return this.#running?.agent;
  }

  /** Whether a master has confirmed the lease to the process that runs. */
  get confirmed(): boolean {
    return this.agent?.leaseSource === 'masters' && this.agent.registration.state.kind === 'registered';
  }

  /** As `confirmed`, by an answer to a message of after `sinceMs` on `performance.now()`. */
  confirmedSince(sinceMs: number): boolean {
    return this.confirmed && this.accepted !== undefined && this.accepted.sentMs > sinceMs;
  }

  /** Whether masters have refused to register it. */
  get isRefused(): boolean {
    return this.agent?.registration.state.kind === 'refused';
  }

  /** Waits until masters have answered its registration. */
  async answered(): Promise<void> {
    await until(`${this.name} is registered or refused`, answerBoundMs, () => {
      if (this.confirmed || this.isRefused) return true;
      throw new Error(JSON.stringify(this.agent?.registration.state));
    });
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { masters, record, agentId } = this.#options;
    const client = new MasterClient({ masters, timeoutMs: callTimeoutMs });
    this.accepted = undefined;
    this.broken = false;
    const agent: Agent = new Agent({
      agentId,
      hostname: this.name,
      nodeIp: () => Promise.resolve(this.nodeIp),
      networkConfig: { enableIpv6: false },
      takeover: false,
      settings: defaultHostSettings,
      api: this.#witnessed(new GrpcMasterApi(client)),
      store: this.store,
      clock: systemClock,
      log: silent,
      host: new WatchedHost((input) => record.told(this, input)),
      // One boot for all: clones often share the boot id of the host that they are copies of.
      bootClock: { bootId: 'boot', now: () => performance.now() },
      random: Math.random,
      newInstanceId: () => `instance-${randomUUID()}`,
      newRunId: randomUUID,
      failed: (error) => record.wrongBy(`${this.name} has ended: ${error.message}`),
    });
    this.#running = { agent, client };
    agent.start();
  }

  /** Ends the process. What the data plane carries stays, and the connections are closed. */
  async stop(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    await running?.agent.stop();
    running?.client.close();
  }

  /** Gives everything back. Resolves with whether a master took it. */
  async leave(): Promise<boolean> {
    const running = this.#running;
    if (running?.agent.lease === undefined) return false;
    try {
      await running.agent.leave();
      this.#options.record.left(this);
      this.#options.record.gone(this);
      return true;
    } catch {
      // Where it is not known whether masters took it, the next registration may be granted something else.
      if (this.store.lease?.leaving === true) this.#options.record.perhapsLeft(this);
      return false;
    } finally {
      this.#running = undefined;
      running.client.close();
    }
  }

  #witnessed(api: MasterApi): MasterApi {
    const { record } = this.#options;
    const accept = (sentMs: number): void => {
      this.accepted = { sentMs, answeredMs: performance.now() };
      this.broken = false;
      this.#options.accepted(this);
    };
    return {
      register: async (request) => {
        const sentMs = performance.now();
        const response = await api.register(request);
        const { vxlan, overlays } = leaseOf(response);
        record.acknowledged(this, blocksOf(vxlan.vtepIp, overlays));
        accept(sentMs);
        return response;
      },
      reportStatus: (request) => api.reportStatus(request),
      leave: (request) => api.leave(request),
      returnOverlays: (request) => api.returnOverlays(request),
      keepAlive: (events) => {
        let sentMs = 0;
        const stream = api.keepAlive({
          message: (response) => {
            accept(sentMs);
            events.message(response);
          },
          ended: (error) => {
            this.broken = true;
            events.ended(error);
          },
        });
        return {
          master: stream.master,
          cancel: () => {
            this.broken = true;
            stream.cancel();
          },
          send: (request) => {
            sentMs = performance.now();
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

/**
 * Whether the masters had to take this process for current until now: the answer to its last message came before another
 * process asked at `askedMs`, and its stream is open since.
 */
export function surelyCurrent({ running, broken, accepted }: SiteHost, askedMs: number): boolean {
  if (!running || broken || accepted === undefined) return false;
  return accepted.answeredMs < askedMs && performance.now() - accepted.sentMs < surelyCurrentMs;
}
