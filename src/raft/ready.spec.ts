import assert from 'node:assert/strict';
import { InvariantError } from '#errors/invariant.js';
import { RaftError } from '#raft/errors.js';
import { appendThread, applyThread, logIndex, memberId, noIndex, noTerm, term } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import { Raft } from '#raft/raft.js';
import {
  append,
  bytes,
  CoreMember,
  confState,
  defaultConfig,
  entries,
  heartbeat,
  type Start,
  snapshotMessage,
  voteRequest,
} from '#raft/testing/core-member.js';

const fromTwo = { from: 2, to: 1, term: 1 };

function asyncFollower(start: Start = {}): CoreMember {
  return new CoreMember(1, { asyncStorageWrites: true, ...start });
}

describe('a Ready', () => {
  it('is not pending on a fresh member, nor after everything is done', () => {
    const member = new CoreMember(1);
    assert.equal(member.raft.hasReady(), false);
    member.receive(append(fromTwo, { terms: [1], commit: 1 }));
    assert.equal(member.raft.hasReady(), false);
  });

  it('asks for an fsync for entries, a term or a vote, and not for a commit index alone', () => {
    const member = new CoreMember(1);
    member.raft.step(voteRequest('vote', fromTwo));
    assert.equal(member.takeReady().mustSync, true);
    member.raft.step(append(fromTwo, { terms: [1] }));
    assert.equal(member.takeReady().mustSync, true);
    member.raft.step(heartbeat(fromTwo, 1));
    const ready = member.takeReady();
    assert.deepEqual([ready.mustSync, ready.hardState?.commit], [false, 1]);
  });

  it('holds in sync mode what is committed at once, after what is to be stored', () => {
    const member = new CoreMember(1);
    member.raft.step(append(fromTwo, { terms: [1], commit: 1 }));
    const ready = member.takeReady();
    assert.deepEqual([ready.entries.length, ready.committedEntries.length], [1, 1]);
  });

  it('must be advanced before the next one in sync mode', () => {
    const { raft } = new CoreMember(1);
    raft.ready();
    assert.throws(() => raft.ready(), InvariantError);
    raft.advance();
    assert.throws(() => raft.advance(), InvariantError);
  });
});

describe('answers that promise something', () => {
  it('leave only after the append that makes it true', () => {
    const member = asyncFollower();
    member.raft.step(voteRequest('vote', { from: 2, to: 1, term: 1 }));
    member.raft.step(append({ from: 2, to: 1, term: 1 }, { terms: [1] }));
    member.work();
    assert.deepEqual(member.take(), []);
    const [work] = member.appendQueue;
    assert.deepEqual([work?.hardState?.vote, work?.entries.length], [2, 1]);
    member.persist();
    assert.deepEqual(
      member.take().map(({ kind }) => kind),
      ['vote-response', 'append-response'],
    );
  });

  it('wait for earlier writes even when they need none of their own', () => {
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1] }));
    member.work();
    member.raft.step(append(fromTwo, { terms: [1] }));
    member.work();
    assert.deepEqual(member.take(), []);
    assert.equal(member.appendQueue.length, 2);
  });

  it('leave heartbeats and their answers free to go at once; requests for votes go with the write of their term', () => {
    const member = asyncFollower();
    member.raft.step(heartbeat(fromTwo));
    member.raft.campaign();
    member.work();
    const taken = () => member.take().map(({ kind }) => kind);
    assert.deepEqual(taken(), ['heartbeat-response']);
    while (member.appendQueue.length > 0) member.persist();
    assert.deepEqual(taken(), ['vote', 'vote']);
    assert.equal(member.log.initialState().hardState?.term, member.status.term);
  });
});

