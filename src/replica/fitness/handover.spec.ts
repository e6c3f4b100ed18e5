import assert from 'node:assert/strict';
import { memberId } from '#raft/log/entry.js';
import { CoreCluster, confState } from '#raft/testing/core-member.js';
import { Handover, successors } from '#replica/fitness/handover.js';

const electionMs = 1000;
const [two, three] = [memberId(2), memberId(3)];

describe('the member that takes over from a leader', () => {
  /** Member 1 leads 2 and 3; 4 is a learner. */
  function status() {
    const start = { confState: confState([1, 2, 3], { learners: [memberId(4)] }) };
    return new CoreCluster([1, 2, 3, 4], start).elect(1).status;
  }

  it('is a voter that answers, and rather one with room', () => {
    const all = { answers: () => true, scarce: () => false };
    assert.deepEqual(successors(status(), all), [two, three]);
    assert.deepEqual(successors(status(), { ...all, scarce: (member) => member === two }), [three, two]);
    assert.deepEqual(successors(status(), { ...all, answers: (member) => member === three }), [three]);
  });

  it('is rather one that has more of the log, but has room above all', () => {
    const start = { confState: confState([1, 2, 3]) };
    const cluster = new CoreCluster([1, 2, 3], start);
    const leader = cluster.elect(1);
    cluster.lose = ({ to }) => to === two;
    leader.raft.propose([new Uint8Array(1)]);
    cluster.settle();
    const all = { answers: () => true, scarce: () => false };
    assert.deepEqual(successors(leader.status, all), [three, two]);
    assert.deepEqual(successors(leader.status, { ...all, scarce: (member) => member === three }), [two, three]);
  });
});

describe('a handover', () => {
  it('asks one after the other, each for an election timeout, and then all anew', () => {
    const handover = new Handover(electionMs);
    assert.equal(handover.next(0, [two, three]), two);
    assert.equal(handover.next(electionMs - 1, [two, three]), undefined);
    assert.equal(handover.next(electionMs, [two, three]), three);
    assert.equal(handover.next(2 * electionMs, [two, three]), two);
  });

  it('asks one that was asked in vain again when there is no other, and none when there is none', () => {
    const handover = new Handover(electionMs);
    assert.equal(handover.next(0, []), undefined);
    assert.equal(handover.next(0, [two]), two);
    assert.equal(handover.next(electionMs, [two]), two);
  });

  it('begins with the best, and at once, when there was no reason for it in between', () => {
    const handover = new Handover(electionMs);
    handover.next(0, [two, three]);
    handover.reset();
    assert.equal(handover.next(1, [two, three]), two);
  });
});
