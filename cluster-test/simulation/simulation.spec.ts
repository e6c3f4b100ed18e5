/** Whole clusters under trouble, each from one seed; see docs/simulation.md. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { bugs } from '#cluster-test/simulation/bugs.js';
import { addCounts, missedMarks } from '#cluster-test/simulation/marks.js';
import { runPlanted } from '#cluster-test/simulation/planted-run.js';
import { simulate } from '#cluster-test/simulation/simulation.js';

type Regression = { readonly seed: number; readonly events: number; readonly of: string };

const all = process.env.SUBLET_TEST_ALL === '1';
const regressions: readonly Regression[] = JSON.parse(
  readFileSync('cluster-test/simulation/regressions/seeds.json', 'utf8'),
);

/**
 * Where seeds begin. By default always at the same one, so that a run judges the change and not the luck of the draw;
 * SUBLET_FRESH_SEEDS=1, like `npm run soak`, draws anew.
 */
const firstSeed = process.env.SUBLET_FRESH_SEEDS === '1' ? Math.floor(Math.random() * 2 ** 31) : 3000;

/** How long seeds are tried, and how long one planted bug may take, in ms. */
const freshMs = all ? 60_000 : 6_000;
/** More seeds, until every rare branch was met. */
const rareMs = 180_000;
const plantedMs = 60_000;

async function holds(seed: number, events: number): Promise<ReadonlyMap<string, number>> {
  const { violation, counts } = await simulate({ seed, events });
  const again = `npm run -s simulate -- --seed ${seed} --events ${events} --trace`;
  assert.equal(violation, undefined, `${violation?.message}\nagain: ${again}`);
  return counts;
}

describe('the simulator', () => {
  it('does the same again from the same seed', async function () {
    this.timeout(60_000);
    const first = await simulate({ seed: 1, events: 5000 });
    const again = await simulate({ seed: 1, events: 5000 });
    const other = await simulate({ seed: 2, events: 5000 });
    assert.equal(again.traceHash, first.traceHash);
    assert.equal(again.events, first.events);
    assert.notEqual(other.traceHash, first.traceHash);
  });

  for (const { seed, events, of } of regressions) {
    it(`holds seed ${seed}: ${of}`, async function () {
      this.timeout(60_000);
      await holds(seed, events);
    });
  }

  it(`finds nothing wrong in the seeds from ${firstSeed} on`, async function () {
    this.timeout(freshMs + rareMs + 60_000);
    const endMs = performance.now() + freshMs;
    const counts = new Map<string, number>();
    let seed = firstSeed;
    for (; performance.now() < endMs; seed += 1) addCounts(counts, await holds(seed, 20_000));
    // A few seconds are too short to meet all that is rare; a minute may need a little longer.
    if (!all) return;
    for (; performance.now() < endMs + rareMs && missedMarks(counts).length > 0; seed += 1) {
      addCounts(counts, await holds(seed, 20_000));
    }
    assert.deepEqual(missedMarks(counts), []);
  });
});

describe('planted bugs', () => {
  for (const { name, changes } of bugs) {
    it(`has the place of ${name} in the code as it is`, () => {
      for (const { file, right } of changes) {
        assert.equal(readFileSync(`dist/src/${file}`, 'utf8').split(right).length - 1, 1, `${file}: ${right}`);
      }
    });
  }

  for (const { name } of all ? bugs : bugs.filter((_, at) => at % 6 === 1)) {
    it(`finds ${name}`, async function () {
      this.timeout(plantedMs);
      const { caught, seeds } = await runPlanted({
        mutation: name,
        aimed: true,
        first: firstSeed,
        seeds: 150,
        events: 8000,
      });
      assert.ok(caught !== undefined, `not found with ${seeds} seeds from ${firstSeed} on`);
    });
  }
});
