import assert from 'node:assert/strict';
import { backoffMs, between, jitteredBackoffMs } from '#time/backoff.js';

describe('a back-off', () => {
  const backoff = { baseMs: 500, capMs: 8_000 };

  it('doubles from its base to its cap', () => {
    const waits = [0, 1, 2, 3, 4, 5, 1_000].map((attempt) => backoffMs(backoff, attempt));
    assert.deepEqual(waits, [500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  });

  it('with jitter is any part of that', () => {
    assert.equal(
      jitteredBackoffMs(backoff, 2, () => 0),
      0,
    );
    assert.equal(
      jitteredBackoffMs(backoff, 2, () => 0.75),
      1_500,
    );
  });
});

it('a wait between two bounds has the first and not the second', () => {
  assert.equal(
    between(2, 6, () => 0),
    2,
  );
  assert.equal(
    between(2, 6, () => 0.5),
    4,
  );
});
