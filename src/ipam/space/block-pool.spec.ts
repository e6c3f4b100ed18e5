import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type AgentId, parseAgentId } from '#ipam/identity.js';
import { BlockPool } from '#ipam/space/block-pool.js';
import type { BlockState } from '#ipam/space/usage.js';

const ids = ['a', 'b', 'c'].map(parseAgentId);
const quarantineMs = 10;

/** One block as a slow and obvious pool keeps it. */
type Cell = { holder?: AgentId; until?: number; reservedFor?: AgentId; excluded?: true };

/** What the pool does, done by looking at every block. */
class SlowPool {
  readonly cells = new Map<bigint, Cell>();
  first: bigint;
  end: bigint;

  constructor(first: bigint, end: bigint) {
    this.first = first;
    this.end = end;
    for (let block = 0n; block < 64n; block++) this.cells.set(block, {});
  }

  cell(block: bigint): Cell {
    return this.cells.get(block) ?? assert.fail(`block ${block}`);
  }

  *inside(): Generator<readonly [bigint, Cell]> {
    for (const [block, cell] of this.cells) if (block >= this.first && block < this.end) yield [block, cell];
  }

  state({ holder, until = 0, reservedFor, excluded }: Cell, time: number): BlockState {
    if (holder) return 'held';
    if (excluded) return 'excluded';
    if (until > time) return 'quarantined';
    return reservedFor ? 'reserved' : 'free';
  }

  choose(time: number): bigint | undefined {
    let best: readonly [number, bigint] | undefined;
    for (const [block, cell] of this.inside()) {
      if (this.state(cell, time) !== 'free') continue;
      const since = cell.until ?? Number.NEGATIVE_INFINITY;
      if (best === undefined || since < best[0]) best = [since, block];
    }
    return best?.[1];
  }

  chooseReserved(agentId: AgentId, time: number): bigint | undefined {
    for (const [block, cell] of this.inside()) {
      if (cell.reservedFor === agentId && this.state(cell, time) === 'reserved') return block;
    }
    return undefined;
  }
}

type Step = {
  readonly what: 'let' | 'free' | 'reserve' | 'unreserve' | 'exclude' | 'unexclude' | 'wait' | 'grow';
  readonly block: bigint;
  readonly length: bigint;
  readonly agentId: AgentId;
};

const step: fc.Arbitrary<Step> = fc.record({
  what: fc.constantFrom(
    'let',
    'let',
    'let',
    'free',
    'free',
    'reserve',
    'unreserve',
    'exclude',
    'unexclude',
    'wait',
    'grow',
  ),
  block: fc.bigInt({ min: 16n, max: 31n }),
  length: fc.bigInt({ min: 1n, max: 6n }),
  agentId: fc.constantFrom(...ids),
});

class Pair {
  readonly fast = new BlockPool(20n, 28n);
  readonly slow = new SlowPool(20n, 28n);
  readonly exclusions: (readonly [bigint, bigint])[] = [];
  time = 0;

  take({ what, block, length, agentId }: Step): void {
    const { fast, slow } = this;
    const cell = slow.cell(block);
    switch (what) {
      case 'wait':
        this.time += Number(length);
        return;
      case 'grow':
        slow.first -= slow.first > 16n ? 1n : 0n;
        slow.end += slow.end < 32n ? 1n : 0n;
        fast.grow(slow.first, slow.end);
        return;
      case 'let': {
        const chosen = fast.chooseReserved(agentId, this.time) ?? fast.choose(this.time);
        assert.equal(chosen, slow.chooseReserved(agentId, this.time) ?? slow.choose(this.time));
        if (chosen === undefined) return;
        fast.hold(chosen, agentId);
        slow.cells.set(chosen, { ...slow.cell(chosen), holder: agentId });
        return;
      }
      case 'free':
        if (cell.holder === undefined) return;
        fast.free(block, this.time + quarantineMs);
        delete cell.holder;
        cell.until = this.time + quarantineMs;
        return;
      case 'reserve':
        if (!fast.contains(block) || cell.reservedFor || cell.excluded) return;
        fast.reserve(block, agentId);
        cell.reservedFor = agentId;
        return;
      case 'unreserve':
        if (cell.reservedFor === undefined) return;
        fast.unreserve(block);
        delete cell.reservedFor;
        return;
      case 'exclude':
        this.#exclude(block, block + length);
        return;
      case 'unexclude': {
        const exclusion = this.exclusions.shift();
        if (exclusion === undefined) return;
        fast.unexclude(...exclusion);
        for (let at = exclusion[0]; at < exclusion[1]; at++) delete slow.cell(at).excluded;
      }
    }
  }

