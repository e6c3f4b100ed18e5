import assert from 'node:assert/strict';
import fc from 'fast-check';
import { memberId } from '#raft/log/entry.js';
import { members } from '#raft/testing/core-member.js';
import {
  allVoters,
  isVoter,
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
  quorumOf,
} from '#raft/tracker/quorum.js';

const voterLists = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { maxLength: 7 }).map((ids) => members(...ids));
const answers = fc.dictionary(fc.constantFrom(...'123456789'), fc.boolean());

describe('quorum', () => {
  it('is more than half', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 6, 7].map(quorumOf), [1, 2, 2, 3, 3, 4, 4]);
  });

  it('of two disjoint sets of voters can not be reached at once', () => {
    fc.assert(
      fc.property(voterLists, answers, (voters, votes) => {
        fc.pre(voters.length > 0);
        const yes = majorityVote(voters, (voter) => votes[voter] === true);
        const no = majorityVote(voters, (voter) => votes[voter] === false);
        assert.ok(yes !== 'won' || no !== 'won');
      }),
    );
  });

  it('of no voters agrees to everything', () => {
    assert.equal(
      majorityIndex([], () => 1),
      Number.POSITIVE_INFINITY,
    );
    assert.equal(
      majorityVote([], () => false),
      'won',
    );
  });

  it('counts a voter that has not answered as able to decide, not as having decided', () => {
    const voters = members(1, 2, 3);
    const vote = (given: Record<number, boolean>) => majorityVote(voters, (voter) => given[voter]);
    assert.equal(vote({ 1: true }), 'pending');
    assert.equal(vote({ 1: true, 2: false }), 'pending');
    assert.equal(vote({ 1: true, 2: true }), 'won');
    assert.equal(vote({ 2: false, 3: false }), 'lost');
  });

  it('has reached an index exactly when a majority has', () => {
    const reached = fc.dictionary(fc.constantFrom(...'123456789'), fc.integer({ min: 1, max: 20 }));
    fc.assert(
      fc.property(voterLists, reached, (voters, indexes) => {
        fc.pre(voters.length > 0);
        const agreed = majorityIndex(voters, (voter) => indexes[voter]);
        const holders = (index: number) => voters.filter((voter) => (indexes[voter] ?? 0) >= index).length;
        assert.ok(holders(agreed) >= quorumOf(voters.length));
        assert.ok(holders(agreed + 1) < quorumOf(voters.length));
      }),
    );
  });
});

describe('a joint quorum', () => {
  it('needs both halves', () => {
    const config = { voters: members(1, 2, 3), votersOutgoing: members(3, 4, 5) };
    const index = (given: Record<number, number>) => jointIndex(config, (voter) => given[voter]);
    assert.equal(index({ 1: 9, 2: 9, 3: 9 }), 0);
    assert.equal(index({ 1: 9, 2: 9, 4: 5, 5: 7 }), 5);
    const vote = (given: Record<number, boolean>) => jointVote(config, (voter) => given[voter]);
    assert.equal(vote({ 1: true, 2: true }), 'pending');
    assert.equal(vote({ 1: true, 2: true, 3: true, 4: true }), 'won');
    assert.equal(vote({ 1: true, 2: true, 4: false, 5: false }), 'lost');
  });

  it('does not depend on which half is which', () => {
    fc.assert(
      fc.property(voterLists, voterLists, answers, (voters, votersOutgoing, votes) => {
        const vote = (voter: number) => votes[voter];
        const swapped = { voters: votersOutgoing, votersOutgoing: voters };
        assert.equal(jointVote({ voters, votersOutgoing }, vote), jointVote(swapped, vote));
      }),
    );
  });

  it('has every voter of both halves, once, in order', () => {
    const config = { voters: members(5, 1), votersOutgoing: members(3, 1) };
    assert.deepEqual(allVoters(config), members(1, 3, 5));
    assert.ok(isVoter(config, memberId(3)));
    assert.ok(!isVoter(config, memberId(2)));
  });
});
