import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { DiskWatch } from '#replica/fitness/disk-watch.js';
import type { ReplicaEvent } from '#replica/replica-event.js';

const electionMs = 1000;
const [b, c] = [memberId(2), memberId(3)];

describe('the watch over a disk', () => {
  it('asks one successor after the other while the disk hangs, and begins with the best again the next time', () => {
    const events: ReplicaEvent[] = [];
    const watch = new DiskWatch(electionMs, (event) => events.push(event));
    assert.equal(watch.check(1000, 0, [b, c]), undefined, 'an election timeout is no hang yet');
    assert.ok(!watch.hangs);
    assert.equal(watch.check(1100, 0, [b, c]), b);
    assert.equal(watch.check(1200, 0, [b, c]), undefined, 'it may yet take over');
    assert.equal(watch.check(2100, 0, [b, c]), c);
    assert.ok(watch.hangs);
    assert.equal(watch.check(2200, undefined, [b, c]), undefined);
    assert.ok(!watch.hangs);
    assert.equal(watch.check(3300, 2250, [b, c]), b);
    assert.equal(watch.check(3400, undefined, [b, c]), undefined);
    assert.equal(watch.check(4500, 3450, [b, c]), b, 'whom it asked in the hang before counts no more');
    assert.deepEqual(
      events.map((event) => (event.kind === 'disk-hangs' ? event.handsOverTo : event.kind)),
      [b, c, 'disk-answers', b, 'disk-answers', b],
    );
  });

  it('reports a hang once where no other member can take over', () => {
    const events: ReplicaEvent[] = [];
    const watch = new DiskWatch(electionMs, (event) => events.push(event));
    for (const now of [1100, 1200, 2300]) assert.equal(watch.check(now, 0, []), undefined);
    assert.deepEqual(events, [{ kind: 'disk-hangs', forMs: 1100, handsOverTo: undefined }]);
  });
});
