import assert from 'node:assert/strict';
import { StoreFacts, storeFactsMax } from '#replica/members/store-facts.js';
import { type StoreClaim, type StoreFact, sessionNoncesMax } from '#replica/ports/store-claim.js';

/** Of a store that was started so often; `branch` names what it went through after start `from`. */
function claim(
  starts: number,
  { branch = '', from = 0, ...more }: Partial<StoreClaim> & { readonly branch?: string; readonly from?: number } = {},
): StoreClaim {
  const all = Array.from({ length: starts }, (_, at) => (at + 1 > from ? `n${at + 1}${branch}` : `n${at + 1}`));
  const nonces = all.reverse().slice(0, sessionNoncesMax);
  return { storeId: 's', session: { starts, nonces }, term: 5, lastIndex: 100, ...more };
}

describe('what is known of a store', () => {
  it('takes the first session of a store, and each later one', () => {
    const facts = new StoreFacts(new Map());
    for (const starts of [3, 3, 4, 7]) assert.equal(facts.meet(claim(starts)), undefined);
  });

  it('finds a store that counts fewer starts than before', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(4));
    assert.equal(facts.meet(claim(3)), 'it counts 3 starts, and had 4 before');
  });

  it('finds a store that was put back, however often it is started since', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(4));
    for (let starts = 4; starts < 4 + sessionNoncesMax; starts++) {
      const text = `it counts ${starts} starts, and start 4 was another one`;
      assert.equal(facts.meet(claim(starts, { branch: 'x', from: 3 })), text);
    }
    // The store keeps no more of its history than that.
    assert.equal(facts.meet(claim(4 + sessionNoncesMax, { branch: 'x', from: 3 })), undefined);
  });

  it('finds a second copy of a store, which counts the same start', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(4));
    const twin = claim(4, { branch: 'x', from: 3 });
    assert.equal(facts.meet(twin), 'it counts 4 starts, and start 4 was another one');
    assert.equal(facts.meet(claim(4)), undefined, 'the first goes on');
    assert.equal(facts.meet(claim(5)), undefined, 'and is started again');
  });

  it('finds a store that went back within the session that is known', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(4));
    facts.reachedTerm('s', 9);
    assert.equal(facts.meet(claim(5, { term: 8 })), 'it was opened in term 8, and had stored term 9 before');
    facts.acknowledged('s', 250);
    const short = claim(5, { term: 9, lastIndex: 249 });
    assert.equal(facts.meet(short), 'its log ended at 249, and it had acknowledged index 250 before');
    assert.equal(facts.meet(claim(5, { term: 9, lastIndex: 250 })), undefined);
  });

  it('forgets nothing of a store when a new session begins', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(1));
    facts.acknowledged('s', 90);
    facts.meet(claim(2));
    assert.match(facts.meet(claim(3, { lastIndex: 89 })) ?? '', /acknowledged index 90/);
  });

  it('says nothing of a store that does not count its starts', () => {
    const facts = new StoreFacts(new Map());
    facts.meet(claim(4));
    assert.equal(facts.meet(claim(0)), undefined);
  });

  it('goes on from what was stored, and hands on what changes', () => {
    let stored: ReadonlyMap<string, StoreFact> = new Map();
    const first = new StoreFacts(new Map(), (facts) => {
      stored = new Map(facts);
    });
    first.meet(claim(4));
    first.reachedTerm('s', 6);
    assert.deepEqual([...stored], [['s', { starts: 4, nonce: 'n4', term: 6, index: 0 }]]);
    assert.match(new StoreFacts(stored).meet(claim(4, { branch: 'x' })) ?? '', /start 4 was another one/);
  });

  it('reports no change where nothing is new', () => {
    let changes = 0;
    const facts = new StoreFacts(new Map(), () => {
      changes += 1;
    });
    facts.meet(claim(4));
    facts.meet(claim(4));
    facts.reachedTerm('s', 5);
    facts.acknowledged('s', 0);
    facts.acknowledged('unknown', 9);
    assert.equal(changes, 1);
  });

  it(`remembers ${storeFactsMax} stores, those that changed last`, () => {
    let stored: ReadonlyMap<string, StoreFact> = new Map();
    const facts = new StoreFacts(new Map(), (all) => {
      stored = all;
    });
    for (let at = 0; at < storeFactsMax + 2; at++) facts.meet(claim(1, { storeId: `s${at}` }));
    assert.deepEqual([stored.size, stored.has('s1'), stored.has('s2')], [storeFactsMax, false, true]);
  });
});
