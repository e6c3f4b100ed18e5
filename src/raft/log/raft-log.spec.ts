import assert from 'node:assert/strict';
import fc from 'fast-check';
import { InvariantError } from '#errors/invariant.js';
import { type Entry, logIndex, term } from '#raft/log/entry.js';
import { entriesBytes, entryBytes } from '#raft/log/entry-size.js';
import { MemoryLog } from '#raft/log/memory-log.js';
import { RaftLog } from '#raft/log/raft-log.js';
import { confState, entries } from '#raft/testing/core-member.js';

const unlimited = Number.POSITIVE_INFINITY;

type Setup = {
  readonly base?: readonly [index: number, term: number];
  readonly stored?: readonly number[];
  readonly unstable?: readonly number[];
  readonly commit?: number;
  readonly applied?: number;
  readonly applyingBytesMax?: number;
};

/** A log of stored and unstable terms, one entry each, after a base. */
function logOf({ base = [0, 0], stored = [], unstable = [], commit = 0, applied = 0, ...rest }: Setup): RaftLog {
  const reader = new MemoryLog({ index: logIndex(base[0]), term: term(base[1]), confState: confState([1]) });
  reader.append(entries(stored, base[0] + 1));
  const start = {
    commit: logIndex(0),
    applied: logIndex(applied),
    applyingBytesMax: rest.applyingBytesMax ?? unlimited,
  };
  const log = new RaftLog(reader, { ...start, commit: logIndex(Math.min(commit, base[0] + stored.length)) });
  log.append(entries(unstable, base[0] + stored.length + 1));
  log.commitTo(logIndex(Math.max(commit, base[0])));
  return log;
}

function indexes(list: readonly Entry[]): readonly number[] {
  return list.map(({ index }) => index);
}

describe('reading a log across its stored and unstable part', () => {
  it('gives any range, cut off by size, with at least one entry', () => {
    fc.assert(
      fc.property(
        fc.nat(6),
        fc.nat(6),
        fc.nat(12),
        fc.nat(12),
        fc.oneof(fc.nat(80), fc.constant(unlimited)),
        (stored, unstable, from, length, bytesMax) => {
          const log = logOf({ stored: Array(stored).fill(1), unstable: Array(unstable).fill(2) });
          const low = 1 + (from % (stored + unstable + 1));
          const high = Math.min(low + length, stored + unstable + 1);
          const read = log.slice(logIndex(low), logIndex(high), bytesMax);
          assert.deepEqual(
            indexes(read),
            Array.from({ length: read.length }, (_, at) => low + at),
          );
          const whole = high - low;
          if (read.length < whole) {
            const next = log.slice(logIndex(low + read.length), logIndex(low + read.length + 1), unlimited);
            assert.ok(entriesBytes([...read, ...next]) > bytesMax, 'one more would have fitted');
          }
          assert.ok(read.length <= 1 || entriesBytes(read) <= bytesMax, 'too much was given');
          assert.ok(whole === 0 || read.length > 0, 'nothing was given');
        },
      ),
    );
  });

  it('knows terms from the base to the end', () => {
    const log = logOf({ base: [4, 2], stored: [2, 3], unstable: [5] });
    const terms = [3, 4, 5, 6, 7, 8].map((index) => log.term(logIndex(index)));
    assert.deepEqual(terms, [undefined, 2, 2, 3, 5, undefined]);
  });

  it('sees unstable entries in place of stored ones that they replace', () => {
    const log = logOf({ stored: [1, 1, 1] });
    log.append(entries([2], 2));
    assert.equal(log.lastIndex, 2);
    assert.equal(log.term(logIndex(2)), 2);
    assert.equal(log.term(logIndex(3)), undefined);
  });

  it('fails aloud outside of it', () => {
    const log = logOf({ base: [4, 2], stored: [2] });
    assert.throws(() => log.slice(logIndex(4), logIndex(5), unlimited), InvariantError);
    assert.throws(() => log.slice(logIndex(5), logIndex(7), unlimited), InvariantError);
  });
});

describe('taking in entries after one that matches', () => {
  it('keeps what is there when it matches, and even what lies beyond', () => {
    const log = logOf({ stored: [1, 1, 1, 1] });
    log.appendAfter({ index: logIndex(1), term: term(1) }, entries([1], 2));
    assert.equal(log.lastIndex, 4);
    assert.equal(log.unstable.hasEntries, false);
  });

  it('replaces from the first conflict on', () => {
    const log = logOf({ stored: [1, 1, 1, 1] });
    log.appendAfter({ index: logIndex(1), term: term(1) }, entries([1, 2], 2));
    assert.equal(log.lastIndex, 3);
    assert.equal(log.unstable.offset, 3);
  });

  it('never replaces a committed one', () => {
    const log = logOf({ stored: [1, 1], commit: 2 });
    const conflict = { name: 'InvariantError', code: 'committed-conflict' };
    assert.throws(() => log.appendAfter({ index: logIndex(1), term: term(1) }, entries([2], 2)), conflict);
  });
});

