import assert from 'node:assert/strict';
import { clusterService } from '#api/services.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import { type TestMaster, TestMasters } from '#master/testing/test-masters.js';
import { noCaller } from '#tls/caller.js';

/** One bit more in what a master believes, behind the back of its log. */
function corrupt({ machine }: TestMaster): void {
  // biome-ignore lint/complexity/useLiteralKeys: the private part of another class is reached on purpose.
  machine.ipam['plan'].hash.add(Uint8Array.of(1), Uint8Array.of(1));
}

async function start(count: number): Promise<{ readonly masters: TestMasters; readonly stopped: Map<number, string> }> {
  const stopped = new Map<number, string>();
  const masters = await TestMasters.start({ count, onCorrupt: (at, { message }) => stopped.set(at, message) });
  for (let agent = 0; agent < 5; agent++) await masters.register(`agent-${agent}`);
  return { masters, stopped };
}

async function warnings(masters: TestMasters, at: number): Promise<readonly string[]> {
  const status = await masters.client(at).call(clusterService.getStatus, {}, { idempotent: true });
  return status.warnings.map(({ message }) => message ?? '');
}

describe('comparing the masters', () => {
  it('finds nothing while all have the same plan, at whatever pace they apply', async () => {
    const { masters, stopped } = await start(3);
    await using _ = masters;
    const busy = Promise.all(Array.from({ length: 50 }, (_, agent) => masters.register(`agent-${agent + 10}`)));
    for (let round = 0; round < 5; round++) await masters.master(0).services.comparison.compare();
    await busy;
    assert.equal(masters.master(0).services.comparison.compared, 5);
    assert.equal(masters.master(0).services.comparison.difference, '');
    assert.equal(stopped.size, 0);
  });

  for (const at of [0, 1, 2]) {
    it(`stops the one of three that differs${at === 0 ? ', also when it leads' : ''}, and all say so (${at})`, async () => {
      const { masters, stopped } = await start(3);
      await using _ = masters;
      corrupt(masters.master(at));
      await masters.register('agent-7');
      await masters.master(0).services.comparison.compare();
      assert.deepEqual([...stopped.keys()], [at]);
      assert.match(
        stopped.get(at) ?? '',
        /is corrupt: the masters differ in the plan at revision \d+: .* It must not go on/,
      );
      for (const each of [0, 1, 2]) {
        assert.match((await warnings(masters, each)).join(), /the masters differ in the plan/);
      }
    });
  }

  it('says so until the one that differs answers again, and agrees', async () => {
    const { masters } = await start(3);
    await using _ = masters;
    const { comparison } = masters.master(0).services;
    corrupt(masters.master(2));
    await masters.register('agent-7');
    await comparison.compare();
    assert.notEqual(comparison.difference, '');
    // All are equal again.
    for (const at of [0, 1]) corrupt(masters.master(at));
    await masters.register('agent-8');
    await comparison.compare();
    assert.equal(comparison.difference, '');

    corrupt(masters.master(2));
    await masters.register('agent-9');
    await comparison.compare();
    assert.notEqual(comparison.difference, '');
    masters.master(2).peerServer.forceShutdown();
    await comparison.compare();
    assert.notEqual(comparison.difference, '', 'it has stopped, and is not put right by that');
  });

  it('calls no plan corrupt that comes from another log, and has its data kept', async () => {
    for (const at of [0, 2]) {
      const { masters, stopped } = await start(3);
      await using _ = masters;
      const { machine } = masters.master(at);
      // biome-ignore lint/complexity/useLiteralKeys: as above.
      machine.ipam['plan'].branches.push({ index: machine.ipam.revision, epochBase: 0, value: 'ffffffffffff' });
      corrupt(masters.master(at));
      await masters.register('agent-7');
      await masters.master(0).services.comparison.compare();
      assert.deepEqual([...stopped.keys()], [at]);
      assert.match(
        stopped.get(at) ?? '',
        /the log of master .* is not the one of the others: .* keep the data directories/,
      );
      assert.doesNotMatch(stopped.get(at) ?? '', /corrupt:/);
      const { warnings: said } = await masters.client(1).call(clusterService.getStatus, {}, { idempotent: true });
      assert.match(said.map(({ remedy }) => remedy).join(), /keep the data directories of all/);
    }
  });

  it('reports a difference of two and stops neither: there is no majority', async () => {
    const { masters, stopped } = await start(2);
    await using _ = masters;
    corrupt(masters.master(1));
    await masters.master(0).services.comparison.compare();
    assert.equal(stopped.size, 0);
    assert.match((await warnings(masters, 1)).join(), /the masters differ in the plan/);
  });

  /** What any caller can send to the peer port of a master. */
  async function told(masters: TestMasters, at: number, as: { readonly leaderId: number; readonly term: number }) {
    const { services, machine } = masters.master(at);
    const { request } = forwardMethods.compareState;
    const verdict = {
      revision: machine.ipam.revision,
      concluded: true,
      ...as,
      difference: 'forged by a stranger',
      majorityHash: '0'.repeat(32),
    };
    const context = { caller: noCaller, deadline: Number.POSITIVE_INFINITY, forwarded: true };
    await services.comparison.endpoint.handle(request.encode(verdict).finish(), context);
  }

  it('row 28: stops no master by a forged verdict, and repeats nothing of it', async () => {
    const { masters, stopped } = await start(3);
    await using _ = masters;
    const { term, leader } = masters.master(1).member.status();
    for (const as of [
      { leaderId: leader?.id ?? 0, term },
      { leaderId: 3, term },
      { leaderId: leader?.id ?? 0, term: term + 1 },
    ]) {
      await told(masters, 1, as);
      assert.equal(masters.master(1).services.comparison.difference, '');
    }
    assert.equal(stopped.size, 0);
  });

  it('believes the leader alone, in its term, that there is something to look for', async () => {
    const { masters, stopped } = await start(3);
    await using _ = masters;
    corrupt(masters.master(1));
    const { term, leader } = masters.master(1).member.status();
    await told(masters, 1, { leaderId: 3, term });
    await told(masters, 1, { leaderId: leader?.id ?? 0, term: term - 1 });
    assert.equal(stopped.size, 0);
    // Then what it finds by itself counts: it is the one that differs.
    await told(masters, 1, { leaderId: leader?.id ?? 0, term });
    assert.deepEqual([...stopped.keys()], [1]);
    assert.doesNotMatch(stopped.get(1) ?? '', /forged|empty their data/);
    assert.match(stopped.get(1) ?? '', /keep their data directories/);
  });

  it('is not made by a follower', async () => {
    const { masters } = await start(2);
    await using _ = masters;
    await masters.master(1).services.comparison.compare();
    assert.equal(masters.master(1).services.comparison.compared, 0);
  });
});
