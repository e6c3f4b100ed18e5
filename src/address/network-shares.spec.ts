import assert from 'node:assert/strict';
import fc from 'fast-check';
import { NetworkShares } from '#address/network-shares.js';

describe('places shared out by network', () => {
  it('are for any network while there are some', () => {
    const shares = new NetworkShares<number>({ max: 3, lead: 2, loses: 'newest' });
    for (const holder of [1, 2, 3]) assert.deepEqual(shares.enter(holder, 'a'), { kind: 'taken' });
    assert.deepEqual([shares.size, shares.heldBy('a'), shares.heldBy('b')], [3, 3, 0]);
    assert.deepEqual(shares.enter(4, 'a'), { kind: 'full', held: 3 });
    assert.equal(shares.leave(2), true);
    assert.equal(shares.leave(2), false);
    assert.deepEqual(shares.enter(4, 'a'), { kind: 'taken' });
  });

  it('go from the network that holds most to one that holds fewer, its oldest or its newest', () => {
    for (const [loses, first] of [
      ['oldest', 2],
      ['newest', 4],
    ] as const) {
      const shares = new NetworkShares<number>({ max: 4, lead: 2, loses });
      shares.enter(1, 'few');
      for (const holder of [2, 3, 4]) shares.enter(holder, 'most');
      assert.deepEqual(shares.enter(5, 'new'), {
        kind: 'taken',
        instead: { holder: first, network: 'most', held: 3 },
      });
      assert.equal(shares.has(first), false);
      assert.equal(shares.leave(first), false, 'it has left');
      assert.deepEqual(shares.enter(6, 'few'), { kind: 'full', held: 1 }, 'none holds two more');
    }
  });

  it('go from one that holds a single place where a lead of 1 is enough, the oldest first', () => {
    const shares = (lead: 1 | 2) => {
      const made = new NetworkShares<string>({ max: 2, lead, loses: 'oldest' });
      for (const network of ['a', 'b']) made.enter(network, network);
      return made;
    };
    assert.deepEqual(shares(1).enter('c', 'c'), { kind: 'taken', instead: { holder: 'a', network: 'a', held: 1 } });
    assert.deepEqual(shares(2).enter('c', 'c'), { kind: 'full', held: 0 });
  });

  it('are never more than there are, and come out even among networks that ask without end', () => {
    const asked = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean()), { maxLength: 200 });
    fc.assert(
      fc.property(asked, fc.constantFrom<1 | 2>(1, 2), (steps, lead) => {
        const shares = new NetworkShares<number>({ max: 6, lead, loses: 'newest' });
        const inside = new Set<number>();
        for (const [at, [network, leaves]] of steps.entries()) {
          const [oldest] = inside;
          if (leaves && oldest !== undefined) {
            assert.ok(shares.leave(oldest));
            inside.delete(oldest);
          }
          const entered = shares.enter(at, network);
          if (entered.kind === 'taken') inside.add(at);
          if (entered.kind === 'taken' && entered.instead !== undefined) inside.delete(entered.instead.holder);
          assert.equal(shares.size, inside.size);
          assert.ok(inside.size <= 6);
          for (const each of inside) assert.ok(shares.has(each));
        }
        // One network took all places; each of the others gets its part back.
        for (let at = 0; at < 60; at++) shares.enter(10_000 + at, ['a', 'b', 'c'][at % 3] ?? '');
        const held = ['a', 'b', 'c'].map((network) => shares.heldBy(network));
        assert.ok(Math.max(...held) - Math.min(...held) < lead + 1, held.join());
      }),
    );
  });
});
