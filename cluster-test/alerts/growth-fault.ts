/** A master whose overlay fills up from day to day: the days are put into its history while it is stopped. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AlertFault, shows } from '#cluster-test/alerts/alert-site.js';
import { fetched } from '#cluster-test/alerts/recording.js';
import { testFolder } from '#cluster-test/host/test-folder.js';
import { redateHistory } from '#cluster-test/operations/falsify.js';
import { operate } from '#cluster-test/operations/operator.js';
import { AgentCrowd } from '#cluster-test/process/agent-crowd.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';

const hourMs = 3_600_000;
/** Of 16 blocks. */
const agents = 12;
const dayMs = 24 * hourMs;

export class GrowthFault implements AsyncDisposable {
  readonly #masters: Masters;
  readonly #master: MasterProcess;
  readonly #crowd: AgentCrowd;
  readonly #remove: () => void;

  private constructor(masters: Masters, master: MasterProcess, crowd: AgentCrowd, remove: () => void) {
    this.#masters = masters;
    this.#master = master;
    this.#crowd = crowd;
    this.#remove = remove;
  }

  static async start(): Promise<GrowthFault> {
    const { folder, remove } = testFolder('growth');
    const config = join(folder, 'master.json');
    writeFileSync(
      config,
      JSON.stringify({ network: { overlays: [{ name: 'dcos', subnet: '9.0.0.0/24', prefix: 28 }] } }),
    );
    const masters = await Masters.start({ count: 1, config, folder });
    const master = masters.masters[0] ?? assert.fail();
    const crowd = new AgentCrowd(agents, masters.addresses);
    await shows(master.http, new RegExp(`^sublet_agents ${agents}$`, 'm'));
    return new GrowthFault(masters, master, crowd, remove);
  }

  fault(): AlertFault {
    const master = this.#master;
    return {
      title: 'agents arrive at such a pace that an overlay is full within days',
      targets: () => [fetched('sublet-master', master.http)],
      fires: () => [{ alertname: 'SubletOverlayFullSoon', overlay: 'dcos', family: 'ipv4' }],
      bringAbout: async () => {
        await master.child.stop();
        const begin = Date.now() - 10 * dayMs;
        await redateHistory(master.dataDir, (number) => Math.min(Date.now(), begin + number * 18 * hourMs));
        this.#masters.restart(master);
        await shows(master.http, /^sublet_overlay_full_seconds\{overlay="dcos",family="ipv4"\} \d+$/m);
        await shows(master.http, new RegExp(`^sublet_agents_presence\\{state="live"\\} ${agents}$`, 'm'));
      },
      mend: async () => {
        await operate(this.#masters, 'overlay', 'grow', 'dcos', '--subnet', '9.0.0.0/16', '--yes');
        await shows(master.http, /^# TYPE sublet_overlay_full_seconds gauge\n(?!sublet_overlay_full_seconds)/m);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#crowd[Symbol.asyncDispose]();
    await this.#masters[Symbol.asyncDispose]();
    this.#remove();
  }
}
