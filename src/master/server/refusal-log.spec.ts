import assert from 'node:assert/strict';
import { RefusalLog } from '#master/server/refusal-log.js';

describe('the log of refusals', () => {
  it('has one line for each kind in 10 s, and counts those that it leaves out', () => {
    const clock = { time: 0, now: () => clock.time };
    const lines: object[] = [];
    const log = new RefusalLog(clock, { warn: (fields, message) => lines.push({ ...fields, message }) });
    for (let n = 0; n < 5; n++) log.note('call 10.0.0.1', { from: '10.0.0.1:1' }, 'refused');
    log.note('call 10.0.0.2', { from: '10.0.0.2:1' }, 'refused');
    assert.deepEqual(lines, [
      { audit: true, from: '10.0.0.1:1', message: 'refused' },
      { audit: true, from: '10.0.0.2:1', message: 'refused' },
    ]);
    clock.time = 9_999;
    log.note('call 10.0.0.1', { from: '10.0.0.1:1' }, 'refused');
    assert.equal(lines.length, 2);
    clock.time = 10_000;
    log.note('call 10.0.0.1', { from: '10.0.0.1:1' }, 'refused');
    assert.deepEqual(lines[2], { audit: true, from: '10.0.0.1:1', omitted: 5, message: 'refused' });
    clock.time = 20_000;
    log.note('call 10.0.0.1', { from: '10.0.0.1:1' }, 'refused');
    assert.deepEqual(lines[3], { audit: true, from: '10.0.0.1:1', message: 'refused' });
  });

  it('row 81: has a bounded number of lines in 10 s, whatever number of callers there is', () => {
    const clock = { time: 0, now: () => clock.time };
    const lines: object[] = [];
    const log = new RefusalLog(clock, { warn: (fields, message) => lines.push({ ...fields, message }) });
    const flood = (of: string): void => {
      for (let n = 0; n < 5_000; n++) log.note(`${of} ${n}`, {}, 'refused');
    };
    flood('first');
    assert.equal(lines.length, 1_001);
    const rest = /^refusals of more than 1000 callers and kinds/;
    const shown = (at: number) => JSON.parse(JSON.stringify(lines.at(at)));
    assert.deepEqual([shown(-1).omitted, rest.test(shown(-1).message)], [1, true]);
    // One of those that have a line is counted on.
    log.note('first 7', {}, 'refused');
    clock.time = 10_000;
    log.note('first 7', {}, 'refused');
    assert.deepEqual(lines.at(-1), { audit: true, omitted: 1, message: 'refused' });
    flood('second');
    assert.equal(lines.length, 1_002 + 999 + 1);
    assert.equal(shown(-1).omitted, 4_000);
  });
});
