import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { parseAgentId } from '#ipam/identity.js';
import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import { type KeepAliveSource, type StreamReport, StreamReports } from '#master/leases/stream-reports.js';
import { byAddress } from '#tls/caller.js';

/** Reports of a master whose leader answers when the spec says so. */
class Reporting {
  readonly delivered: (readonly StreamReport[])[] = [];
  #answer: () => void = () => undefined;
  held = false;
  readonly reports = new StreamReports({
    via: 'm1-a',
    deliver: (reports) => {
      this.delivered.push(reports);
      return this.held ? new Promise((done) => (this.#answer = done)) : Promise.resolve();
    },
  });

  /** A stream that has carried a keep-alive of this agent. */
  stream(agent: string): KeepAliveSource {
    const source = this.reports.open(byAddress('10.0.0.1:4000'));
    const { stream, connection } = source;
    const last: ReceivedKeepAlive = {
      agentId: parseAgentId(agent),
      instanceId: 'i',
      epoch: 7,
      runId: undefined,
      clusterId: '',
      revision: 0,
      branch: '',
      stream,
      connection,
    };
    source.last = last;
    return source;
  }

  async answer(): Promise<void> {
    this.#answer();
    await nextTurn();
  }

  get seen(): readonly string[] {
    return this.delivered.flat().map(({ keepAlive, closed }) => `${keepAlive.agentId} ${closed ? 'closed' : 'open'}`);
  }
}

describe('reports of keep-alive streams', () => {
  it('have a closed one at once, by its own name', () => {
    const reporting = new Reporting();
    const first = reporting.stream('a');
    reporting.stream('b');
    reporting.reports.close(first);
    assert.deepEqual(reporting.seen, ['a closed']);
    assert.equal(reporting.delivered[0]?.[0]?.keepAlive.stream, 'm1-a/1');
  });

  it('have all that is closed meanwhile in one message', async () => {
    const reporting = new Reporting();
    reporting.held = true;
    for (const source of ['a', 'b', 'c'].map((agent) => reporting.stream(agent))) reporting.reports.close(source);
    assert.equal(reporting.delivered.length, 1);
    await reporting.answer();
    assert.deepEqual(
      reporting.delivered.map((reports) => reports.length),
      [1, 2],
    );
  });

  it('have all open ones for a new leader, once', async () => {
    const reporting = new Reporting();
    reporting.held = true;
    reporting.reports.close(reporting.stream('x'));
    for (const agent of ['a', 'b']) reporting.stream(agent);
    reporting.reports.close(reporting.stream('c'));
    for (let changes = 0; changes < 10; changes++) reporting.reports.leaderChanged();
    await reporting.answer();
    assert.deepEqual(reporting.seen, ['x closed', 'c closed', 'a open', 'b open']);
  });

  it('have no stream without a keep-alive, none that this master ended, and all when it stops', () => {
    const reporting = new Reporting();
    reporting.reports.close(reporting.reports.open(byAddress('10.0.0.1:4000')));
    const ended = reporting.stream('a');
    ended.last = undefined;
    reporting.reports.close(ended);
    const open = reporting.stream('b');
    reporting.reports.stop();
    reporting.reports.close(open);
    reporting.reports.leaderChanged();
    assert.deepEqual(reporting.seen, []);
  });

  it('are 4,096 in one message, and 65,536 wait at most', async () => {
    const reporting = new Reporting();
    reporting.held = true;
    for (let at = 0; at < 70_000; at++) reporting.reports.close(reporting.stream(`a${at}`));
    while (reporting.delivered.length < 17) await reporting.answer();
    await reporting.answer();
    const counts = reporting.delivered.map((reports) => reports.length);
    assert.deepEqual(counts, [1, ...Array.from({ length: 16 }, () => 4_096)]);
  });
});
