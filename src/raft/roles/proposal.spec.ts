import assert from 'node:assert/strict';
import { type ConfChange, encodeConfChange } from '#raft/confchange/conf-change.js';
import { type Entry, type EntryType, logIndex, memberId, noIndex, noMember, noTerm } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import {
  accepted,
  bytes,
  CoreCluster,
  CoreMember,
  confChange,
  confState,
  entries,
  heartbeatResponse,
  members,
  type Start,
  voteResponse,
} from '#raft/testing/core-member.js';

const addFour = confChange([['add-voter', 4]]);
const refused = { name: 'RaftError', code: 'conf-change-refused' };
const dropped = { name: 'RaftError', code: 'proposal-dropped' };

/** A leader alone, with everything applied. */
function alone(start: Start = {}): CoreMember {
  const member = new CoreMember(1, { confState: confState([1]), ...start });
  member.raft.campaign();
  member.run();
  assert.equal(member.status.role, 'leader');
  return member;
}

/** Proposals as they come from another member. */
function proposal(...changes: readonly (ConfChange | string)[]): Message {
  const list = changes.map((value): Entry => {
    const type: EntryType = typeof value === 'string' ? 'normal' : 'conf-change-v2';
    const data = typeof value === 'string' ? bytes(value) : encodeConfChange(value, 'conf-change-v2');
    return { term: noTerm, index: noIndex, type, data };
  });
  return { kind: 'propose', from: noMember, to: memberId(1), term: noTerm, entries: list };
}

describe('a proposal on a leader', () => {
  it('returns its positions, side by side, in the own term', () => {
    const member = alone();
    assert.deepEqual(member.raft.propose([bytes('a'), bytes('b')]), { term: 1, firstIndex: 2 });
    member.run();
    assert.deepEqual(
      member.applied.map(({ index, term, data }) => [index, term, String.fromCharCode(...data)]),
      [
        [1, 1, ''],
        [2, 1, 'a'],
        [3, 1, 'b'],
      ],
    );
  });

  it('of nothing is refused', () => {
    assert.throws(() => alone().raft.propose([]), { name: 'RaftError', code: 'malformed-message' });
  });

  it('is dropped once the leader is removed, which goes on leading otherwise', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.proposeConfChange(confChange([['remove', 1]]));
    cluster.settle();
    assert.equal(leader.status.role, 'leader');
    assert.throws(() => leader.raft.propose([bytes('x')]), dropped);
    leader.take();
    leader.ticks(1);
    leader.run();
    assert.deepEqual(
      leader.take('heartbeat').map(({ to }) => to),
      [2, 3],
    );
  });
});

describe('the bytes that a leader appends beyond what is applied', () => {
  function limited(): CoreMember {
    const member = new CoreMember(1, { asyncStorageWrites: true, maxUncommittedBytes: 10 });
    member.raft.campaign();
    member.run();
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 1));
    member.take();
    return member;
  }

  it('are limited; what would exceed the limit is dropped, and changes nothing', () => {
    const member = limited();
    member.raft.propose([bytes('12345'), bytes('678')]);
    const before = member.status;
    assert.throws(() => member.raft.propose([bytes('901')]), dropped);
    assert.deepEqual(member.status, before);
    member.raft.propose([bytes('90')]);
    assert.equal(member.status.uncommittedBytes, 10);
  });

  it('may always be exceeded by the first, and by what is empty', () => {
    const member = limited();
    member.raft.propose([bytes('much more than ten bytes')]);
    member.raft.propose([bytes('')]);
    assert.throws(() => member.raft.propose([bytes('x')]), dropped);
  });

  it('count until applied', () => {
    const member = limited();
    member.raft.propose([bytes('1234567890')]);
    member.run();
    assert.throws(() => member.raft.propose([bytes('x')]), dropped);
    member.raft.step(accepted({ from: 2, to: 1, term: 1 }, 2));
    member.work();
    assert.throws(() => member.raft.propose([bytes('x')]), dropped, 'committed, but not applied');
    member.run();
    assert.equal(member.status.uncommittedBytes, 0);
    member.raft.propose([bytes('x')]);
  });

  it('are counted anew by every leader', () => {
    const cluster = new CoreCluster([1, 2, 3], { maxUncommittedBytes: 10 });
    const first = cluster.elect(1);
    cluster.isolate(1);
    first.raft.propose([bytes('1234567890')]);
    cluster.settle();
    cluster.elect(2).raft.propose([bytes('abc')]);
    cluster.settle();
    cluster.heal();
    cluster.member(2).ticks(1);
    cluster.settle();
    assert.equal(cluster.elect(1).status.uncommittedBytes, 0);
  });

  it('do not have a refused configuration change block the next one when it is dropped', () => {
    const member = limited();
    member.raft.propose([bytes('1234567890')]);
    assert.throws(() => member.raft.proposeConfChange(addFour), dropped);
    assert.equal(member.status.pendingConfIndex, 0);
  });
});

