/** Watches what targets say while a fault is brought about and mended, and has Prometheus' engine judge the rules over it. */
import assert from 'node:assert/strict';
import { type Firing, judged } from '#cluster-test/alerts/promtool.js';
import { type Scrape, type ScrapeTarget, scrape } from '#cluster-test/alerts/recording.js';

export class AlertWatch {
  readonly #targets: readonly ScrapeTarget[];
  readonly #healthy: Scrape;
  #faulty: Scrape | undefined;

  private constructor(targets: readonly ScrapeTarget[], healthy: Scrape) {
    this.#targets = targets;
    this.#healthy = healthy;
  }

  /** To be called while all is well. */
  static async begin(targets: readonly ScrapeTarget[]): Promise<AlertWatch> {
    return new AlertWatch(targets, await scrape(targets));
  }

  /** To be called while the fault shows. */
  async faulty(): Promise<void> {
    this.#faulty = await scrape(this.#targets);
  }

  /** To be called when the fault is mended: just these alerts fire during the fault, and none before and after. */
  async mended(expected: readonly Firing[]): Promise<void> {
    const faulty = this.#faulty;
    assert.ok(faulty !== undefined, 'faulty() comes first');
    const recording = { healthy: this.#healthy, faulty, mended: await scrape(this.#targets) };
    assert.equal(judged(recording, expected), '');
  }
}
