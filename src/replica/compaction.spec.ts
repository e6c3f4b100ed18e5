import assert from 'node:assert/strict';
import { logIndex } from '#raft/log/entry.js';
import { type CompactionView, compactionPoint } from '#replica/compaction.js';

const limits = { entriesKept: 100, entriesKeptForPeersMax: 1000, compactionStep: 10 };

function point(view: Partial<CompactionView>): number | undefined {
  const whole = { persisted: logIndex(5000), firstIndex: logIndex(1), pinned: undefined, activeMatches: [], ...view };
  return compactionPoint(whole, limits);
}

describe('compaction', () => {
  it('leaves entries behind the stored state', () => assert.equal(point({}), 4900));

  it('comes in steps', () => {
    assert.equal(point({ firstIndex: logIndex(4892) }), undefined);
    assert.equal(point({ firstIndex: logIndex(4891) }), 4900);
    assert.equal(point({ persisted: logIndex(100) }), undefined);
    assert.equal(point({ persisted: logIndex(0) }), undefined);
  });

  it('never passes a snapshot on its way', () => {
    assert.equal(point({ pinned: logIndex(20) }), 20);
    assert.equal(point({ pinned: logIndex(20), firstIndex: logIndex(21) }), undefined);
  });

  it('waits for peers that answer, but not for ever', () => {
    assert.equal(point({ activeMatches: [logIndex(4950), logIndex(4400)] }), 4400);
    assert.equal(point({ activeMatches: [logIndex(5000), logIndex(0)] }), 4000);
  });
});
