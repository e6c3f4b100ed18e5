/** What a site does to its masters. Each step ends when they serve again. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Site } from '#cluster-test/site/site.js';
import type { Step } from '#cluster-test/site/step.js';

/** A copy or a backup that is older is not used: what was quarantined then (15 minutes) can be another agent's by now. */
const copyAgeMaxMs = 10 * 60_000;

export class MasterSteps {
  readonly #site: Site;
  readonly #backup: string;
  #savedAt: number | undefined;

  constructor(site: Site) {
    this.#site = site;
    this.#backup = join(site.masters.masters.folder, 'plan.snapshot');
  }

  get steps(): readonly Step[] {
    const { masters } = this.#site;
    const { all } = masters;
    const oldest = performance.now() - copyAgeMaxMs;
    const copied = masters.copiedAllAt !== undefined && masters.copiedAllAt > oldest;
    const saved = this.#savedAt !== undefined && this.#savedAt > oldest;
    const any = () => this.#site.any(all);
    return [
      { what: 'masters killed', weight: 6, run: () => masters.kill([any()]) },
      { what: 'leaders killed', weight: 3, run: async () => masters.kill([await masters.masters.leader()]) },
      { what: 'kills of all masters', weight: 2, run: () => masters.kill(all) },
      { what: 'copies of one master', weight: 3, run: () => masters.copyOne(any()) },
      { what: 'copies of all masters', weight: copied ? 1 : 3, run: () => masters.copyAll() },
      { what: 'backups', weight: saved ? 1 : 3, run: () => this.#save() },
      { what: 'masters put back', weight: masters.copies.length > 0 ? 3 : 0, run: () => this.#rewindOne() },
      { what: 'all masters put back', weight: copied ? 3 : 0, alone: true, run: () => this.#rewindAll() },
      { what: 'restores', weight: saved ? 2 : 0, alone: true, run: () => this.#restore() },
    ];
  }

  /** Nothing is in the way of fresh leases: also an adoption is over that a late claim of a watcher began. */
  async settle(): Promise<void> {
    await this.#site.masters.serving();
    await this.#site.masters.endAdoption();
  }

  async #save(): Promise<void> {
    await this.#site.masters.save(this.#backup);
    this.#savedAt = performance.now();
  }

  async #rewindOne(): Promise<boolean> {
    const { masters } = this.#site;
    const leader = await masters.masters.leader();
    const able = masters.copies.filter((master) => master !== leader);
    if (able.length === 0) return false;
    await masters.rewindOne(this.#site.any(able));
    return true;
  }

  /**
   * What agents were granted since the copies is on no record any more, and they alone know it. Their claims begin an
   * adoption, and until it ends a newcomer gets nothing.
   */
  async #rewindAll(): Promise<void> {
    const { masters, record } = this.#site;
    await this.settle();
    await this.#site.allConfirmed();
    const { copiedAllAt = 0 } = masters;
    const lost = this.#site.hosts.filter((host) => (record.firstGrantedAt(host) ?? 0) > copiedAllAt);
    // A backup of the part that is lost now names holders that the masters no longer know: what these leave is not quarantined.
    if ((this.#savedAt ?? 0) > copiedAllAt) this.#savedAt = undefined;
    await masters.rewindAll();
    if (lost.length > 0) {
      await masters.adoptionBegun();
      this.#site.count('adoptions begun on proofs');
    }
    await this.#adopted();
  }

  async #restore(): Promise<void> {
    const { masters } = this.#site;
    await this.settle();
    await this.#site.allConfirmed();
    await masters.restore(this.#backup);
    this.#savedAt = undefined;
    assert.equal((await masters.adoption()).on, true, 'a restored plan is in adoption');
    await this.#adopted();
  }

  /** All hosts are back, with what they held; a newcomer gets something fresh once an operator has ended the adoption. */
  async #adopted(): Promise<void> {
    const { masters, record } = this.#site;
    await this.#site.allConfirmed();
    const newcomer = this.#site.arrive();
    await newcomer.answered();
    if (newcomer.isRefused) {
      assert.equal((await masters.adoption()).on, true, `${newcomer.name} is refused, and nothing is in its way`);
      assert.equal(record.held(newcomer), undefined, `${newcomer.name} is granted nothing during the adoption`);
      await masters.endAdoption();
    }
    await this.#site.allConfirmed();
  }
}