describe('asynchronous storage', () => {
  it('applies only what is stable', () => {
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1, 1], commit: 2 }));
    member.work();
    assert.equal(member.applyQueue.length, 0);
    member.persist();
    member.work();
    assert.deepEqual(
      member.applyQueue.map(({ entries: list }) => list.length),
      [2],
    );
  });

  it('does not take an acknowledgement from before an overwrite for one of what came after', () => {
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1, 1] }));
    member.work();
    const [first] = member.appendQueue;
    // Leader 3 of term 2 replaces entry 2, leader 2 of term 3 puts back an entry 2 of term 1 … 1 2 → 3.
    member.raft.step(append({ from: 3, to: 1, term: 2 }, { after: [1, 1], terms: [2] }));
    member.work();
    const acknowledged = first?.responses.find(({ kind }) => kind === 'storage-append-response');
    assert.ok(acknowledged);
    member.raft.step(acknowledged);
    member.raft.step(heartbeat({ from: 3, to: 1, term: 2 }, 2));
    member.work();
    assert.equal(member.applyQueue.length, 0, 'entry 2 of term 2 is not stable');
    member.run();
    assert.equal(member.applied.at(-1)?.term, 2);
  });

  it('does not take an old acknowledgement for one of the same index and term, written again', () => {
    // Entry 2 is of term 1 twice, with another one between: only the term of the acknowledgement tells.
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1, 1] }));
    member.work();
    const acknowledged = member.appendQueue[0]?.responses.find(({ kind }) => kind === 'storage-append-response');
    assert.ok(acknowledged);
    member.raft.step(append({ from: 3, to: 1, term: 2 }, { after: [1, 1], terms: [2] }));
    member.work();
    member.raft.step(append({ from: 2, to: 1, term: 3 }, { after: [1, 1], terms: [1, 3], commit: 2 }));
    member.raft.step(acknowledged);
    member.work();
    assert.equal(member.applyQueue.length, 0, 'storage may hold entry 2 of term 2 just now');
    member.run();
    assert.equal(member.applied.length, 2);
  });

  it('takes the snapshot part of an acknowledgement of an earlier term', () => {
    const member = asyncFollower();
    member.raft.step(snapshotMessage(fromTwo, [9, 1], confState([1, 2, 3])));
    member.work();
    member.raft.step(heartbeat({ from: 3, to: 1, term: 2 }));
    member.persist();
    assert.equal(member.status.applied, 9);
  });

  it('acknowledges entries in an acknowledgement of a later append', () => {
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1] }));
    member.work();
    const first = member.appendQueue.shift();
    member.log.append(first?.entries ?? []);
    member.raft.step(append(fromTwo, { after: [1, 1], terms: [1], commit: 1 }));
    member.work();
    member.persist();
    member.work();
    assert.equal(member.applyQueue[0]?.entries.length, 1);
  });

  it('acknowledges entries also with a later write that has none, in case entries were replaced meanwhile', () => {
    const member = asyncFollower();
    member.raft.step(append(fromTwo, { terms: [1] }));
    member.work();
    member.raft.step(heartbeat(fromTwo, 1));
    member.work();
    const [, second] = member.appendQueue;
    assert.deepEqual(
      second?.responses.map(({ kind }) => kind),
      ['storage-append-response'],
    );
  });

  it('hands out committed entries within their limit, until they are applied', () => {
    const member = asyncFollower({
      maxCommittedBytesPerReady: 1,
      entries: entries([1, 1, 1]),
      hardState: { term: 1, commit: 3 },
    });
    member.work();
    assert.equal(member.applyQueue.length, 1);
    assert.equal(member.applyQueue[0]?.entries.length, 1);
    member.apply();
    member.work();
    assert.equal(member.applyQueue[0]?.entries[0]?.index, 2);
  });

  it('prints no message to itself among those for the network', () => {
    const member = asyncFollower({ confState: confState([1]) });
    member.raft.campaign();
    const ready = member.raft.ready();
    assert.deepEqual(
      ready.messages.map(({ to }) => to),
      [appendThread],
    );
  });

  it('addresses its threads, and gives them back their messages', () => {
    const member = asyncFollower({ confState: confState([1]) });
    member.raft.campaign();
    member.run();
    member.raft.propose([bytes('x')]);
    member.work();
    member.persist();
    member.work();
    const [work] = member.applyQueue;
    assert.deepEqual([work?.to, work?.responses[0]?.from, work?.responses[0]?.to], [applyThread, applyThread, 1]);
  });
});

