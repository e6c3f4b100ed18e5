/**
 * A site at its worst, in one storm: hosts arrive, leave, restart, move and are cloned, while masters are killed, put back to
 * copies of their data, and restored from backups. One seed decides what is drawn next; processes run at their own pace.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { HostSteps } from '#cluster-test/site/host-steps.js';
import { MasterSteps } from '#cluster-test/site/master-steps.js';
import type { Site } from '#cluster-test/site/site.js';
import { drawStep, type Step } from '#cluster-test/site/step.js';

/** Between two steps, at most, ms: the storm's pace. */
const hostPauseMs = 300;
const masterPauseMs = 1_500;

export class SiteStorm {
  readonly #site: Site;
  readonly #hosts: HostSteps;
  readonly #masters: MasterSteps;
  /** The step of the hosts that is under way, or the one of the masters that must be alone. */
  #turn: Promise<unknown> = Promise.resolve();
  #over = false;

  constructor(site: Site) {
    this.#site = site;
    this.#hosts = new HostSteps(site);
    this.#masters = new MasterSteps(site);
  }

  /** Steps until `endMs` of `performance.now()`; then all hosts come back and everything settles. */
  async run(endMs: number): Promise<void> {
    const site = this.#site;
    this.#hosts.begin();
    await site.allConfirmed();
    await Promise.all([
      this.#loop(endMs, hostPauseMs, () => this.#alone(() => this.#one(this.#hosts.steps))),
      this.#loop(endMs, masterPauseMs, () => this.#one(this.#masters.steps)),
    ]);
    if (site.record.wrong.length > 0) return;
    await this.#masters.settle();
    for (const clone of site.clones) await site.oneOfCopies([clone, ...site.otherCopies(clone)]);
    await site.allConfirmed();
    await site.peersKnown();
  }

  async #loop(endMs: number, pauseMs: number, step: () => Promise<unknown>): Promise<void> {
    const { random, record } = this.#site;
    try {
      while (performance.now() < endMs && !this.#over && record.wrong.length === 0) {
        await delay(random.below(pauseMs));
        await step();
      }
    } catch (error) {
      this.#over = true;
      throw error;
    }
  }

  async #one(steps: readonly Step[]): Promise<void> {
    const step = drawStep(steps, this.#site.random, this.#site.counts);
    if (step === undefined) return;
    const { what, run, alone = false } = step;
    const beganMs = performance.now();
    const done = await (alone ? this.#alone(run) : run());
    if (done === false) return;
    this.#site.count(what);
    this.#site.record.step(what, performance.now() - beganMs);
  }

  /** Runs `step` when those before it have ended. */
  #alone(step: () => unknown): Promise<unknown> {
    const result = this.#turn.then(step);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}
