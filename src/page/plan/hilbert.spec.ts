import assert from 'node:assert/strict';
import { cellOf, numberAt, sideOf } from '#page/plan/hilbert.js';

describe('the Hilbert curve of the map', () => {
  for (const side of [1, 2, 8, 64]) {
    it(`gives each of ${side * side} numbers a cell of its own, next to the one before`, () => {
      const seen = new Set<number>();
      let [lastX, lastY] = [0, 0];
      for (let at = 0; at < side * side; at++) {
        const cell = cellOf(at, side);
        const [x, y] = [cell % side, Math.floor(cell / side)];
        if (at > 0) assert.equal(Math.abs(x - lastX) + Math.abs(y - lastY), 1, `${at}`);
        assert.equal(numberAt(x, y, side), at);
        seen.add(cell);
        [lastX, lastY] = [x, y];
      }
      assert.equal(seen.size, side * side);
    });
  }

  it('is right up to the largest map', () => {
    for (const at of [0, 1, 16_777_215, 12_345_678]) {
      const cell = cellOf(at, 4_096);
      assert.equal(numberAt(cell % 4_096, Math.floor(cell / 4_096), 4_096), at);
    }
  });

  it('has the least square for a count', () => {
    assert.deepEqual([0, 1, 2, 4, 5, 65_536, 65_537].map(sideOf), [1, 1, 2, 2, 4, 256, 512]);
  });
});
