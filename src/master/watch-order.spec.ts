import assert from 'node:assert/strict';
import fc from 'fast-check';
import { TestHubs } from '#master/testing/test-hub.js';
import { TestWatcher } from '#master/testing/test-watcher.js';

type Step =
  | { readonly kind: 'register' | 'again' | 'leave'; readonly number: number }
  | { readonly kind: 'pass' | 'watch' | 'stop' | 'move' | 'toggle' | 'stall' | 'read' | 'network' }
  | { readonly kind: 'wait'; readonly ms: number };

const number = fc.nat({ max: 20 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom('register', 'again', 'leave'), number }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('pass', 'watch', 'stop', 'move', 'toggle', 'stall', 'read', 'network'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait'), ms: fc.nat({ max: 3_000 }) }) },
);

/** Two members, a plan that changes, and watchers that come, stall, move and go. */
class Scene {
  readonly #test: TestHubs;
  readonly #watching: { readonly watcher: TestWatcher; readonly at: number; readonly stop: () => void }[] = [];
  #enabled = true;

  constructor(ringCountMax: number) {
    this.#test = new TestHubs({ members: 2, ringCountMax, batchBytesMax: 600, chunkBytesMax: 1_000 });
  }

  act(what: Step): Promise<void> | undefined {
    const test = this.#test;
    const last = this.#watching.at(-1)?.watcher;
    switch (what.kind) {
      case 'register':
        test.register(what.number);
        return;
      case 'again':
        test.register(what.number, 2 + test.cluster.commands.length);
        return;
      case 'leave':
        test.leave(what.number);
        return;
      case 'pass':
        test.pass();
        return;
      case 'network':
        this.#enabled = !this.#enabled;
        test.propose({ kind: 'update-overlay', name: 'dcos', enabled: this.#enabled });
        return;
      case 'watch':
        this.#watch(new TestWatcher(), 0);
        return;
      case 'stop':
        this.#watching.pop()?.stop();
        return;
      case 'move':
        this.#move();
        return;
      case 'toggle':
        this.#toggle();
        return;
      case 'stall':
        if (last !== undefined) last.reads = false;
        return;
      case 'read':
        last?.readOn();
        return;
      case 'wait':
        return test.time.runFor(what.ms);
    }
  }

  /** All watchers read, none lags: then each has the present plan, or was closed for reading nothing. */
  async end(): Promise<void> {
    const test = this.#test;
    test.at(1).member.lags = false;
    test.pass();
    for (const { watcher } of this.#watching) watcher.readOn();
    await test.time.runFor(15_000);
    for (const { watcher, at } of this.#watching) {
      if (watcher.ended !== undefined) assert.equal(watcher.ended.reason, 'too-slow');
      else watcher.assertSameAs(test.at(at).machine);
    }
    assert.deepEqual(test.reported, []);
  }

  #watch(watcher: TestWatcher, at: number): void {
    this.#watching.push({ watcher, at, stop: this.#test.watch(watcher, { at }) });
  }

  /** The last watcher goes on at the other member. */
  #move(): void {
    const last = this.#watching.pop();
    if (last === undefined) return;
    last.stop();
    this.#watch(TestWatcher.resume(last.watcher), 1 - last.at);
  }

  #toggle(): void {
    const { member } = this.#test.at(1);
    member.lags = !member.lags;
    this.#test.cluster.spread();
  }
}

describe('watchers and changes in any order', () => {
  it('leave every watcher with the plan as it is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 2, max: 30 }),
        async (steps, ringCountMax) => {
          const scene = new Scene(ringCountMax);
          for (const each of steps) await scene.act(each);
          await scene.end();
        },
      ),
      { numRuns: 150 },
    );
  });
});
