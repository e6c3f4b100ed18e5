import assert from 'node:assert/strict';
import { RaftError } from '#raft/errors.js';
import { type Entry, logIndex, term } from '#raft/log/entry.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { defaultReplicaLimits } from '#replica/replica-options.js';
import { type ProposalLimits, Proposals } from '#replica/requests/proposals.js';

/** A core that leads in `term` and has its log begin at `next`. */
class Leader {
  term = term(5);
  next = 10;
  full = false;
  readonly taken: number[] = [];

  propose(data: readonly Uint8Array[]) {
    if (this.full) throw new RaftError('proposal-dropped', 'too much is uncommitted');
    const firstIndex = logIndex(this.next);
    this.next += data.length;
    this.taken.push(data.length);
    return { term: this.term, firstIndex };
  }
}

function make(limits: Partial<ProposalLimits> = {}): Proposals<string> {
  return new Proposals<string>({ ...defaultReplicaLimits.proposals, ...limits });
}

function entry(index: number, inTerm: number): Entry {
  return { index: logIndex(index), term: term(inTerm), type: 'normal', data: Uint8Array.of(1) };
}

function applied(index: number, output: string) {
  return { index: logIndex(index), time: 0, output };
}

/** What becomes of a command, in a word. */
function fate(answer: Promise<{ readonly output: string }>): Promise<string> {
  return answer.then(
    ({ output }) => output,
    (error: unknown) => (error instanceof ProposeError ? error.code : String(error)),
  );
}

describe('proposals', () => {
  it('are answered with what came of their own entry', async () => {
    const proposals = make();
    const answers = ['a', 'b'].map((text) => fate(proposals.add(Buffer.from(text))));
    proposals.proposeTo(new Leader(), 0);
    proposals.applied(applied(10, 'first'), entry(10, 5));
    proposals.applied(applied(11, 'second'), entry(11, 5));
    assert.deepEqual(await Promise.all(answers), ['first', 'second']);
    assert.equal(proposals.inFlight, 0);
  });

  it('are not answered with an entry of an earlier term that was committed in their place', async () => {
    const proposals = make();
    const answer = fate(proposals.add(Buffer.from('a')));
    proposals.proposeTo(new Leader(), 0);
    proposals.applied(applied(10, 'not its own'), entry(10, 4));
    assert.equal(await answer, 'not-leader');
  });

  it('are rejected with the first entry of a later term if they were replaced, those further on, too', async () => {
    const proposals = make();
    const leader = new Leader();
    const lost = ['a', 'b', 'c'].map((text) => fate(proposals.add(Buffer.from(text))));
    proposals.proposeTo(leader, 0);
    proposals.applied(applied(10, 'a'), entry(10, 5));
    proposals.passed({ ...entry(11, 7), data: new Uint8Array() });
    leader.term = term(7);
    leader.next = 12;
    const kept = fate(proposals.add(Buffer.from('d')));
    proposals.proposeTo(leader, 0);
    proposals.applied(applied(12, 'd'), entry(12, 7));
    assert.deepEqual(await Promise.all([...lost, kept]), ['a', 'not-leader', 'not-leader', 'd']);
  });

  it('wait while as many as may be are under way, and while the core takes none', async () => {
    const proposals = make({ underWayMax: 2 });
    const leader = new Leader();
    const answers = ['a', 'b', 'c'].map((text) => fate(proposals.add(Buffer.from(text))));
    leader.full = true;
    proposals.proposeTo(leader, 0);
    assert.equal(proposals.queued, 3);
    leader.full = false;
    proposals.proposeTo(leader, 0);
    proposals.proposeTo(leader, 0);
    assert.deepEqual([proposals.queued, proposals.inFlight], [1, 2]);
    proposals.applied(applied(10, 'a'), entry(10, 5));
    proposals.proposeTo(leader, 0);
    proposals.applied(applied(11, 'b'), entry(11, 5));
    proposals.applied(applied(12, 'c'), entry(12, 5));
    assert.deepEqual(await Promise.all(answers), ['a', 'b', 'c']);
    assert.deepEqual(leader.taken, [2, 1]);
  });

  it('go in batches of so many commands, and so many bytes', () => {
    const proposals = make({ perBatchMax: 3, bytesPerBatchMax: 10 });
    const leader = new Leader();
    for (const bytes of [1, 1, 1, 6, 4, 1, 30, 2]) proposals.add(Buffer.alloc(bytes)).catch(() => {});
    while (proposals.queued > 0) proposals.proposeTo(leader, 0);
    assert.deepEqual(leader.taken, [3, 2, 1, 1, 1]);
  });
});
