/** Real agents as processes of their own, in plan mode, with their state in a temporary folder. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Child } from '#cluster-test/process/child.js';
import { until } from '#cluster-test/process/condition.js';
import { freePorts } from '#cluster-test/process/ports.js';

/** An agent that was refused asks again after 20 s at most. */
const readyBoundMs = 60_000;

export type AgentProcessOptions = {
  readonly id: string;
  readonly nodeIp: string;
  /** HOST:PORT of each master. */
  readonly masters: readonly string[];
  /** A `--config` file. */
  readonly config?: string;
  readonly flags?: readonly string[];
  /** Its state is a copy of what another agent's is now. */
  readonly copyOf?: AgentProcess;
};

export type AgentProcess = {
  readonly id: string;
  readonly http: string;
  readonly stateDir: string;
  readonly args: readonly string[];
  child: Child;
};

export class Agents implements AsyncDisposable {
  readonly folder = mkdtempSync(join(tmpdir(), 'sublet-agents-'));
  readonly agents: AgentProcess[] = [];

  /** Starts one and does not wait. */
  async start({ id, nodeIp, masters, config, flags = [], copyOf }: AgentProcessOptions): Promise<AgentProcess> {
    const [port] = await freePorts(1);
    const http = `127.0.0.1:${port}`;
    const stateDir = join(this.folder, copyOf === undefined ? id : `${id}-${port}`);
    if (copyOf !== undefined) cpSync(copyOf.stateDir, stateDir, { recursive: true });
    const args = [
      ...['agent', ...(config === undefined ? [] : ['--config', config])],
      ...['--id', id, '--node-ip', nodeIp, '--master', masters.join(','), '--state-dir', stateDir],
      ...['--http-listen', http, '--network', 'plan', ...flags],
    ];
    const agent = { id, http, stateDir, args, child: new Child(args) };
    this.agents.push(agent);
    return agent;
  }

  /** Starts an agent again that has ended, on its own state. */
  restart(agent: AgentProcess): void {
    if (agent.child.running) throw new Error(`${agent.id} still runs`);
    agent.child = new Child(agent.args);
  }

  async ready({ id, http, child }: AgentProcess): Promise<void> {
    try {
      await until(`agent ${id} ready`, readyBoundMs, async () => {
        if (!child.running) throw new Error(`agent ${id} has ended`);
        const ready = await fetch(`http://${http}/readyz`);
        if (ready.ok) return true;
        throw new Error(await ready.text());
      });
    } catch (error) {
      throw new Error(`agent ${id} is not ready; it said:\n${child.output}`, { cause: error });
    }
  }

  /** What the agent answers to GET `path`, as JSON. */
  async get(agent: AgentProcess, path: string): Promise<unknown> {
    const response = await fetch(`http://${agent.http}${path}`);
    if (!response.ok) throw new Error(`GET ${path} of ${agent.id}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.agents.map(({ child }) => child.kill()));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
