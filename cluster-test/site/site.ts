/**
 * The hosts of a site and its masters, and what must hold between them at any time. What is done to them is decided
 * elsewhere (`host-steps.ts`, `master-steps.ts`).
 */
import { join } from 'node:path';
import { holds, until } from '#cluster-test/process/condition.js';
import { SiteHost, surelyCurrent } from '#cluster-test/site/host.js';
import type { SiteMasters } from '#cluster-test/site/masters.js';
import { SiteRecord } from '#cluster-test/site/record.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';

/** A process that was silent is given up after 15 s, and a refused agent asks again after 20 s at most. */
const settleBoundMs = 90_000;

export class Site {
  readonly masters: SiteMasters;
  readonly random: SeededRandom;
  readonly record: SiteRecord;
  readonly hosts: SiteHost[] = [];
  readonly clones: SiteHost[] = [];
  readonly #counts = new Map<string, number>();
  #made = 0;

  constructor(masters: SiteMasters, seed: number) {
    this.masters = masters;
    this.random = new SeededRandom(seed);
    this.record = new SiteRecord(join(masters.masters.folder, 'record.jsonl'));
  }

  /** How often each thing was done. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** What each host holds, by agent id, as masters granted it. */
  get holdings(): ReadonlyMap<string, readonly string[]> {
    return new Map(this.hosts.map((host) => [host.agentId, this.record.held(host) ?? []]));
  }

  get #all(): readonly SiteHost[] {
    return [...this.hosts, ...this.clones];
  }

  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  any<T>(from: readonly T[]): T {
    const found = from[this.random.below(from.length)];
    if (found === undefined) throw new RangeError('there is nothing to draw from');
    return found;
  }

  /** A number that was not given before. */
  next(): number {
    this.#made += 1;
    return this.#made;
  }

  /** Of the underlay; never used twice. */
  newAddress(): string {
    const number = this.next();
    return `172.20.${number >> 8}.${number & 255}`;
  }

  arrive(): SiteHost {
    const name = `host-${this.next()}`;
    const host = this.host(name, name, this.newAddress());
    this.hosts.push(host);
    host.start();
    return host;
  }

  /** A host that is not started; `original`: it is a copy of that one. */
  host(name: string, agentId: string, nodeIp: string, original?: SiteHost): SiteHost {
    return new SiteHost({
      name,
      agentId,
      nodeIp,
      masters: this.masters.addresses,
      record: this.record,
      accepted: (host) => this.#judge(host),
      ...(original === undefined ? {} : { state: original.store }),
    });
  }

  clonesOf({ agentId }: SiteHost): readonly SiteHost[] {
    return this.clones.filter((clone) => clone.agentId === agentId);
  }

  /** The other hosts with this one's agent id. */
  otherCopies(host: SiteHost): readonly SiteHost[] {
    return this.#all.filter((other) => other !== host && other.agentId === host.agentId);
  }

  /** The host is taken away, and with it what its data plane carries. */
  async remove(host: SiteHost): Promise<void> {
    await host.stop();
    this.record.gone(host);
  }

  /** No clone is left, and every host has its lease confirmed by masters that have not gone back since. */
  async allConfirmed(): Promise<void> {
    for (const clone of this.clones.splice(0)) await this.remove(clone);
    for (const host of this.hosts) host.start();
    await until('all hosts confirmed', settleBoundMs, () => {
      const waiting = this.hosts.filter((host) => !host.confirmedSince(this.masters.wentBackMs));
      if (waiting.length === 0) return true;
      const states = waiting.map(({ name, agent }) => `${name}: ${JSON.stringify(agent?.registration.state)}`);
      throw new Error(`${waiting.length} wait, ${states.slice(0, 3).join('; ')}`);
    });
  }

  /** One of the hosts that are copies of each other has the lease and carries it; the others are refused and carry nothing. */
  async oneOfCopies(copies: readonly SiteHost[]): Promise<void> {
    await until(`one host has the lease of ${copies[0]?.agentId}`, settleBoundMs, () => {
      const carrying = copies.filter((host) => this.record.carries(host));
      if (carrying.length === 1 && carrying.every(({ confirmed }) => confirmed)) return true;
      throw new Error(copies.map((host) => this.#describe(host)).join('; '));
    });
  }

  /** Every host has, for each other one, what the masters have. */
  async peersKnown(): Promise<void> {
    await until('all peers known', settleBoundMs, () => {
      for (const host of this.hosts) {
        const peers = this.record.peersOf(host);
        for (const other of this.hosts) {
          if (other === host) continue;
          const [told, held] = [peers.get(other.agentId)?.join(' '), this.record.held(other)?.join(' ')];
          if (told !== held) throw new Error(`${host.name} was told of ${other.name}: ${told}; it holds ${held}`);
        }
      }
      return holds(true);
    });
  }

  async stop(): Promise<void> {
    await Promise.all(this.#all.map((host) => host.stop()));
  }

  #describe(host: SiteHost): string {
    const { name, agent } = host;
    const carries = this.record.carries(host) ? 'carries its blocks' : 'carries nothing';
    return `${name} ${carries}, ${agent?.leaseSource}, ${JSON.stringify(agent?.registration.state)}`;
  }

  /** While a process of this agent id is current for the masters, they accept no other one. */
  #judge(host: SiteHost): void {
    const { name, agentId, accepted } = host;
    if (accepted === undefined) return;
    for (const other of this.otherCopies(host)) {
      this.record.compared();
      if (!surelyCurrent(other, accepted.sentMs)) continue;
      this.record.wrongBy(`${name} was accepted for ${agentId}, while ${other.name} kept the lease alive`);
    }
  }
}
