import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { RaftError } from '#raft/errors.js';
import { type Entry, type LogIndex, logIndex, type MemberId, memberId } from '#raft/log/entry.js';
import type { Message } from '#raft/message.js';
import { bytes, CoreMember, confChange, confState, type Start } from '#raft/testing/core-member.js';
import { isVoter } from '#raft/tracker/quorum.js';

/** One thing that happens: which, and two numbers that pick the member, the message, the value. */
type Event = readonly [action: number, a: number, b: number];

const ids = [1, 2, 3, 4, 5];
const inFlightMax = 300;

/**
 * A cluster in a hostile world: messages are lost, doubled and overtaken, members crash and come back, voters are added
 * and removed. It checks after each step that no two leaders share a term and that no member applies an entry that
 * differs from another member's.
 */
class World {
  readonly members: readonly CoreMember[];
  #inFlight: Message[] = [];
  readonly #leaders = new Map<number, MemberId>();
  readonly #applied = new Map<LogIndex, string>();
  readonly #seen = new Map<MemberId, number>();
  readonly #async: boolean;

  constructor(start: Start) {
    this.#async = start.asyncStorageWrites === true;
    // 4 and 5 know of no cluster until they are added to this one. The first configuration is in no entry, so the log
    // of the others begins behind index 0: newcomers need a snapshot, which tells them.
    const first = { confState: confState([1, 2, 3]), base: { index: 2, term: 1 } };
    this.members = ids.map(
      (id) => new CoreMember(id, { ...start, ...(id <= 3 ? first : { confState: confState([]) }) }),
    );
  }

  event([action, a, b]: Event): void {
    const member = this.members[a % this.members.length] ?? assert.fail();
    switch (action) {
      case 0:
        member.raft.delay();
        break;
      case 1:
        member.raft.propose([bytes(`p${b}`), bytes('q')]);
        break;
      case 2:
        member.restart();
        break;
      case 3:
        this.#lose(b);
        break;
      case 4:
        this.#inFlight.push(...this.#inFlight.slice(b % 50, (b % 50) + 1));
        break;
      case 5:
        this.#changeMembers(member, b);
        break;
      case 6:
        this.#compact(member);
        break;
      case 7:
        member.raft.transferLeadership(memberId(1 + (b % ids.length)));
        break;
      case 8:
        member.raft.campaign();
        break;
      default:
        this.#deliver(b);
        break;
    }
    this.#work(member, b);
    this.check();
  }

