/**
 * A whole network of real processes: masters and agents, each on a host of its own, with the configuration files of a
 * DC/OS cluster plus the flags that say where to listen and where the masters are.
 */
import { join } from 'node:path';
import type { DockerDaemon } from '#cluster-test/host/docker-daemon.js';
import { type Netns, Underlay } from '#cluster-test/host/netns.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { Child, type Exit, sublet } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';

const startBoundMs = 30_000;
const apiPort = 7070;

export type MasterHost = {
  readonly name: string;
  readonly netns: Netns;
  readonly args: readonly string[];
  child: Child;
};

export type AgentHost = {
  readonly id: string;
  readonly netns: Netns;
  readonly args: string[];
  readonly cniDir: string;
  readonly docker: DockerDaemon | undefined;
  /** What goes before its command. */
  readonly enter: readonly string[];
  child: Child;
};

/** The part of `sublet agent status -o json` that tests look at. */
export type AgentStatusJson = {
  readonly ready: boolean;
  readonly problems: readonly string[];
  readonly lease: {
    readonly source: string;
    readonly valid: boolean;
    readonly ttl_left_ms: number | null;
    readonly node_ip: string;
    readonly vxlan: { readonly vtepIp: string };
    readonly overlays: readonly { readonly name: string; readonly subnet?: string; readonly subnet6?: string }[];
  } | null;
  readonly watch: { readonly connected: boolean; readonly peers: number };
  readonly host: {
    readonly converged: boolean;
    readonly overlays: readonly { readonly kind: string; readonly name: string; readonly error?: string }[];
  };
};

export type AgentPlan = {
  readonly id: string;
  readonly nodeIp: string;
  readonly config: string;
  readonly flags?: readonly string[];
  readonly docker?: DockerDaemon;
  /** Where it runs; default: a host of its own. */
  readonly netns?: Netns;
  /** Its configuration has no `nodeIp`. */
  readonly findsNodeIp?: true;
  /** Goes before its command, after the words that enter the host: what gives it other mounts, say. */
  readonly prefix?: readonly string[];
};

export class Scene {
  readonly underlay = new Underlay();
  readonly folder: string;
  readonly masters: MasterHost[] = [];
  readonly agents: AgentHost[] = [];
  readonly #removeFolder: () => void;
  readonly #gateway: string | undefined;

  constructor(gateway?: string) {
    const { folder, remove } = testFolder('scene');
    this.folder = folder;
    this.#removeFolder = remove;
    this.#gateway = gateway;
  }

  /** A host on the underlay. */
  host(role: string, ip: string): Netns {
    return this.underlay.host(role, `${ip}/24`, this.#gateway);
  }

  /** Starts a master on each of these addresses, and waits until all are ready. */
  async startMasters(addresses: readonly string[], config: string, flags: readonly string[] = []): Promise<void> {
    const members = addresses.map((ip, at) => `m${at + 1}=${ip}:7071`);
    addresses.forEach((ip, at) => {
      const name = `m${at + 1}`;
      const netns = this.host(name, ip);
      const args = [
        ...['master', '--config', config, '--name', name, '--data-dir', join(this.folder, name), '--insecure'],
        ...['--listen', `${ip}:${apiPort}`, '--peer-listen', `${ip}:7071`, '--http-listen', `${ip}:7072`],
        ...['--cluster-id', 'scene', ...members.flatMap((member) => ['--member', member]), ...flags],
      ];
      this.masters.push({ name, netns, args, child: new Child(args, { prefix: netns.enter }) });
    });
    await this.mastersReady();
  }

  get masterList(): string {
    return this.masters.map(({ args }) => args[args.indexOf('--listen') + 1]).join(',');
  }

  async mastersReady(): Promise<void> {
    for (const { name, netns, args, child } of this.masters) {
      const http = args[args.indexOf('--http-listen') + 1];
      await until(`${name} ready`, startBoundMs, async () => {
        if (!child.running) throw new Error(`${name} has ended:\n${child.output}`);
        return holds((await netns.run(['curl', '-sf', `http://${http}/readyz`])).code === 0);
      });
    }
  }

  async stopMasters(): Promise<void> {
    await Promise.all(this.masters.map(({ child }) => child.kill()));
  }

  async restartMasters(): Promise<void> {
    for (const master of this.masters) master.child = new Child(master.args, { prefix: master.netns.enter });
    await this.mastersReady();
  }

  /** Starts an agent, and waits until its host is as it should be. */
  async startAgent(plan: AgentPlan): Promise<AgentHost> {
    const { id, nodeIp, config, flags = [], docker, netns, findsNodeIp, prefix = [] } = plan;
    const host = netns ?? this.host(id, nodeIp);
    const enter = [...host.enter, ...prefix];
    const cniDir = join(this.folder, id, 'net.d');
    const args = [
      ...['agent', '--config', config, '--id', id, '--master', this.masterList],
      ...(findsNodeIp === true ? [] : ['--node-ip', nodeIp]),
      ...['--state-dir', join(this.folder, id, 'state'), '--http-listen', '127.0.0.1:7073'],
      ...['--cni-dir', cniDir, '--cni-data-dir', join(this.folder, id, 'networks')],
      ...(docker === undefined ? [] : ['--docker-host', docker.address]),
      ...flags,
    ];
    const agent = { id, netns: host, args, cniDir, docker, enter, child: new Child(args, { prefix: enter }) };
    this.agents.push(agent);
    await this.agentReady(agent);
    return agent;
  }

  async agentReady(agent: AgentHost, boundMs = startBoundMs): Promise<AgentStatusJson> {
    let last: AgentStatusJson | undefined;
    try {
      return await until(`${agent.id} ready`, boundMs, async () => {
        if (!agent.child.running) throw new Error(`${agent.id} has ended`);
        last = await this.agentStatus(agent);
        const { ready, host } = last;
        return ready && host.converged && host.overlays.every(({ kind }) => kind === 'ok') ? last : undefined;
      });
    } catch (error) {
      throw new Error(
        `${agent.id}: ${JSON.stringify(last?.problems)} ${JSON.stringify(last?.host)}\n${agent.child.output}`,
        { cause: error },
      );
    }
  }

  restartAgent(agent: AgentHost): void {
    agent.child = new Child(agent.args, { prefix: agent.enter });
  }

  async agentStatus(agent: AgentHost): Promise<AgentStatusJson> {
    return JSON.parse(await this.agentHttp(agent, '/status'));
  }

  async agentHttp(agent: AgentHost, path: string): Promise<string> {
    const { code, stdout, stderr } = await agent.netns.run(['curl', '-sS', `http://127.0.0.1:7073${path}`]);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  }

  /** `sublet ARGS` on an operator's host, with the masters named. */
  async operate(...args: readonly string[]): Promise<Exit & { stdout: string; output: string }> {
    const [first] = this.masters;
    if (first === undefined) throw new Error('no masters yet');
    return sublet([...args, '--master', this.masterList], { prefix: first.netns.enter });
  }

  /** Ends every process and takes every host away. Containers and daemons are their makers'. */
  async remove(): Promise<void> {
    await Promise.all(this.agents.map(({ child }) => (child.running ? child.kill() : undefined)));
    await Promise.all(this.masters.map(({ child }) => (child.running ? child.kill() : undefined)));
    this.underlay.remove();
    this.#removeFolder();
  }
}
