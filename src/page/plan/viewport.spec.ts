import assert from 'node:assert/strict';
import { fitted, panned, pointAt, zoomed } from '#page/plan/viewport.js';

const box = [800, 400] as const;

describe('the part of the map that is seen', () => {
  it('is all of it at first', () => {
    assert.deepEqual(fitted(16, box), { x: 8, y: 8, scale: 25 });
  });

  it('keeps what is under the pointer there when it is zoomed', () => {
    const begin = zoomed(fitted(256, box), 40, [400, 200], box, 256);
    const point = [300, 90] as const;
    const before = pointAt(begin, point, box);
    const after = pointAt(zoomed(begin, 1.5, point, box, 256), point, box);
    assert.ok(Math.abs(before[0] - after[0]) < 1e-9 && Math.abs(before[1] - after[1]) < 1e-9);
  });

  it('goes neither beyond the edges nor beyond the sizes of a cell', () => {
    const whole = fitted(256, box);
    assert.deepEqual(zoomed(whole, 0.1, [0, 0], box, 256), whole);
    assert.equal(zoomed(whole, 1e6, [400, 200], box, 256).scale, 160);
    const near = zoomed(whole, 20, [400, 200], box, 256);
    const corner = panned(near, [1e6, 1e6], box, 256);
    assert.deepEqual(pointAt(corner, [0, 0], box), [0, 0]);
    assert.deepEqual(pointAt(panned(near, [-1e6, -1e6], box, 256), box, box), [256, 256]);
  });
});
