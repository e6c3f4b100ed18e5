import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { parseIpv4 } from '#address/ipv4.js';
import { nextEpochBase } from '#ipam/branch.js';
import type { Testimony } from '#ipam/commands/proof.js';
import { parseAgentId } from '#ipam/identity.js';
import { branchesMax } from '#ipam/limits.js';
import { overlay, PlanUnderTest, subnetOf } from '#ipam/testing/plan-under-test.js';

const value = (n: number): string => n.toString(16).padStart(12, '0');
const step = 2 ** 32;

const held = (vtep: string, ...subnets: [string, string][]) => ({
  vtepIp: parseIpv4(vtep),
  subnets: subnets.map(([name, subnet]) => ({ overlay: name, subnet: parseCidr4(subnet), subnet6: undefined })),
});

/** A plan whose leader has marked its branch. */
function marked(overlays = [overlay('dcos', '9.0.0.0/8', 24)]): PlanUnderTest {
  const plan = new PlanUnderTest({}, overlays);
  plan.run({ kind: 'mark-branch', value: value(1) });
  return plan;
}

function proof(plan: PlanUnderTest, id: string | undefined, told: Partial<Testimony>): string | undefined {
  const agentId = id === undefined ? undefined : parseAgentId(id);
  return plan.ipam.proofIn({ agentId, epoch: 0, revision: 0, branch: '', held: undefined, ...told }, plan.index)
    ?.reason;
}

describe('a branch of the history', () => {
  it('is the newest mark at or below a revision', () => {
    const plan = marked();
    const first = plan.ipam.branchAt(plan.index);
    plan.register('a');
    plan.run({ kind: 'mark-branch', value: value(2) });
    const second = plan.ipam.branchAt(plan.index);
    assert.deepEqual([first, second], [`0.2.${value(1)}`, `0.4.${value(2)}`]);
    assert.deepEqual([plan.ipam.branchAt(1), plan.ipam.branchAt(3), plan.ipam.branchAt(99)], ['', first, second]);
    assert.ok(plan.ipam.hasBranch(first, 3));
    assert.ok(!plan.ipam.hasBranch(first, 4) && !plan.ipam.hasBranch('', 1));
    assert.deepEqual(plan.restored().branchesUpTo(99), [first, second]);
  });

  it('is remembered for the newest of them', () => {
    const plan = new PlanUnderTest();
    for (let n = 1; n <= branchesMax + 10; n++) plan.run({ kind: 'mark-branch', value: value(n) });
    assert.equal(plan.ipam.branchesUpTo(plan.index).length, branchesMax);
    assert.equal(plan.ipam.branchAt(11), '');
    assert.equal(plan.ipam.branchAt(12), `0.12.${value(11)}`);
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });
});

