/** What a site does to its hosts. Masters may be killed, stopped or started meanwhile. */
import { setTimeout as delay } from 'node:timers/promises';
import { type SiteHost, surelyCurrent } from '#cluster-test/site/host.js';
import type { Site } from '#cluster-test/site/site.js';
import type { Step } from '#cluster-test/site/step.js';

const hostsMin = 8;
const hostsMax = 40;
const clonesMax = 4;
/** The longest time that an agent is down for a restart, ms. */
const downMaxMs = 300;

export class HostSteps {
  readonly #site: Site;

  constructor(site: Site) {
    this.#site = site;
  }

  begin(): void {
    while (this.#site.hosts.length < hostsMin) this.#site.arrive();
  }

  get steps(): readonly Step[] {
    const site = this.#site;
    const { hosts, clones } = site;
    return [
      { what: 'arrivals', weight: hosts.length < hostsMax ? 12 : 0, run: () => site.arrive() },
      { what: 'leaves', weight: hosts.length > hostsMin ? 6 : 0, run: () => this.#leave() },
      { what: 'restarts of agents', weight: 10, run: () => this.#restart(site.any(hosts)) },
      { what: 'changes of node address', weight: 3, run: () => this.#move() },
      { what: 'clones started', weight: clones.length < clonesMax ? 6 : 0, run: () => this.#clone() },
      { what: 'clones ended', weight: clones.length > 0 ? 3 : 0, run: () => this.#endClone() },
      { what: 'leaves of clones', weight: clones.length > 0 ? 2 : 0, run: () => this.#leaveOfClone() },
    ];
  }

  async #leave(): Promise<boolean> {
    const site = this.#site;
    // While a copy of it runs, what it gives back is the copy's, too.
    const able = site.hosts.filter((host) => host.confirmed && site.clonesOf(host).length === 0);
    if (able.length === 0) return false;
    const host = site.any(able);
    if (await host.leave()) site.hosts.splice(site.hosts.indexOf(host), 1);
    else host.start();
    return true;
  }

  async #restart(host: SiteHost): Promise<void> {
    await host.stop();
    await delay(this.#site.random.below(downMaxMs));
    host.start();
  }

  #move(): void {
    const site = this.#site;
    site.any(site.hosts).nodeIp = site.newAddress();
  }

  /** The copy starts beside the host that runs, or in a moment in which that one is down. */
  async #clone(): Promise<boolean> {
    const site = this.#site;
    const able = site.hosts.filter(({ store }) => store.lease !== undefined && store.lease.leaving !== true);
    if (able.length === 0) return false;
    const original = site.any(able);
    const nodeIp = site.random.chance(0.3) ? original.nodeIp : site.newAddress();
    const clone = site.host(`${original.name}-copy-${site.next()}`, original.agentId, nodeIp, original);
    site.clones.push(clone);
    const meanwhileDown = site.random.chance(0.3);
    if (meanwhileDown) await original.stop();
    clone.start();
    if (meanwhileDown) await delay(site.random.below(downMaxMs));
    original.start();
    return true;
  }

  async #endClone(): Promise<void> {
    const site = this.#site;
    const [clone] = site.clones.splice(site.random.below(site.clones.length), 1);
    if (clone !== undefined) await site.remove(clone);
  }

  /** A copy has nothing to give back while another process keeps the lease alive. */
  async #leaveOfClone(): Promise<void> {
    const site = this.#site;
    const [clone] = site.clones.splice(site.random.below(site.clones.length), 1);
    if (clone === undefined) return;
    const sentMs = performance.now();
    if (await clone.leave()) {
      for (const other of site.otherCopies(clone)) {
        if (!surelyCurrent(other, sentMs)) continue;
        site.record.wrongBy(`${clone.name} left for ${clone.agentId}, while ${other.name} kept the lease alive`);
      }
    }
    await site.remove(clone);
  }
}
