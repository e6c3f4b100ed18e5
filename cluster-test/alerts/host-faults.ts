/** A host with a master and an agent that builds its overlay, and the faults of it that alerts are for. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AlertFault } from '#cluster-test/alerts/alert-site.js';
import type { ScrapeTarget } from '#cluster-test/alerts/recording.js';
import { CniContainer } from '#cluster-test/host/cni-container.js';
import type { Netns } from '#cluster-test/host/netns.js';
import { type AgentHost, Scene } from '#cluster-test/host/scene.js';
import { holds, until } from '#cluster-test/process/condition.js';

const masterHttp = '10.0.0.1:7072';
const agentHttp = '127.0.0.1:7073';
/** The tries of an agent to build its overlay are 15 s apart at most; on a machine that does much else. */
const boundMs = 60_000;
/** The containers that half a /28 has room for. */
const room = 5;

export class HostFaults implements AsyncDisposable {
  readonly scene = new Scene();
  #agent: AgentHost | undefined;

  static async start(): Promise<HostFaults> {
    const faults = new HostFaults();
    try {
      await faults.#start();
    } catch (error) {
      await faults[Symbol.asyncDispose]();
      throw error;
    }
    return faults;
  }

  async #start(): Promise<void> {
    const { scene } = this;
    const master = join(scene.folder, 'master.json');
    const config = join(scene.folder, 'agent.json');
    const overlays = [{ name: 'dcos', subnet: '9.0.0.0/24', prefix: 28 }];
    writeFileSync(master, JSON.stringify({ network: { overlays } }));
    writeFileSync(config, JSON.stringify({ network_config: { docker_bridge: false } }));
    await scene.startMasters(['10.0.0.1'], master);
    this.#agent = await scene.startAgent({ id: 'a1', nodeIp: '10.0.0.1', config, netns: this.netns });
    await this.#shows(masterHttp, /^sublet_overlays_on_hosts\{status="ok"\} 1$/m);
  }

  /** Where all of it runs. */
  get netns(): Netns {
    return this.scene.masters[0]?.netns ?? assert.fail('no master yet');
  }

  get agent(): AgentHost {
    return this.#agent ?? assert.fail('no agent yet');
  }

  get targets(): readonly ScrapeTarget[] {
    return [
      { job: 'sublet-master', instance: masterHttp, metrics: () => this.get(`http://${masterHttp}/metrics`) },
      { job: 'sublet-agent', instance: agentHttp, metrics: () => this.get(`http://${agentHttp}/metrics`) },
    ];
  }

  /** The body that is answered to GET on this host. */
  readonly get = async (url: string): Promise<string> => {
    const { code, stdout, stderr } = await this.netns.run(['curl', '-sSf', url]);
    if (code !== 0) throw new Error(stderr);
    return stdout;
  };

  overlayFailed(): AlertFault {
    return {
      title: 'another device has the VXLAN id and port of the overlays',
      fires: () => [
        { alertname: 'SubletOverlayFailed', instance: agentHttp, overlay: 'dcos' },
        { alertname: 'SubletOverlaysFailed' },
      ],
      bringAbout: async () => {
        const { agent, netns, scene } = this;
        await agent.child.stop();
        netns.sh('ip link del vtep1024 && ip link add rival type vxlan id 1024 dstport 64000 dev lo');
        scene.restartAgent(agent);
        await this.#shows(agentHttp, /^sublet_host_overlay_status\{overlay="dcos",status="failed"\} 1$/m);
        await this.#shows(masterHttp, /^sublet_overlays_on_hosts\{status="failed"\} 1$/m);
      },
      mend: async () => {
        this.netns.sh('ip link del rival');
        await this.scene.agentReady(this.agent, boundMs);
        await this.#shows(masterHttp, /^sublet_overlays_on_hosts\{status="ok"\} 1$/m);
      },
    };
  }

  hostNearlyFull(): AlertFault {
    const containers: CniContainer[] = [];
    const used = (count: number): Promise<void> =>
      this.#shows(
        agentHttp,
        new RegExp(`^sublet_agent_addresses_used\\{overlay="dcos",bridge="m-dcos",family="4"\\} ${count}$`, 'm'),
      );
    return {
      title: 'containers have all addresses of a bridge',
      fires: () => [
        { alertname: 'SubletHostNearlyFull', instance: agentHttp, overlay: 'dcos', family: '4', bridge: 'm-dcos' },
      ],
      bringAbout: async () => {
        const { netns, cniDir } = this.agent;
        for (let number = 0; number < room; number++) {
          containers.push(await CniContainer.attach(`c${number}`, netns, join(cniDir, 'dcos.conflist')));
        }
        await used(room);
      },
      mend: async () => {
        for (const container of containers.splice(0)) await container.detach();
        await used(0);
      },
    };
  }

  /** Something is changed on the host by another hand, and put back by the agent. */
  async drift(): Promise<void> {
    this.netns.sh('ip link set vtep1024 down');
    await this.#shows(agentHttp, /^sublet_host_drift_repaired_total\{/m);
  }

  async #shows(http: string, line: RegExp): Promise<void> {
    await until(`${http} shows ${line}`, boundMs, async () =>
      holds(line.test(await this.get(`http://${http}/metrics`))),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scene.remove();
  }
}
