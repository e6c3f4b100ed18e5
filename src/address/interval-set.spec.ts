import assert from 'node:assert/strict';
import fc from 'fast-check';
import { IntervalSet } from '#address/interval-set.js';

/** Ranges of the same set, made slowly from its members. */
function rangesOf(members: ReadonlySet<bigint>): { start: bigint; end: bigint }[] {
  const ranges: { start: bigint; end: bigint }[] = [];
  for (const value of [...members].sort((a, b) => (a < b ? -1 : 1))) {
    const last = ranges.at(-1);
    if (last?.end === value) last.end = value + 1n;
    else ranges.push({ start: value, end: value + 1n });
  }
  return ranges;
}

describe('an interval set', () => {
  const value = fc.bigInt({ min: 0n, max: 40n });
  const step = fc.record({ add: fc.boolean(), start: value, length: fc.bigInt({ min: 0n, max: 9n }) });

  it('does what a plain set of numbers does, in as few ranges as there can be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
        const set = new IntervalSet();
        const model = new Set<bigint>();
        for (const { add, start, length } of steps) {
          if (add) set.add(start, start + length);
          else set.remove(start, start + length);
          for (let n = start; n < start + length; n++) {
            if (add) model.add(n);
            else model.delete(n);
          }
          assert.deepEqual([...set], rangesOf(model));
          assert.equal(set.size, BigInt(model.size));
          assert.equal(set.rangeCount, rangesOf(model).length);
        }
        for (let n = 0n; n < 52n; n++) {
          assert.equal(set.has(n), model.has(n));
          let gap = n;
          while (model.has(gap)) gap += 1n;
          assert.equal(set.firstGap(n), gap);
          const part = new Set([...model].filter((value) => value >= n && value < n + 7n));
          assert.deepEqual([...set.within(n, n + 7n)], rangesOf(part));
          assert.equal(set.intersects(n, n + 3n), model.has(n) || model.has(n + 1n) || model.has(n + 2n));
        }
      }),
      { numRuns: 100 },
    );
  });

  it('holds an IPv6 overlay as one range', () => {
    const set = new IntervalSet();
    set.add(0n, 1n << 118n);
    set.remove(5n);
    assert.equal(set.rangeCount, 2);
    assert.equal(set.size, (1n << 118n) - 1n);
    assert.equal(set.firstGap(0n), 5n);
    assert.equal(set.firstGap(6n), 1n << 118n);
  });

  it('takes an empty range for nothing', () => {
    const set = new IntervalSet();
    set.add(3n, 3n);
    set.add(9n, 3n);
    assert.equal(set.size, 0n);
    assert.ok(!set.intersects(3n, 3n));
  });
});