  /** Does some of what `member` has to do; in async mode its threads may lag behind. */
  #work(member: CoreMember, choice: number): void {
    if (!this.#async) {
      member.run();
    } else {
      member.work();
      if (choice % 3 > 0 && member.appendQueue.length > 0) {
        member.persist();
      }
      if (choice % 3 > 1 && member.applyQueue.length > 0) {
        member.apply();
      }
      member.work();
    }
    this.#inFlight.push(...member.take());
    this.#drop(this.#inFlight.length - inFlightMax);
  }

  #deliver(choice: number): void {
    // Mostly in order, sometimes not.
    const at = choice % 4 > 0 ? 0 : choice % Math.max(1, this.#inFlight.length);
    const [message] = this.#inFlight.splice(at, 1);
    if (message !== undefined) {
      this.#reportSnapshot(message, true);
      const to = this.members[message.to - 1] ?? assert.fail();
      to.stepOrDrop(message);
      this.#work(to, choice);
    }
  }

  #lose(choice: number): void {
    this.#drop(choice % 10);
  }

  /** The sender of a snapshot learns whether it arrived, however it is lost: without that it waits forever. */
  #drop(count: number): void {
    for (const message of this.#inFlight.splice(0, count)) {
      this.#reportSnapshot(message, false);
    }
  }

  #reportSnapshot(message: Message, ok: boolean): void {
    if (message.kind === 'snapshot') {
      this.members[message.from - 1]?.raft.reportSnapshot(message.to, ok);
    }
  }

  /**
   * Keeps three voters. A configuration counts once it is applied, so of two voters the one that is left could not
   * win if it never heard that the removal of the other one, a leader with a longer log, was committed.
   */
  #changeMembers(member: CoreMember, choice: number): void {
    const { role, confState: configured } = member.status;
    const kinds = ['add-voter', 'add-learner', 'remove'] as const;
    const one = [kinds[choice % 3] ?? 'remove', 1 + (choice % 5)] as const;
    const two = [kinds[(choice >> 2) % 3] ?? 'remove', 1 + ((choice >> 3) % 5)] as const;
    const operations = choice % 2 > 0 ? [one] : [one, two];
    const voters = new Set<number>(configured.voters);
    for (const [kind, id] of operations) {
      kind === 'add-voter' ? voters.add(id) : voters.delete(id);
    }
    if (role === 'leader' && voters.size >= 3) {
      member.raft.proposeConfChange(confChange(operations));
    }
  }

  #compact({ log, status }: CoreMember): void {
    const served = log.served?.index ?? 0;
    if (status.applied >= log.firstIndex() && served >= log.firstIndex()) {
      log.compact(logIndex(Math.min(served, log.lastIndex())));
    }
  }

  check(): void {
    for (const member of this.members) {
      const { id, role, term } = member.status;
      if (role === 'leader') {
        assert.equal(this.#leaders.get(term) ?? id, id, `two leaders in term ${term}`);
        this.#leaders.set(term, id);
      }
      for (const entry of member.applied.slice(this.#seen.get(id) ?? 0)) {
        const text = fingerprint(entry);
        assert.equal(this.#applied.get(entry.index) ?? text, text, `member ${id} applied another entry ${entry.index}`);
        this.#applied.set(entry.index, text);
      }
      this.#seen.set(id, member.applied.length);
    }
  }

  /** Ends all faults; then, within a bounded time, there must be a leader that all of its members agree with. */
  heal(): void {
    for (let round = 0; round < 400; round += 1) {
      for (const member of this.members) {
        member.raft.delay();
        member.run();
        this.#inFlight.push(...member.take());
      }
      for (let left = this.#inFlight.length * 20; left > 0 && this.#inFlight.length > 0; left -= 1) {
        this.#deliver(1);
        for (const member of this.members) {
          member.run();
          this.#inFlight.push(...member.take());
        }
      }
      this.check();
      if (round > 30 && this.converged()) {
        return;
      }
    }
    assert.fail(`the members did not come together again:\n${this.members.map(describeMember).join('\n')}`);
  }

  converged(): boolean {
    return this.members.some(({ status: leader }) => {
      const inside = this.members.filter(({ id }) => leader.progress.has(id));
      return (
        leader.role === 'leader' &&
        isVoter(leader.confState, leader.id) &&
        inside.every(({ status }) => status.leader === leader.id && status.applied === leader.lastIndex)
      );
    });
  }

  get appliedMax(): number {
    return this.#applied.size;
  }
}

function describeMember({ status }: CoreMember): string {
  const { progress, ...rest } = status;
  return JSON.stringify({ ...rest, progress: [...progress] });
}

function fingerprint({ term, type, data }: Entry): string {
  return `${term} ${type} ${data.join()}`;
}

/** Good enough to break ties between candidates, and the same for the same seed (a linear congruential generator). */
function seededRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function live(start: Start, seed: number, events: readonly Event[]): World {
  const world = new World({ ...start, random: seededRandom(seed) });
  for (const event of events) {
    try {
      world.event(event);
    } catch (error) {
      // Refusals are part of life; everything else is a finding.
      if (!(error instanceof RaftError) || error.code.startsWith('malformed')) {
        throw error;
      }
    }
  }
  world.heal();
  return world;
}

/** Ticks and deliveries are most of what happens. */
const action = fc.oneof(
  { arbitrary: fc.constant(9), weight: 50 },
  { arbitrary: fc.constant(0), weight: 25 },
  { arbitrary: fc.constant(1), weight: 8 },
  { arbitrary: fc.integer({ min: 2, max: 8 }), weight: 10 },
);
const events = fc.array(fc.tuple(action, fc.nat(1_000), fc.nat(1_000)), {
  minLength: 200,
  maxLength: 600,
  size: 'max',
});
const starts: fc.Arbitrary<Start> = fc.record(
  {
    preVote: fc.boolean(),
    checkQuorum: fc.boolean(),
    asyncStorageWrites: fc.boolean(),
    maxInflightAppends: fc.integer({ min: 1, max: 4 }),
    maxAppendBytes: fc.constantFrom(1, 40, Number.POSITIVE_INFINITY),
    maxCommittedBytesPerReady: fc.constantFrom(1, 40, Number.POSITIVE_INFINITY),
  },
  { noNullPrototype: true },
);

/** What a failure says to set, to have the same again: SEED:PATH of fast-check. */
const replayVariable = 'SUBLET_HOSTILE_WORLD';

function replayed(): { readonly seed: number; readonly path?: string } {
  const [, seed, path] = /^(-?\d+)(?::([\d:]+))?$/.exec(process.env[replayVariable] ?? '') ?? [];
  // Chosen here, so that a failure can print it.
  if (seed === undefined) return { seed: randomInt(2 ** 31) };
  return { seed: Number(seed), ...(path === undefined ? {} : { path }) };
}

describe('a cluster in a hostile world', () => {
  it('never has two leaders in a term, never applies different entries, and comes together when healed', async () => {
    let applied = 0;
    const from = replayed();
    const check = (start: Start, seed: number, list: Event[]): void => {
      applied += live({ ...start, stepDownOnRemoval: true, electionTicks: 5 }, seed, list).appliedMax;
    };
    const run = fc.check(fc.property(starts, fc.nat(), events, check), {
      ...from,
      numRuns: 40,
      interruptAfterTimeLimit: 8_000,
      markInterruptAsFailure: false,
      endOnFailure: true,
    });
    const again = (path: string): string =>
      `again: ${replayVariable}=${from.seed}${path} npx mocha dist/src/raft/raft.spec.js`;
    if (run.failed) {
      const broken = run.errorInstance instanceof Error ? run.errorInstance.message : String(run.errorInstance);
      const path = run.counterexamplePath === null ? '' : `:${run.counterexamplePath}`;
      // In this order, so that neither the beginning nor the end of the output lacks what one needs.
      const report = [broken, again(path), await fc.asyncDefaultReportMessage(run), again(path)];
      throw new Error(report.join('\n'), { cause: run.errorInstance });
    }
    // A machine that had no time for it, or a single run that is played again, shows little.
    const whole = !run.interrupted && from.path === undefined;
    if (whole) assert.ok(applied > 200, `only ${applied} entries were applied in all; ${again('')}`);
  }).timeout(60_000);
});