describe('a claim that the log can not have produced is a proof', () => {
  it('an epoch beyond the last index', () => {
    const plan = marked();
    assert.match(proof(plan, 'y', { epoch: plan.index + 1 }) ?? '', /agent "y" has epoch 3, and 2 is the last/);
    assert.equal(proof(plan, 'y', { epoch: plan.index }), undefined);
  });

  it('an epoch beyond the one on record for the same agent, of a lease or of one that has ended', () => {
    const plan = marked();
    plan.register('a');
    plan.register('b1');
    assert.match(proof(plan, 'a', { epoch: 4 }) ?? '', /has epoch 4, and 3 is the last on record/);
    assert.equal(proof(plan, 'a', { epoch: 3 }), undefined);
    assert.equal(proof(plan, 'a', { epoch: 2 }), undefined);
    plan.release('a');
    assert.match(proof(plan, 'a', { epoch: 4 }) ?? '', /has epoch 4, and 3 is the last on record/);
    assert.equal(proof(plan, 'a', { epoch: 3 }), undefined);
  });

  it('a revision beyond the last index, of an agent or a watcher', () => {
    const plan = marked();
    assert.match(proof(plan, undefined, { revision: 3 }) ?? '', /a watcher has seen revision 3, and the log ends at 2/);
    assert.equal(proof(plan, undefined, { revision: 2 }), undefined);
  });

  it('a revision on a branch that the plan does not have there', () => {
    const plan = marked();
    const branch = plan.ipam.branchAt(plan.index);
    plan.register('a');
    plan.run({ kind: 'mark-branch', value: value(2) });
    assert.equal(proof(plan, 'a', { epoch: 3, revision: 3, branch }), undefined);
    // It has seen revision 4 on the first branch, and the second one begins there.
    assert.match(proof(plan, 'a', { epoch: 3, revision: 4, branch }) ?? '', /has seen revision 4 on branch/);
    assert.match(proof(plan, 'a', { epoch: 3, revision: 3, branch: `0.2.${value(9)}` }) ?? '', /this plan has branch/);
    // Older than what is on record, or no branch at all: no proof either way.
    assert.equal(proof(plan, 'a', { epoch: 3, revision: 1, branch: `0.1.${value(9)}` }), undefined);
    assert.equal(proof(plan, 'a', { epoch: 3, revision: 3, branch: 'x' }), undefined);
  });

  it('a block that was never granted', () => {
    const plan = marked();
    plan.register('a');
    plan.register('b1');
    const claim = { epoch: 4, held: held('44.128.0.1', ['dcos', '9.0.0.0/24']) };
    assert.equal(proof(plan, 'a', { ...claim, epoch: 3 }), undefined);
    const never = held('44.128.0.1', ['dcos', '9.0.7.0/24']);
    assert.match(proof(plan, 'c9', { epoch: 3, held: never }) ?? '', /never granted|has held it since before/);
    plan.release('a');
    assert.equal(proof(plan, 'c9', { epoch: 3, held: claim.held }), undefined, 'it may have been its own once');
    assert.match(
      proof(plan, 'c9', { epoch: 3, held: held('44.128.0.9') }) ?? '',
      /44\.128\.0\.9 by epoch 3, and this plan has never granted it/,
    );
  });

  it('but not of an overlay that was removed since', () => {
    const plan = marked([overlay('dcos', '9.0.0.0/8', 24), overlay('web', '10.128.0.0/16', 24)]);
    plan.register('a');
    const epoch = plan.index;
    plan.release('a');
    plan.time += 3_600_000;
    plan.run({ kind: 'remove-overlay', name: 'web' });
    plan.run({ kind: 'add-overlay', overlay: overlay('web', '10.128.0.0/16', 24), source: 'operator' });
    const claim = held('44.128.0.1', ['web', '10.128.0.0/24']);
    assert.equal(proof(plan, 'a', { epoch, held: claim }), undefined);
    assert.match(proof(plan, 'z', { epoch: plan.index, held: claim }) ?? '', /never granted it/);
  });

  it('a block that another one has held since before that epoch', () => {
    const plan = marked();
    plan.register('b1');
    plan.register('c2');
    const claim = held('44.128.0.1', ['dcos', '9.0.0.0/24']);
    assert.match(proof(plan, 'a', { epoch: 4, held: claim }) ?? '', /agent "b1" has held it since before/);
    // It may have been granted to that agent before.
    assert.equal(proof(plan, 'a', { epoch: 2, held: claim }), undefined);
  });
});

describe('an adoption that a proof begins', () => {
  const begin = (plan: PlanUnderTest, claimedEpoch = 0) =>
    plan.run({ kind: 'begin-adoption', proof: { reason: 'a proof', claimedEpoch, value: value(7) } }, { by: 'y' });

  it('has its reason as long as it lasts, and in the history', () => {
    const plan = marked();
    begin(plan);
    assert.deepEqual([plan.ipam.adoption, plan.ipam.adoptionReason], [true, 'a proof']);
    assert.equal(plan.restored().adoptionReason, 'a proof');
    const entry = plan.ipam.history({ after: 0, limit: 1 })[0];
    assert.deepEqual([entry?.what, entry?.who, entry?.detail], ['begin-adoption', 'y', 'a proof']);
    plan.run({ kind: 'end-adoption', missing: 0 });
    assert.deepEqual([plan.ipam.adoption, plan.ipam.adoptionReason], [false, '']);
    assert.equal(plan.restored().hash(), plan.ipam.hash());
  });

  it('numbers epochs from a base that is 2^32 higher, and above what was claimed', () => {
    const plan = marked();
    plan.register('a');
    begin(plan);
    assert.equal(plan.agent('a').epoch, step + plan.index);
    const back = plan.register('a', { sequence: 2, held: held('44.128.0.1', ['dcos', '9.0.0.0/24']) });
    assert.equal(back.epoch, step + plan.index);
    begin(plan, 3 * step + 17);
    assert.equal(plan.agent('a').epoch, 4 * step + plan.index);
    // One claim does not use all numbers up.
    begin(plan, Number.MAX_SAFE_INTEGER);
    assert.ok(plan.agent('a').epoch <= 32 * step, `${plan.agent('a').epoch}`);
  });

  it('stays within safe integers, however often it is begun', () => {
    let base = 0;
    for (let n = 0; n < 70_000; n++) base = nextEpochBase(base, step - 1, Number.MAX_SAFE_INTEGER);
    for (let n = 0; n < 100; n++) base = nextEpochBase(base, 5, 0);
    assert.ok(Number.isSafeInteger(base + 2 * step));
    assert.equal(nextEpochBase(base, 5, 0), base, 'there is no further one');
  });

  it('is not begun again by what was lost before it', () => {
    const plan = marked();
    plan.register('a');
    begin(plan, 900);
    for (const told of [{ epoch: 900 }, { epoch: 4, revision: 3_000, branch: `0.3.${value(9)}` }]) {
      assert.equal(proof(plan, 'a', told), undefined);
    }
    assert.match(proof(plan, 'a', { epoch: step + plan.index + 1 }) ?? '', /is the last that can have been granted/);
  });

  it('is ended only with the number of those that are missing', () => {
    const plan = marked();
    for (const id of ['a', 'b1', 'c2']) plan.register(id);
    begin(plan);
    const refusal = plan.refused({ kind: 'end-adoption', missing: 2 });
    assert.equal(refusal.code, 'failed-precondition');
    assert.match(refusal.message, /3 agents on record have not come back \(a, b1, c2\), and although_missing is 2/);
    plan.register('a', { sequence: 2, held: held('44.128.0.1', ['dcos', '9.0.0.0/24']) });
    plan.run({ kind: 'end-adoption', missing: 2 });
    assert.equal(plan.ipam.adoption, false);
    assert.match(plan.ipam.history({ after: 0, limit: 1 })[0]?.detail ?? '', /although 2 on record had not come back/);
  });
});

