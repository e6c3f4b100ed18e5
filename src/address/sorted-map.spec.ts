import assert from 'node:assert/strict';
import fc from 'fast-check';
import { SortedMap } from '#address/sorted-map.js';

const ascending = (a: number, b: number) => a - b;

/** What a sorted map does, done slowly with an array. */
class Model {
  readonly map = new Map<number, string>();
  get sorted() {
    return [...this.map].sort(([a], [b]) => a - b);
  }
}

function agree(map: SortedMap<number, string>, model: Model, probes: readonly number[]): void {
  const sorted = model.sorted;
  assert.deepEqual([...map.entries()], sorted);
  assert.deepEqual([...map.entriesBackwards()], sorted.toReversed());
  assert.equal(map.size, sorted.length);
  assert.deepEqual(map.first(), sorted[0]);
  assert.deepEqual(map.last(), sorted.at(-1));
  for (const key of probes) {
    assert.equal(map.get(key), model.map.get(key));
    assert.deepEqual(
      map.atOrAfter(key),
      sorted.find(([other]) => other >= key),
    );
    assert.deepEqual(
      map.atOrBefore(key),
      sorted.findLast(([other]) => other <= key),
    );
    assert.deepEqual(
      [...map.entries(key)],
      sorted.filter(([other]) => other >= key),
    );
  }
}

describe('a sorted map', () => {
  it('does what a sorted array does', () => {
    const key = fc.integer({ min: 0, max: 60 });
    const step = fc.record({ put: fc.boolean(), key });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120, size: 'max' }), fc.array(key, { maxLength: 5 }), (steps, probes) => {
        const map = new SortedMap<number, string>(ascending);
        const model = new Model();
        for (const [position, next] of steps.entries()) {
          if (next.put) {
            map.set(next.key, `${position}`);
            model.map.set(next.key, `${position}`);
          } else {
            assert.equal(map.delete(next.key), model.map.delete(next.key));
          }
        }
        agree(map, model, probes);
      }),
    );
  });

  for (const [order, next] of [
    ['rising', (n: number) => n],
    ['falling', (n: number) => 5000 - n],
    ['scattered', (n: number) => (n * 2741) % 5003],
  ] as const) {
    it(`keeps thousands of keys that come in ${order} order, over many leaves`, () => {
      const map = new SortedMap<number, string>(ascending);
      const model = new Model();
      for (let n = 0; n < 5000; n++) {
        map.set(next(n), `${n}`);
        model.map.set(next(n), `${n}`);
      }
      agree(map, model, [-1, 0, 255, 256, 257, 2500, 5003]);
      for (let n = 0; n < 5000; n += 1) {
        if (n % 7 === 0) continue;
        assert.equal(map.delete(next(n)), model.map.delete(next(n)));
      }
      agree(map, model, [-1, 0, 255, 256, 257, 2500, 5003]);
    });
  }
});
