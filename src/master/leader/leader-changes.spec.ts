import assert from 'node:assert/strict';
import { LeaderChanges, type LeaderChangesOptions } from '#master/leader/leader-changes.js';
import { logIndex, memberId, type Term, term } from '#raft/log/entry.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

const members = [1, 2, 3].map(
  (id): MemberInfo => ({
    id: memberId(id),
    name: `m${id}`,
    peer: `m${id}:7071`,
    storeId: String(id).padStart(32, '0'),
  }),
);
type Status = ReturnType<LeaderChangesOptions['log']['status']>;

/** The account of one master, whose leader the spec sets. */
class Account {
  readonly time = new VirtualTime();
  readonly lines: string[] = [];
  readonly changes: LeaderChanges;
  readonly #self: MemberInfo;
  readonly #heard = new Map<MemberInfo, number>();
  #listener: () => void = () => undefined;
  #leader: MemberInfo | undefined;
  #term: Term = term(0);

  constructor(self: number) {
    this.#self = member(self);
    this.changes = new LeaderChanges({
      log: {
        status: () => this.#status(),
        onLeadership: (listener) => {
          this.#listener = () =>
            listener({ leader: undefined, term: this.#term, isSelf: false, ready: false, paused: false });
          return () => undefined;
        },
      },
      clock: this.time,
      logger: { info: (_, line) => this.lines.push(line), warn: (_, line) => this.lines.push(`! ${line}`) },
      electionTimeoutMs: 1_000,
    });
  }

  /** The leader is this one from now on; undefined: none is known. */
  leads(id: number | undefined, inTerm: number): void {
    this.#leader = id === undefined ? undefined : member(id);
    this.#term = term(inTerm);
    this.#listener();
  }

  heard(id: number): void {
    this.#heard.set(member(id), this.time.now());
  }

  #status(): Status {
    const peers = members
      .filter((each) => each !== this.#self)
      .map((each) => ({
        member: each,
        role: 'voter' as const,
        matchIndex: logIndex(0),
        lastContactMs: this.#heard.get(each),
        report: undefined,
        reportedMs: undefined,
      }));
    const role = this.#leader === this.#self ? ('leader' as const) : ('follower' as const);
    return { self: this.#self, role, term: this.#term, leader: this.#leader, peers };
  }
}

function member(id: number): MemberInfo {
  return members[id - 1] ?? assert.fail();
}

describe('the changes of the leader', () => {
  it('are logged with the member that was silent and for how long, and for how long no leader was known', async () => {
    const account = new Account(2);
    account.leads(1, 1);
    account.heard(1);
    await account.time.runFor(1_140);
    account.leads(undefined, 2);
    await account.time.runFor(300);
    account.leads(2, 3);
    assert.deepEqual(account.lines, [
      'm1 leads, term 1 (the first one that this master sees)',
      '! no leader is known any more: m1 led term 1 (m1 was not heard for 1.1s)',
      'm2 leads, term 3 (m1 was not heard for 1.4s; none was known for 300ms)',
    ]);
    assert.equal(account.changes.count, 2);
  });

  it('distinguish a leader that handed over from one that was silent', async () => {
    const account = new Account(3);
    account.leads(1, 1);
    await account.time.runFor(5_000);
    account.heard(1);
    await account.time.runFor(12);
    account.leads(2, 2);
    assert.equal(account.lines[1], 'm2 leads, term 2 (m1 was heard 12ms ago: it handed over, or lost its quorum)');
  });

  it('say on the master that led why it leads no more', async () => {
    const asked = new Account(1);
    asked.leads(1, 1);
    asked.changes.handsOver('an operator asked for it');
    await asked.time.runFor(20);
    asked.leads(2, 2);
    assert.equal(asked.lines[1], 'm2 leads, term 2 (m1, this master, handed over: an operator asked for it)');

    const alone = new Account(1);
    alone.leads(1, 1);
    await alone.time.runFor(5_000);
    alone.leads(undefined, 1);
    assert.equal(
      alone.lines[1],
      '! no leader is known any more: m1 led term 1 (m1, this master, did not hear from a quorum for an election timeout)',
    );

    const overtaken = new Account(1);
    overtaken.leads(1, 1);
    overtaken.changes.handsOver('an operator asked for it');
    await overtaken.time.runFor(60_000);
    overtaken.leads(3, 4);
    assert.equal(overtaken.lines[1], 'm3 leads, term 4 (m1, this master, led term 1, and a quorum turned to term 4)');
  });

  it('are not logged twice: a notice without a change is none, and several terms without a leader are one loss', () => {
    const account = new Account(1);
    account.leads(2, 1);
    account.leads(2, 1);
    account.leads(undefined, 2);
    account.leads(undefined, 3);
    account.leads(2, 4);
    assert.equal(account.lines.length, 3);
    assert.match(account.lines[2] ?? '', /^m2 leads, term 4 \(it led term 1 before; none was known for 0ms\)$/);
    assert.equal(account.changes.count, 2);
  });
});
