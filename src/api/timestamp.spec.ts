import assert from 'node:assert/strict';
import { timestampMs } from '#api/timestamp.js';

describe('a timestamp of the API', () => {
  it('is whole ms since 1970', () => {
    assert.equal(timestampMs({}), 0);
    assert.equal(timestampMs({ seconds: null, nanos: null }), 0);
    assert.equal(timestampMs({ seconds: 5, nanos: 250_000_000 }), 5_250);
    assert.equal(timestampMs({ seconds: 5, nanos: 999_999_999 }), 5_999);
  });
});
