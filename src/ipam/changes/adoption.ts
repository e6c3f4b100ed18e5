/**
 * The time in which agents get what they say they hold and nothing fresh is granted (rule 12), and the branches of the
 * log's history that show when it is needed. A restore begins it, or a proof that this plan went back.
 */
import type { AgentRecord } from '#ipam/agent-record.js';
import { nextEpochBase } from '#ipam/branch.js';
import { carriedOver } from '#ipam/changes/claim.js';
import type { AdoptionProof, BeginAdoption, EndAdoption, MarkBranch } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { adoptionReasonLengthMax } from '#ipam/limits.js';
import type { Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';

/** Agents on record that have not come back. */
export type Awaited = { readonly count: number; readonly first: readonly AgentRecord['agentId'][] };

/** Missing agents that a refusal names. */
const namedMax = 5;

/**
 * Also in one that is in progress: a plan that was saved during adoption begins anew like any other, and one may have
 * gone back while it was.
 */
export function beginAdoption(writer: PlanWriter, { proof }: BeginAdoption): Reply | Refusal {
  const refusal = proof === undefined ? undefined : leaveBranch(writer, proof);
  if (refusal !== undefined) return refusal;
  const reason = proof?.reason ?? '';
  writer.beginAdoption(reason);
  writer.note('begin-adoption', writer.origin.by, [], reason);
  return done();
}

/** What was proved to have gone back goes on as another branch, with epochs above all that were claimed. */
function leaveBranch(writer: PlanWriter, { reason, claimedEpoch, value }: AdoptionProof): Refusal | undefined {
  if (reason.length === 0 || reason.length > adoptionReasonLengthMax) {
    const message = `begin-adoption: the reason has ${reason.length} characters: 1 to ${adoptionReasonLengthMax} are allowed`;
    return refuse('invalid-argument', 'reason', message);
  }
  const { epochBase } = writer.plan.meta;
  writer.raiseEpochs(nextEpochBase(epochBase, writer.position.index, claimedEpoch));
  writer.beginBranch(value);
  return undefined;
}

export function endAdoption(plan: Plan, writer: PlanWriter, { missing }: EndAdoption): Reply | Refusal {
  if (!plan.meta.adoption) return done();
  const awaited = awaitedIn(plan, namedMax);
  if (awaited.count > missing) {
    const more = awaited.count - awaited.first.length;
    const named = `${awaited.first.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
    const message =
      `end adoption: ${awaited.count} agents on record have not come back (${named}), and although_missing is ${missing}: ` +
      'their blocks may be granted to others once it has ended. Wait for those that still run, release those that are gone ' +
      `(\`sublet release ID --force\`), or say \`sublet adoption end --although-missing ${awaited.count}\``;
    return refuse('failed-precondition', 'although_missing', message);
  }
  writer.endAdoption();
  const detail = awaited.count > 0 ? `although ${awaited.count} on record had not come back` : '';
  writer.note('end-adoption', writer.origin.by, [], detail);
  return done();
}

export function markBranch(writer: PlanWriter, { value }: MarkBranch): Reply {
  writer.beginBranch(value);
  return done();
}

/** The first `limit` by ascending id. */
export function awaitedIn(plan: Plan, limit: number): Awaited {
  const first: AgentRecord['agentId'][] = [];
  let count = 0;
  if (plan.meta.adoption) {
    for (const [agentId, record] of plan.agents.entries()) {
      if (!carriedOver(plan, record)) continue;
      if (count < limit) first.push(agentId);
      count += 1;
    }
  }
  return { count, first };
}