  #exclude(start: bigint, end: bigint): void {
    for (let at = start; at < end; at++) {
      const { reservedFor, excluded } = this.slow.cell(at);
      if (reservedFor || excluded) return;
    }
    this.fast.exclude(start, end);
    this.exclusions.push([start, end]);
    for (let at = start; at < end; at++) this.slow.cell(at).excluded = true;
  }

  /** Allocates everything that is left: the order in which it comes is the same, too. */
  drain(): void {
    this.time += quarantineMs;
    for (let left = 0; left <= 16; left++) {
      const step: Step = { what: 'let', block: 0n, length: 1n, agentId: ids[0] ?? assert.fail('no ids') };
      this.take(step);
      this.agree();
    }
    assert.equal(this.fast.choose(this.time), undefined);
  }

  agree(): void {
    const counts = { held: 0n, excluded: 0n, quarantined: 0n, reserved: 0n, free: 0n };
    for (const [block, cell] of this.slow.inside()) {
      const state = this.slow.state(cell, this.time);
      assert.equal(this.fast.state(block, this.time), state);
      assert.equal(this.fast.holder(block), cell.holder);
      counts[state] += 1n;
    }
    assert.deepEqual(this.fast.usage(this.time), { ...counts, total: this.slow.end - this.slow.first });
    assert.equal(this.fast.choose(this.time), this.slow.choose(this.time));
    const shown = new Map([...this.slow.inside()].map(([block]) => [block, 'free' as BlockState]));
    for (const { first, count, state } of this.fast.setAside(this.time, 100)) {
      for (let at = 0n; at < count; at++) {
        const block = this.slow.first + first + at;
        assert.equal(shown.get(block), 'free', `block ${block} is in one run`);
        shown.set(block, state);
      }
    }
    for (const [block, cell] of this.slow.inside()) {
      if (cell.holder === undefined) assert.equal(shown.get(block), this.slow.state(cell, this.time));
    }
  }
}

describe('a block pool', () => {
  it('allocates, frees, reserves, excludes and grows as one that looks at every block', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150, size: 'max' }), (steps) => {
        const pair = new Pair();
        for (const next of steps) {
          pair.take(next);
          pair.agree();
        }
        pair.drain();
      }),
      { numRuns: 100 },
    );
  });

  it('lists what is set aside in runs, the first ones up to a limit', () => {
    const pool = new BlockPool(0n, 100n);
    for (const block of [7n, 8n, 20n]) {
      pool.hold(block, parseAgentId('a'));
      pool.free(block, 5);
    }
    pool.reserve(9n, parseAgentId('b'));
    pool.exclude(30n, 40n);
    const runs = [
      { first: 30n, count: 10n, state: 'excluded' },
      { first: 7n, count: 2n, state: 'quarantined' },
      { first: 9n, count: 1n, state: 'reserved' },
      { first: 20n, count: 1n, state: 'quarantined' },
    ];
    assert.deepEqual(pool.setAside(4, 10), runs);
    assert.deepEqual(pool.setAside(4, 2), runs.slice(0, 2));
    assert.deepEqual(pool.setAside(5, 10), [runs[0], runs[2]]);
  });

  it('knows 2^62 blocks as easily as four', () => {
    const pool = new BlockPool(0n, 1n << 62n);
    pool.exclude(0n, (1n << 62n) - 2n);
    const last = (1n << 62n) - 1n;
    assert.equal(pool.choose(0), last - 1n);
    pool.hold(last - 1n, parseAgentId('a'));
    pool.hold(last, parseAgentId('b'));
    assert.equal(pool.choose(0), undefined);
    pool.free(last, 5);
    assert.deepEqual(
      [pool.choose(4), pool.choose(5), pool.usage(4).quarantined, pool.usage(4).excluded],
      [undefined, last, 1n, last - 1n],
    );
  });

  it('stops the node rather than put a block in two hands', () => {
    const pool = new BlockPool(0n, 4n);
    pool.hold(1n, parseAgentId('a'));
    assert.throws(() => pool.hold(1n, parseAgentId('b')), /never in two hands/);
    assert.throws(() => pool.hold(4n, parseAgentId('b')), /outside its pool/);
    assert.throws(() => pool.free(2n, 0), /freed but not held/);
    assert.throws(() => pool.grow(1n, 4n), /never shrinks/);
  });
});
