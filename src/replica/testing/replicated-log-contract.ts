/** What every `ReplicatedLog` does: a `Replica`, and the log without consensus that specs of servers use. */
import assert from 'node:assert/strict';
import { type ContractCase, contractCase, type Subject } from '#replica/contracts/contract.js';
import { type Applied, ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

export type ContractLogs = {
  /** Of each of three members, with a `LedgerMachine`; the first one leads, and may serve. */
  readonly logs: readonly [ReplicatedLog<string>, ReplicatedLog<string>, ReplicatedLog<string>];
  /** Has the second member lead in place of the first one; resolves when it may serve. */
  readonly elect: () => Promise<void>;
  /** Has no member lead; resolves when each member knows that. */
  readonly depose: () => Promise<void>;
  /** Advances time until the promise is settled, and gives its outcome. */
  readonly settled: <Value>(promise: Promise<Value>) => Promise<Value>;
  /** Advances time until `holds` returns true. Rejects when that takes too long. */
  readonly until: (what: string, holds: () => boolean) => Promise<void>;
};

export function replicatedLogContract(make: () => Promise<Subject<ContractLogs>>): readonly ContractCase[] {
  const logCase = (name: string, check: (subject: ContractLogs) => Promise<void>): ContractCase =>
    contractCase(make, name, check);
  return [
    logCase('answers a command with its output, once it is applied', async ({ logs: [leader], settled }) => {
      const seen: Applied<string>[] = [];
      leader.onApplied((applied) => seen.push(applied));
      const answer = await settled(leader.propose(command('one')));
      assert.equal(answer.output, '1: one');
      assert.deepEqual(seen, [answer], 'listeners come first');
      assert.ok(leader.status().appliedIndex >= answer.index);
      assert.ok(leader.status().commitIndex >= answer.index);
    }),
    logCase('applies commands in the order of their proposals', async ({ logs: [leader], settled }) => {
      const answers = await settled(Promise.all(['a', 'b', 'c'].map((text) => leader.propose(command(text)))));
      assert.deepEqual(outputs(answers), ['1: a', '2: b', '3: c']);
      const indexes = answers.map(({ index }) => index);
      assert.deepEqual(
        indexes,
        [...new Set(indexes)].sort((a, b) => a - b),
      );
    }),
    logCase('applies the same on each member, at the same index and time', async ({ logs, settled, until }) => {
      const seen = logs.map((log) => {
        const applied: Applied<string>[] = [];
        log.onApplied((one) => applied.push(one));
        return applied;
      });
      for (const text of ['one', 'two']) await settled(logs[0].propose(command(text)));
      await until('each member has both', () => seen.every(({ length }) => length === 2));
      for (const applied of seen) assert.deepEqual(applied, seen[0]);
      assert.deepEqual(outputs(seen[0] ?? []), ['1: one', '2: two']);
    }),
    logCase('calls a listener no more that has unsubscribed', async ({ logs: [leader], settled }) => {
      const seen: Applied<string>[] = [];
      const unsubscribe = leader.onApplied((applied) => seen.push(applied));
      await settled(leader.propose(command('one')));
      unsubscribe();
      await settled(leader.propose(command('two')));
      assert.deepEqual(outputs(seen), ['1: one']);
    }),
    logCase('takes no command on a follower, and names the leader', async ({ logs: [leader, follower], settled }) => {
      const error = await refusal(settled(follower.propose(command('one'))));
      assert.equal(error.code, 'not-leader');
      assert.equal(error.leader?.id, leader.status().self.id);
    }),
    logCase('has applied what was answered before a read, on any member', async ({ logs, settled }) => {
      const { index } = await settled(logs[0].propose(command('one')));
      for (const log of logs) {
        const read = await settled(log.readBarrier());
        assert.ok(read >= index, `${read} is before ${index}`);
        assert.ok(log.status().appliedIndex >= read);
      }
    }),
    logCase('reports the new leader to each member, and that it may serve', async ({ logs, elect, until }) => {
      const [former, next] = logs;
      const seen = logs.map((log) => {
        const notices: { leader: unknown; term: number; isSelf: boolean; ready: boolean }[] = [];
        log.onLeadership(({ leader, term, isSelf, ready }) => notices.push({ leader, term, isSelf, ready }));
        return notices;
      });
      const { term } = former.status();
      await elect();
      const { id } = next.status().self;
      await until('each member knows it', () => logs.every((log) => log.status().leader?.id === id));
      assert.deepEqual(
        logs.map((log) => [log.status().leaderReady, log.status().role]),
        [
          [false, 'follower'],
          [true, 'leader'],
          [false, 'follower'],
        ],
      );
      for (const [at, notices] of seen.entries()) {
        const last = notices.at(-1);
        assert.deepEqual([last?.leader, last?.isSelf, last?.ready], [id, at === 1, at === 1]);
        assert.ok((last?.term ?? 0) > term, 'in a later term');
      }
    }),
    logCase('takes commands at the new leader alone', async ({ logs: [former, next], elect, settled }) => {
      await elect();
      assert.equal((await settled(next.propose(command('one')))).output, '1: one');
      assert.equal((await refusal(settled(former.propose(command('two'))))).code, 'not-leader');
    }),
    logCase('has neither commands nor reads without a leader', async ({ logs: [log], depose, settled }) => {
      await depose();
      for (const answer of [log.propose(command('one')), log.readBarrier()]) {
        const { code, leader } = await refusal(settled<unknown>(answer));
        assert.deepEqual([code, leader], ['not-leader', undefined]);
      }
      assert.equal(log.status().leader, undefined);
    }),
  ];
}

function command(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function outputs(applied: readonly Applied<string>[]): readonly string[] {
  return applied.map(({ output }) => output);
}

async function refusal(answer: Promise<unknown>): Promise<ProposeError> {
  const error = await answer.then(
    () => assert.fail('it was taken'),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ProposeError, String(error));
  return error;
}
