import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatDuration, formatTime, parseDuration } from '#text/duration.js';

describe('lengths of time', () => {
  it('reads one or more units, longest first', () => {
    assert.equal(parseDuration('24h'), 86_400_000);
    assert.equal(parseDuration('1h30m'), 5_400_000);
    assert.equal(parseDuration('2d4h'), 187_200_000);
    assert.equal(parseDuration('1s500ms'), 1_500);
    assert.equal(parseDuration('0s'), 0);
  });

  for (const text of ['', '15', 'm', '-1m', '1.5h', '30m1h', '1h1h', '15 m', '1w', '9999999999d']) {
    it(`does not read ${JSON.stringify(text)}`, () => assert.equal(parseDuration(text), undefined));
  }

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 10 ** 13 }), (ms) => {
        assert.equal(parseDuration(formatDuration(ms)), ms);
      }),
    );
    assert.equal(formatDuration(93_784_005, 2), '1d2h');
  });

  for (const [ms, text] of [
    [-5, '0ms'],
    [0.4, '0ms'],
    [12.6, '13ms'],
    [999.4, '999ms'],
    [999.9, '1s'],
    [1_000, '1s'],
    [1_149, '1.1s'],
    [9_797.986542999977, '9.8s'],
    [9_960, '10s'],
    [44_600, '45s'],
    [897_000, '14m57s'],
    [93_784_005, '1d2h'],
  ] as const) {
    it(`is written as ${text} when ${ms} ms were measured`, () => assert.equal(formatTime(ms), text));
  }
});