describe('a configuration change', () => {
  it('is refused while another one waits to be applied', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    assert.deepEqual(leader.raft.proposeConfChange(addFour), { term: 1, firstIndex: 2 });
    assert.throws(() => leader.raft.proposeConfChange(confChange([['remove', 3]])), refused);
    assert.equal(leader.status.lastIndex, 2);
    cluster.settle();
    leader.raft.proposeConfChange(confChange([['remove', 3]]));
  });

  it('is refused by a new leader until what it took over is applied: a change may be among it', () => {
    const member = new CoreMember(1, { entries: entries([1, 1]), hardState: { term: 1, commit: 0 } });
    member.raft.campaign();
    member.run();
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 2 }));
    assert.equal(member.status.pendingConfIndex, 2);
    assert.throws(() => member.raft.proposeConfChange(addFour), refused);
    member.receive(accepted({ from: 2, to: 1, term: 2 }, 3));
    assert.equal(member.status.applied, 3);
    member.raft.proposeConfChange(addFour);
  });

  it('is refused in a joint configuration, which can only be left', () => {
    const member = alone();
    assert.throws(() => member.raft.proposeConfChange(confChange([])), refused);
    assert.throws(() => member.raft.proposeConfChange(confChange([], 'explicit')), refused);
    member.raft.proposeConfChange(confChange([['add-learner', 2]], 'explicit'));
    member.run();
    assert.deepEqual(member.status.confState.votersOutgoing, members(1));
    assert.throws(() => member.raft.proposeConfChange(addFour), refused);
    member.raft.proposeConfChange(confChange([]));
    member.run();
    assert.deepEqual(member.status.confState, confState([1], { learners: members(2) }));
  });

  it('is refused if no voter would be left, instead of stopping every member when applied', () => {
    assert.throws(() => alone().raft.proposeConfChange(confChange([['remove', 1]])), refused);
  });

  it('that is refused at the leader after it was forwarded becomes an empty entry', () => {
    const member = alone();
    member.receive(proposal('a', addFour, confChange([['add-voter', 5]]), 'b'));
    assert.deepEqual(
      member.log
        .entries(member.log.firstIndex(), logIndex(member.log.lastIndex() + 1), Number.POSITIVE_INFINITY)
        .map(({ type, data }) => [type, data.length]),
      [
        ['normal', 0],
        ['normal', 1],
        ['conf-change-v2', 8],
        ['normal', 0],
        ['normal', 1],
      ],
    );
  });

  it('that can not be read is refused whole, with the proposal it came in', () => {
    const member = alone();
    const foreign: Entry = { term: noTerm, index: noIndex, type: 'conf-change', data: bytes('??') };
    const message: Message = { kind: 'propose', from: memberId(2), to: memberId(1), term: noTerm, entries: [foreign] };
    assert.throws(() => member.raft.step(message), { name: 'RaftError', code: 'malformed-conf-change' });
    assert.equal(member.status.lastIndex, 1);
  });

  it('is not checked where that is switched off', () => {
    const member = alone({ disableConfChangeValidation: true });
    member.raft.proposeConfChange(addFour);
    member.raft.proposeConfChange(confChange([['add-voter', 5]]));
    assert.equal(member.status.lastIndex, 3);
  });
});

