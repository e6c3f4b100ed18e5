import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { ConfChange } from '#raft/confchange/conf-change.js';
import { type ConfState, logIndex, memberId } from '#raft/log/entry.js';
import { confChange, confState, members } from '#raft/testing/core-member.js';
import { quorumOf } from '#raft/tracker/quorum.js';
import {
  changeMembership,
  emptyMembership,
  isJoint,
  leaveJoint,
  MembershipError,
  type ProgressTracker,
  restoreMembership,
} from '#raft/tracker/tracker.js';

const peers = {
  lastIndex: logIndex(7),
  limits: { messagesMax: 10, bytesMax: Number.POSITIVE_INFINITY },
};

function restored(state: ConfState): ProgressTracker {
  return restoreMembership(state, peers);
}

/** The membership after `change`, or unchanged where it is refused. */
function tried(membership: ProgressTracker, value: ConfChange): ProgressTracker {
  try {
    return changeMembership(membership, value, peers);
  } catch (error) {
    assert.ok(error instanceof MembershipError, String(error));
    return membership;
  }
}

const changes: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom('auto' as const, 'implicit' as const, 'explicit' as const),
  operations: fc.array(
    fc.record({
      kind: fc.constantFrom('add-voter' as const, 'remove' as const, 'update' as const, 'add-learner' as const),
      member: fc.integer({ min: 0, max: 6 }).map(memberId),
    }),
    { maxLength: 4 },
  ),
  context: fc.constant(new Uint8Array(0)),
});

/** Whether two majorities, one of each list, always share a voter. */
function overlap(a: readonly number[], b: readonly number[]): boolean {
  const union = new Set([...a, ...b]);
  return quorumOf(a.length) + quorumOf(b.length) > union.size;
}

describe('a chain of configuration changes', () => {
  it('keeps every old and new majority overlapping, and can be restored from each state on the way', () => {
    fc.assert(
      fc.property(fc.array(changes, { maxLength: 12 }), (chain) => {
        let membership = restored(confState([1]));
        for (const value of chain) {
          const before = membership.config;
          membership = tried(membership, value);
          const { config } = membership;
          // Decisions of a joint configuration need a majority of each half, so one half overlapping is enough.
          const halves = (state: ConfState) => [state.voters, state.votersOutgoing].filter((half) => half.length > 0);
          assert.ok(halves(before).some((half) => halves(config).some((other) => overlap(half, other))));
          assert.deepEqual(restored(config).config, config);
          assert.deepEqual([...restored(config).progress.keys()], [...membership.progress.keys()]);
        }
      }),
    );
  });

  it('keeps the progress of members that stay', () => {
    const before = restored(confState([1, 2]));
    const two = before.progress.get(memberId(2));
    two?.acknowledge(logIndex(5));
    const joint = changeMembership(
      before,
      confChange(
        [
          ['add-learner', 2],
          ['add-voter', 3],
        ],
        'explicit',
      ),
      peers,
    );
    assert.equal(joint.progress.get(memberId(2))?.match, 5);
    const left = leaveJoint(joint);
    assert.equal(left.progress.get(memberId(2))?.match, 5);
    assert.equal(left.progress.get(memberId(2))?.learner, true);
    assert.equal(two?.learner, false, 'the old value was changed');
  });
});

describe('a change of one voter', () => {
  it('needs no joint configuration, unless one is asked for', () => {
    const before = restored(confState([1, 2]));
    assert.deepEqual(changeMembership(before, confChange([['add-voter', 3]]), peers).config, confState([1, 2, 3]));
    const implicit = changeMembership(before, confChange([['add-voter', 3]], 'implicit'), peers).config;
    assert.deepEqual(implicit, confState([1, 2, 3], { votersOutgoing: members(1, 2), autoLeave: true }));
    const explicit = changeMembership(before, confChange([['add-voter', 3]], 'explicit'), peers).config;
    assert.deepEqual(explicit, confState([1, 2, 3], { votersOutgoing: members(1, 2) }));
  });
});

describe('a configuration change', () => {
  it('is refused, leaving nothing behind, if no voter would be left', () => {
    const before = restored(confState([1]));
    assert.throws(() => changeMembership(before, confChange([['remove', 1]]), peers), MembershipError);
    assert.deepEqual(before, restored(confState([1])));
  });

  it('is refused while joint, and leaving is refused while not', () => {
    const simple = restored(confState([1]));
    assert.throws(() => leaveJoint(simple), MembershipError);
    const joint = changeMembership(simple, confChange([['add-voter', 2]], 'explicit'), peers);
    assert.ok(isJoint(joint.config));
    assert.throws(() => changeMembership(joint, confChange([['add-voter', 3]]), peers), MembershipError);
    assert.throws(() => changeMembership(joint, confChange([['add-voter', 3]], 'explicit'), peers), MembershipError);
  });

  it('starts newcomers at the end of the log, counted as heard from', () => {
    const { progress } = changeMembership(restored(confState([1])), confChange([['add-learner', 9]]), peers);
    const nine = progress.get(memberId(9))?.status();
    assert.deepEqual([nine?.match, nine?.next, nine?.active, nine?.learner], [0, 7, true, true]);
  });

  it('ignores member 0 and updates', () => {
    const before = restored(confState([1]));
    const same = changeMembership(
      before,
      confChange(
        [
          ['add-voter', 0],
          ['update', 1],
        ],
        'explicit',
      ),
      peers,
    );
    assert.deepEqual(same.config.voters, members(1));
  });

  it('of an empty configuration can only add voters', () => {
    assert.throws(() => changeMembership(emptyMembership, confChange([['add-learner', 1]]), peers), MembershipError);
    assert.deepEqual(changeMembership(emptyMembership, confChange([['add-voter', 1]]), peers).config, confState([1]));
  });
});
