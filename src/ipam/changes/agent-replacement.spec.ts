import assert from 'node:assert/strict';
import { formatCidr, parseCidr } from '#address/ip.js';
import { parseAgentId } from '#ipam/identity.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const minute = 60_000;

function replace(plan: PlanUnderTest, id: string, successor: string, { off = false, silent = true } = {}) {
  const agentId = parseAgentId(id);
  const epoch = plan.ipam.lease(agentId)?.epoch ?? 0;
  const holders = [{ agentId, epoch, silent, lastHeard: undefined }];
  return { kind: 'replace-agent', agentId, successor: parseAgentId(successor), off, holders } as const;
}

const blocks = (plan: PlanUnderTest, id: string): readonly string[] =>
  plan.ipam
    .agentsAfter(undefined, 100)
    .filter(({ agentId }) => agentId === id)
    .flatMap(({ overlays, vxlan }) => [
      ...overlays.map(({ subnet, subnet6 }) => formatCidr(subnet ?? subnet6 ?? assert.fail())),
      String(vxlan.vtepIp.address),
    ]);

describe('an agent that is replaced', () => {
  it('leaves all that it held to its successor, once the quarantine is over', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    const had = blocks(plan, 'a1');
    plan.run(replace(plan, 'a1', 'b2'), { by: 'ann' });
    plan.register('c3');
    assert.ok(!blocks(plan, 'c3').some((block) => had.includes(block)));
    plan.time += 15 * minute;
    plan.register('d4');
    assert.ok(!blocks(plan, 'd4').some((block) => had.includes(block)), 'it is kept for the successor');
    plan.register('b2');
    assert.deepEqual(blocks(plan, 'b2'), had);
    const last = plan.ipam.history({ after: 0, limit: 20, who: 'ann' }).map(({ what, detail }) => [what, detail]);
    assert.deepEqual(last, [
      ['replace-agent', 'is quarantined for 15m'],
      ['reserve', 'in the place of a1'],
    ]);
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('leaves it at once when its host is off for good, to another id or to its own on another host', () => {
    for (const successor of ['b2', 'a1']) {
      const plan = new PlanUnderTest();
      plan.register('a1');
      const had = blocks(plan, 'a1');
      plan.run(replace(plan, 'a1', successor, { off: true }));
      plan.register(successor, { instance: 'new', node: '10.0.0.99' });
      assert.deepEqual(blocks(plan, successor), had);
      assert.equal(plan.restored().hash(), plan.ipam.hash());
    }
  });

  it('must be silent, also where its host is said to be off, and the judgement must be of this lease', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    for (const off of [false, true]) {
      const live = plan.refused(replace(plan, 'a1', 'b2', { off, silent: false }));
      assert.match(live.message, /stop it and wait until it is silent/);
    }
    const stale = replace(plan, 'a1', 'b2');
    const other = { ...stale, holders: stale.holders.map((holder) => ({ ...holder, epoch: holder.epoch - 1 })) };
    assert.equal(plan.refused(other).code, 'failed-precondition');
    assert.equal(plan.refused({ ...stale, agentId: parseAgentId('z') }).code, 'not-found');
  });

  it('is not replaced while an adoption waits for it, but by an operator’s word that it is off', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    const had = blocks(plan, 'a1');
    plan.run({ kind: 'begin-adoption' });
    const waits = plan.refused(replace(plan, 'a1', 'b2'));
    assert.match(
      waits.message,
      /has not come back since the adoption began; wait until it registers, or .*--old-is-off/,
    );
    plan.run(replace(plan, 'a1', 'b2', { off: true }));
    plan.run({ kind: 'end-adoption', missing: 0 });
    plan.register('b2');
    assert.deepEqual(blocks(plan, 'b2'), had);
  });

  it('is not replaced by one that holds blocks, nor over what is set aside', () => {
    const plan = new PlanUnderTest();
    plan.register('a1');
    plan.register('b2');
    assert.match(plan.refused(replace(plan, 'a1', 'b2')).message, /agent "b2" holds blocks already/);
    const subnet = parseCidr('9.0.0.0/24');
    plan.run({ kind: 'exclude', overlay: 'dcos', subnet });
    assert.match(plan.refused(replace(plan, 'a1', 'c3')).message, /9\.0\.0\.0\/24 is excluded: unreserve that first/);
    plan.run({ kind: 'unexclude', overlay: 'dcos', subnet });
    plan.run({ kind: 'reserve', overlay: 'dcos', subnet, agentId: parseAgentId('a1') });
    plan.run(replace(plan, 'a1', 'c3', { off: true }));
    plan.register('c3');
    assert.ok(blocks(plan, 'c3').includes('9.0.0.0/24'), 'what was reserved for the old one is the new one’s');
  });
});