describe('a joint configuration', () => {
  it('that leaves itself is left by the leader once it is applied, and not before', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.proposeConfChange(
      confChange([
        ['remove', 2],
        ['remove', 3],
      ]),
    );
    cluster.settle();
    assert.deepEqual(leader.status.confState, confState([1]));
    assert.deepEqual(
      leader.applied.map(({ type }) => type),
      ['normal', 'conf-change-v2', 'conf-change-v2'],
    );
  });

  it('is left once, by the new leader, if the old one is gone', () => {
    const start = { confState: confState([1, 2], { votersOutgoing: members(1, 2, 3), autoLeave: true }) };
    const cluster = new CoreCluster([1, 2, 3], start);
    const leader = cluster.elect(2);
    assert.deepEqual(leader.status.confState, confState([1, 2]));
    assert.equal(leader.applied.filter(({ type }) => type === 'conf-change-v2').length, 1);
  });

  it('is not left by a new leader before what it took over is applied', () => {
    const joint = confState([1, 2], { votersOutgoing: members(1, 2, 3), autoLeave: true });
    const start = {
      confState: joint,
      entries: entries([1, 1]),
      hardState: { term: 1, commit: 1 },
      asyncStorageWrites: true,
    };
    const member = new CoreMember(1, start);
    member.raft.campaign();
    member.work();
    member.persist();
    member.raft.step(voteResponse('vote-response', { from: 2, to: 1, term: 2 }));
    assert.equal(member.status.role, 'leader');
    member.apply();
    assert.equal(member.status.applied, 1);
    assert.equal(member.status.lastIndex, 3, 'entry 2 may be the one that leaves');
  });

  it('is left later if that can not be proposed at once', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.proposeConfChange(
      confChange([
        ['add-learner', 2],
        ['add-learner', 3],
      ]),
    );
    cluster.lose = ({ kind }) => kind === 'timeout-now';
    leader.run();
    leader.raft.transferLeadership(memberId(2));
    cluster.settle();
    assert.ok(leader.status.confState.autoLeave);
    leader.ticks(9);
    cluster.settle();
    assert.ok(leader.status.confState.autoLeave, 'leadership may pass on still');
    // No member proposes from here on.
    leader.ticks(1);
    cluster.settle();
    assert.deepEqual(leader.status.confState, confState([1], { learners: members(2, 3) }));
  });
});

describe('a configuration that takes effect', () => {
  it('may commit by its smaller quorum what was waiting', () => {
    const member = new CoreMember(1);
    member.raft.campaign();
    member.run();
    member.receive(voteResponse('vote-response', { from: 2, to: 1, term: 1 }));
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 1));
    member.raft.proposeConfChange(
      confChange(
        [
          ['remove', 3],
          ['remove', 2],
        ],
        'explicit',
      ),
    );
    member.run();
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 2));
    member.raft.proposeConfChange(confChange([]));
    member.raft.propose([bytes('waits')]);
    member.run();
    member.take();
    member.receive(accepted({ from: 2, to: 1, term: 1 }, 3));
    assert.equal(member.status.commit, 4, 'entry 4 needs only member 1 once entry 3 is applied');
  });

  it('shows newcomers the log at once, and counts them as heard from', () => {
    const member = alone({ checkQuorum: true });
    member.raft.proposeConfChange(confChange([['add-voter', 2]]));
    member.run();
    assert.ok(member.take('append').some(({ to }) => to === 2));
    member.ticks(10);
    assert.equal(member.status.role, 'leader');
  });

  it('calls off the transfer to a member that no longer votes', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    cluster.lose = ({ kind }) => kind === 'timeout-now';
    leader.raft.proposeConfChange(confChange([['add-learner', 2]]));
    leader.raft.transferLeadership(memberId(2));
    assert.equal(leader.status.leadTransferee, 2);
    cluster.settle();
    assert.equal(leader.status.leadTransferee, 0);
  });

  it('makes a leader that is removed or demoted step down, if so configured', () => {
    for (const kind of ['remove', 'add-learner'] as const) {
      const cluster = new CoreCluster([1, 2, 3], { stepDownOnRemoval: true });
      const leader = cluster.elect(1);
      leader.raft.proposeConfChange(confChange([[kind, 1]]));
      cluster.settle();
      const { role, term, leader: known } = leader.status;
      assert.deepEqual([role, term, known], ['follower', 1, 0]);
    }
  });

  it('that can not be applied stops the member', () => {
    assert.throws(() => alone().raft.applyConfChange(confChange([])), { name: 'InvariantError' });
  });

  it('takes the acknowledgements of removed members for nothing', () => {
    const cluster = new CoreCluster([1, 2, 3]);
    const leader = cluster.elect(1);
    leader.raft.proposeConfChange(confChange([['remove', 3]]));
    cluster.settle();
    const stranger = { name: 'RaftError', code: 'peer-not-found' };
    assert.throws(() => leader.raft.step(heartbeatResponse({ from: 3, to: 1, term: 1 })), stranger);
    assert.throws(() => leader.raft.step(accepted({ from: 3, to: 1, term: 1 }, 2)), stranger);
  });
});
