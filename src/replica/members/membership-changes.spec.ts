import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Entry, logIndex, memberId, noMember, term } from '#raft/log/entry.js';
import { MemoryLog } from '#raft/log/memory-log.js';
import { Raft } from '#raft/raft.js';
import { raftConfig } from '#replica/driver/raft-settings.js';
import { MembershipChanges } from '#replica/members/membership-changes.js';
import type { Membership } from '#replica/ports/membership.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { defaultReplicaLimits, defaultReplicaTiming } from '#replica/replica-options.js';

const self = { id: memberId(1), name: 'a', peer: 'a:7071', storeId: 'a' };
const confState = { voters: [self.id], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
const membership: Membership = {
  clusterId: 'test',
  incarnation: 'f',
  confState,
  members: [self],
  nextMemberId: memberId(2),
};

/** A core that leads alone, in term 2, and has applied its own entry, at index 2. */
function leader(): Raft {
  const start = { index: logIndex(1), term: term(1), confState };
  const log = new MemoryLog(start);
  log.setHardState({ term: start.term, vote: noMember, commit: start.index });
  const settings = { id: self.id, applied: start.index, timing: defaultReplicaTiming, limits: defaultReplicaLimits };
  const raft = new Raft({ ...raftConfig({ ...settings, random: () => 0 }), asyncStorageWrites: false }, log);
  raft.campaign();
  while (raft.hasReady()) {
    const { hardState, entries } = raft.ready();
    if (hardState !== undefined) log.setHardState(hardState);
    log.append(entries);
    raft.advance();
  }
  assert.equal(raft.status().applied, 2);
  return raft;
}

function entry(index: number, inTerm: number): Entry {
  return { index: logIndex(index), term: term(inTerm), type: 'conf-change-v2', data: new Uint8Array() };
}

describe('membership changes on their way', () => {
  let changes = new MembershipChanges();

  /** Asks for a newcomer, whose entry is at index 3 of term 2. What becomes of it, in a word. */
  function ask(): Promise<string> {
    changes = new MembershipChanges();
    return changes.propose({ kind: 'add-learner', name: 'b', peer: 'b:7071', storeId: 'b' }, membership, leader()).then(
      () => 'made',
      (error: unknown) => (error instanceof ProposeError ? error.code : String(error)),
    );
  }

  it('are answered with their own entry', async () => {
    const answer = ask();
    changes.passed(entry(3, 2), membership);
    assert.equal(await answer, 'made');
  });

  for (const [what, other] of [
    ['an entry of an earlier term that was committed in their place', entry(3, 1)],
    ['an entry of a later term in their place', entry(3, 3)],
    ['an entry of a later term before them', entry(2, 3)],
  ] as const) {
    it(`are rejected by ${what} when they were replaced`, async () => {
      const answer = ask();
      changes.passed(other, membership);
      assert.equal(await answer, 'not-leader');
    });
  }

  it('wait for the end of a joint configuration', async () => {
    const answer = ask();
    const joint = { ...membership, confState: { ...confState, votersOutgoing: [self.id] } };
    let over = false;
    const done = answer.then(() => {
      over = true;
    });
    changes.passed(entry(3, 2), joint);
    await nextTurn();
    assert.ok(!over);
    changes.passed(entry(4, 2), membership);
    await done;
    assert.equal(await answer, 'made');
  });
});