describe('a restart', () => {
  it('brings back term, vote, commit, applied and configuration, and no leader', () => {
    const member = new CoreMember(1);
    member.receive(voteRequest('vote', { from: 3, to: 1, term: 2 }));
    member.receive(append({ from: 3, to: 1, term: 2 }, { terms: [1, 2], commit: 1 }));
    member.restart();
    const { term: now, vote, commit, applied, leader, role, lastIndex } = member.status;
    assert.deepEqual([now, vote, commit, applied, leader, role, lastIndex], [2, 3, 1, 1, 0, 'follower', 2]);
    assert.equal(member.raft.hasReady(), false);
  });

  it('applies what was committed and not applied', () => {
    const member = new CoreMember(1, { entries: entries([1, 1, 1]), hardState: { term: 1, commit: 2 } });
    member.run();
    assert.deepEqual(
      member.applied.map(({ index }) => index),
      [1, 2],
    );
  });

  it('without entries that were committed fails', () => {
    const amnesia = { name: 'InvariantError', code: 'amnesia' };
    assert.throws(() => new CoreMember(1, { entries: entries([1]), hardState: { term: 1, commit: 2 } }), amnesia);
  });
});

describe('a message that should not come', () => {
  it('is refused, and leaves no trace', () => {
    const member = new CoreMember(1);
    const before = member.status;
    const self = { from: memberId(1), to: memberId(1), term: noTerm };
    const refuse = (message: Message, code: string) => {
      assert.throws(() => member.raft.step(message), { name: 'RaftError', code });
      assert.deepEqual(member.status, before);
      assert.equal(member.raft.hasReady(), false);
    };
    refuse({ ...self, kind: 'hup' }, 'local-message');
    refuse({ ...self, kind: 'beat' }, 'local-message');
    refuse({ ...self, kind: 'check-quorum' }, 'local-message');
    refuse({ ...self, kind: 'snapshot-status', reject: true }, 'local-message');
    refuse({ ...self, kind: 'storage-apply-response', entries: [] }, 'local-message');
    const stranger = { from: memberId(9), to: memberId(1), term: term(7) };
    refuse({ ...stranger, kind: 'vote-response', reject: false }, 'peer-not-found');
    refuse({ ...stranger, kind: 'heartbeat-response', context: 0 }, 'peer-not-found');
    refuse({ ...stranger, kind: 'read-index-response', request: 1, index: noIndex }, 'peer-not-found');
  });

  it('because its entries have a gap is refused before it raises the term', () => {
    const member = new CoreMember(1);
    const route = { from: memberId(2), to: memberId(1), term: term(9) };
    const base = { ...route, kind: 'append', index: logIndex(4), logTerm: term(1), commit: noIndex } as const;
    for (const list of [entries([1], 6), entries([1], 4), [...entries([1], 5), ...entries([1], 7)]]) {
      assert.throws(() => member.raft.step({ ...base, entries: list }), {
        name: 'RaftError',
        code: 'malformed-message',
      });
    }
    assert.equal(member.status.term, 0);
  });
});

describe('a configuration of a core', () => {
  it('is refused with the name of the field, its value and the limit', () => {
    const { log } = new CoreMember(1);
    const tried = (wrong: Partial<typeof defaultConfig>, message: RegExp) =>
      assert.throws(
        () => new Raft({ ...defaultConfig, id: memberId(1), ...wrong }, log),
        (error) => error instanceof RaftError && error.code === 'invalid-config' && message.test(error.message),
      );
    tried({ electionTicks: 1 }, /electionTicks is 1, .* at least 2/);
    tried({ heartbeatTicks: 0 }, /heartbeatTicks is 0/);
    tried({ maxInflightAppends: 0 }, /maxInflightAppends is 0/);
    tried({ maxAppendBytes: 100, maxInflightBytes: 99 }, /maxInflightBytes is 99, .* 100/);
    tried({ maxCommittedBytesPerReady: Number.NaN }, /maxCommittedBytesPerReady is NaN/);
    tried({ readOnly: 'lease-based' }, /checkQuorum/);
    assert.throws(() => new Raft({ ...defaultConfig, id: memberId(0) }, log), /id is 0/);
  });
});
