import assert from 'node:assert/strict';
import { type MemberId, memberId, noMember } from '#raft/log/entry.js';
import { SpaceWatch } from '#replica/fitness/space-watch.js';
import { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import { noMembership } from '#replica/replica-status.js';
import { roomy, scarce } from '#replica/testing/memory-log-store.js';

const electionMs = 1000;
const mebibyte = 1024 * 1024;
const [one, two, three, four] = [memberId(1), memberId(2), memberId(3), memberId(4)];

function member(id: MemberId): MemberInfo {
  return { id, name: `m${id}`, peer: `m${id}:7071`, storeId: `${id}`.repeat(32) };
}

/** 1 is the member itself, 2 and 3 are other voters, 4 is a learner. */
const self = member(one);
const membership: Membership = {
  ...noMembership('test'),
  confState: { ...noMembership('test').confState, voters: [one, two, three], learners: [four] },
  members: [self, ...[two, three, four].map(member)],
};

const room: MemberReport = {
  serves: '',
  space: { freeBytes: 900 * mebibyte, neededBytes: 1, low: false },
  commandKinds: [],
};

describe('a watch on space', () => {
  let nowMs: number;
  let space = roomy;
  let announced: MemberReport[];
  let events: ReplicaEvent[];
  let peers: PeerAccounts;
  let watch: SpaceWatch;

  beforeEach(() => {
    nowMs = 100_000;
    space = scarce(mebibyte);
    announced = [];
    events = [];
    const clock = { now: () => nowMs, after: () => () => {} };
    peers = new PeerAccounts(clock);
    watch = new SpaceWatch({
      self,
      clock,
      electionMs,
      peers,
      store: { space: () => space },
      network: { announce: (report) => announced.push(report) },
      serves: () => 'here:7070',
      commandKinds: ['line'],
      applied: { membership },
      observe: (event) => events.push(event),
    });
  });

  it('of a leader hands over to voters that said lately that they have room', () => {
    assert.equal(watch.check([two, three]), undefined, 'nobody has said anything');
    peers.reported(three, room);
    assert.equal(watch.check([two, three]), three);
    nowMs += 15_001;
    assert.equal(watch.check([two, three]), undefined, 'that was long ago');
  });

  it('names as successors the voters that have room and answer, and else reports all disks', () => {
    peers.reported(four, room);
    watch.check([two, three]);
    assert.equal(watch.refusal()?.code, 'no-space', 'a learner can not take over');
    peers.reported(two, room);
    assert.equal(watch.refusal()?.code, 'not-leader');
    assert.match(watch.refusal()?.message ?? '', /hands over to m2, which/);
    nowMs += 2 * electionMs + 1;
    assert.equal(watch.refusal()?.code, 'no-space', 'it does not answer any more');
    assert.match(watch.refusal()?.message ?? '', /m2: 900\.0 MiB free, .*; m3: not heard of; m4/);
  });

  it('has others go first in an election if they have room, but waits for no member that is lost', () => {
    watch.check(undefined);
    assert.equal(watch.campaignDelay(noMember), 0, 'nobody is known to have room');
    peers.reported(two, room);
    assert.equal(watch.campaignDelay(two), 0, 'the leader that was lost can not be elected');
    assert.equal(watch.campaignDelay(three), 3);
    nowMs += 15_001;
    assert.equal(watch.campaignDelay(three), 0, 'it said so long ago');
    peers.reported(two, room);
    space = roomy;
    watch.check(undefined);
    assert.equal(watch.campaignDelay(three), 0, 'it has room itself');
  });

  it('goes on handing over without delay when room was there in between', () => {
    peers.reported(two, room);
    peers.reported(three, room);
    assert.equal(watch.check([two, three]), two);
    space = roomy;
    watch.check([two, three]);
    assert.equal(events.at(-1)?.kind, 'space-back');
    space = scarce(mebibyte);
    nowMs += 100;
    assert.equal(watch.check([two, three]), two);
  });

  it('says how much room there is every 5 s, and whenever it falls below or comes back', () => {
    watch.check(undefined);
    assert.deepEqual(
      announced.map(({ serves, space: { low } }) => [serves, low]),
      [['here:7070', true]],
    );
    nowMs += 4_999;
    watch.check(undefined);
    assert.equal(announced.length, 1);
    nowMs += 1;
    watch.check(undefined);
    assert.equal(announced.length, 2);
    space = roomy;
    watch.check(undefined);
    assert.equal(announced.at(-1)?.space.low, false);
  });
});