describe('a lease that this log does not confirm', () => {
  const request = (plan: PlanUnderTest, id: string, claim: ReturnType<typeof held>, sequence = 1) =>
    plan.request(id, { held: claim, heldUnconfirmed: true, sequence });
  const register = (plan: PlanUnderTest, id: string, claim: ReturnType<typeof held>, sequence = 1) => {
    plan.run(request(plan, id, claim, sequence));
    return plan.agent(id);
  };

  it('is honoured where its blocks are free, also outside adoption', () => {
    const plan = marked();
    plan.register('b1');
    const agent = register(plan, 'a', held('44.128.0.9', ['dcos', '9.7.7.0/24']));
    assert.deepEqual([subnetOf(agent), agent.vxlan.vtepIp.address], ['9.7.7.0/24', parseIpv4('44.128.0.9')]);
  });

  it('gives nothing fresh in place of a block that another one holds', () => {
    const plan = marked();
    plan.register('b1');
    const agent = register(plan, 'a', held('44.128.0.9', ['dcos', '9.0.0.0/24']));
    assert.deepEqual(agent.overlays, []);
    assert.match(agent.problems[0]?.message ?? '', /is held by another agent.*release the other one.*state_dir/);
    const vtep = plan.refused(request(plan, 'c2', held('44.128.0.1', ['dcos', '9.9.9.0/24'])));
    assert.match(vtep.message, /VTEP address 44\.128\.0\.1.*is held by agent "b1".*sublet release b1/);
    // Once that one is released, the agent gets what it runs on.
    plan.release('b1');
    assert.equal(subnetOf(register(plan, 'a', held('44.128.0.9', ['dcos', '9.0.0.0/24']), 2)), '9.0.0.0/24');
  });

  it('keeps what the agent has on record, and gives fresh blocks of what it says nothing of', () => {
    const plan = marked([overlay('dcos', '9.0.0.0/8', 24), overlay('web', '10.128.0.0/16', 24)]);
    const agent = register(plan, 'a', held('44.128.0.9', ['dcos', '9.7.7.0/24']));
    assert.equal(subnetOf(agent, 'web'), '10.128.0.0/24');
    const again = register(plan, 'a', held('44.128.0.5', ['dcos', '9.8.8.0/24']), 2);
    assert.equal(subnetOf(again), '9.7.7.0/24');
  });

  it('is unconfirmed where it is of no known branch and nothing shows that it has ended', () => {
    const plan = marked();
    const branch = plan.ipam.branchAt(plan.index);
    plan.register('a');
    const epoch = plan.index;
    const told = {
      agentId: parseAgentId('a'),
      epoch,
      revision: epoch,
      held: held('44.128.0.1', ['dcos', '9.0.0.0/24']),
    };
    assert.equal(plan.ipam.standingOf({ ...told, branch: '' }), 'confirmed', 'it has it on record');
    plan.release('a');
    assert.equal(plan.ipam.standingOf({ ...told, branch: '' }), 'confirmed', 'it was released here');
    plan.time += 3_600_000;
    for (const id of ['b1', 'c2', 'd3']) plan.register(id);
    assert.equal(plan.ipam.standingOf({ ...told, branch }), 'confirmed');
    assert.equal(plan.ipam.standingOf({ ...told, branch: '' }), 'confirmed', 'the history tells of the release');
    const other = { ...told, agentId: parseAgentId('z'), branch: '' };
    assert.equal(plan.ipam.standingOf(other), 'unconfirmed');
  });
});