describe('the last index of at most a term', () => {
  it('is what a search one by one from the end would find', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 12 });
    fc.assert(
      fc.property(steps, fc.nat(3), fc.nat(14), fc.nat(12), (rises, base, from, limit) => {
        let last = 1;
        const terms = rises.map((rise) => {
          last += rise;
          return last;
        });
        const log = logOf({ base: base === 0 ? [0, 0] : [base, 1], stored: terms });
        let index = from;
        for (; index > 0; index -= 1) {
          const here = log.term(logIndex(index));
          if (here === undefined || here <= limit) {
            break;
          }
        }
        const found = log.lastIndexAtMostTerm(logIndex(from), term(limit));
        assert.deepEqual(found, { index, term: log.term(logIndex(index)) });
      }),
    );
  });
});

describe('committing', () => {
  it('never goes back, and never beyond the end', () => {
    const log = logOf({ stored: [1, 1], commit: 2 });
    log.commitTo(logIndex(1));
    assert.equal(log.commit, 2);
    assert.throws(() => log.commitTo(logIndex(3)), { name: 'InvariantError', code: 'amnesia' });
  });
});

describe('handing out committed entries', () => {
  it('leaves unstable ones out unless allowed', () => {
    const log = logOf({ stored: [1], unstable: [1, 1], commit: 2 });
    assert.deepEqual(indexes(log.nextCommitted(false)), [1]);
    assert.deepEqual(indexes(log.nextCommitted(true)), [1, 2]);
  });

  it('happens once', () => {
    const log = logOf({ stored: [1, 1, 1], commit: 2 });
    log.acceptApplying(log.nextCommitted(true), true);
    assert.equal(log.hasNextCommitted(true), false);
    log.commitTo(logIndex(3));
    assert.deepEqual(indexes(log.nextCommitted(true)), [3]);
  });

  it('stops while a received snapshot is not stable', () => {
    const log = logOf({ stored: [1, 1, 1], commit: 2 });
    log.restore({ index: logIndex(9), term: term(2), confState: confState([1]) });
    assert.equal(log.hasNextCommitted(true), false);
    assert.equal(log.commit, 9);
  });

  it('stays within the byte limit, counted until acknowledged, but gives at least one', () => {
    const size = entryBytes(entries([1])[0] ?? assert.fail());
    const log = logOf({ stored: [1, 1, 1, 1, 1], commit: 5, applyingBytesMax: 2 * size });
    const take = (): readonly number[] => {
      const next = log.nextCommitted(true);
      log.acceptApplying(next, true);
      return indexes(next);
    };
    assert.deepEqual(take(), [1, 2]);
    assert.deepEqual(take(), []);
    log.appliedTo(logIndex(1), size);
    assert.deepEqual(take(), [3], 'one entry is outstanding, so one more fits');
    log.appliedTo(logIndex(3), 2 * size);
    assert.deepEqual(take(), [4, 5]);
  });

  it('stops at the limit exactly, also for what is committed later', () => {
    const size = entryBytes(entries([1])[0] ?? assert.fail());
    const log = logOf({ stored: [1, 1], commit: 1, applyingBytesMax: size });
    log.acceptApplying(log.nextCommitted(true), true);
    log.commitTo(logIndex(2));
    assert.equal(log.hasNextCommitted(true), false);
    log.appliedTo(logIndex(1), size);
    assert.deepEqual(indexes(log.nextCommitted(true)), [2]);
  });

  it('stops after a list that was cut short, even below the limit, until an acknowledgement', () => {
    const size = entryBytes(entries([1])[0] ?? assert.fail());
    const log = logOf({ stored: [1, 1], commit: 2, applyingBytesMax: size + 1 });
    log.acceptApplying(log.nextCommitted(true), true);
    assert.equal(log.hasNextCommitted(true), false, 'nothing fits the byte that is left');
    log.appliedTo(logIndex(1), size);
    assert.deepEqual(indexes(log.nextCommitted(true)), [2]);
  });

  it('gives an entry larger than the limit alone', () => {
    const log = logOf({ stored: [1, 1], commit: 2, applyingBytesMax: 1 });
    assert.deepEqual(indexes(log.nextCommitted(true)), [1]);
  });
});

describe('an acknowledgement of applied entries', () => {
  it('that a snapshot has overtaken changes nothing', () => {
    const log = logOf({ stored: [1, 1, 1], commit: 2 });
    log.acceptApplying(log.nextCommitted(true), true);
    log.restore({ index: logIndex(9), term: term(2), confState: confState([1]) });
    log.unstable.stableSnapshotTo(logIndex(9));
    log.appliedTo(logIndex(9), 0);
    log.appliedTo(logIndex(2), 10);
    assert.equal(log.applied, 9);
  });

  it('of what is not committed fails aloud', () => {
    assert.throws(() => logOf({ stored: [1, 1], commit: 1 }).appliedTo(logIndex(2), 0), InvariantError);
  });
});

describe('opening a log', () => {
  it('counts what is compacted as committed and applied', () => {
    const log = logOf({ base: [5, 1], stored: [1] });
    assert.deepEqual([log.commit, log.applied], [5, 5]);
  });

  it('fails with amnesia if committed or applied entries are missing', () => {
    const reader = new MemoryLog();
    reader.append(entries([1, 1]));
    const open = (commit: number, applied: number) =>
      new RaftLog(reader, { commit: logIndex(commit), applied: logIndex(applied), applyingBytesMax: unlimited });
    assert.throws(() => open(3, 0), { name: 'InvariantError', code: 'amnesia' });
    assert.throws(() => open(1, 2), { name: 'InvariantError', code: 'amnesia' });
  });
});
