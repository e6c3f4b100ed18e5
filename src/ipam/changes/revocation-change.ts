/**
 * The commands about revoked identities. An identity is the text ROLE/ID of a certificate. The plan keeps what was revoked;
 * masters judge connections by it.
 */

import { depart } from '#ipam/changes/departure.js';
import type { CommandOrigin, RevokeIdentity, UnrevokeIdentity } from '#ipam/commands/command.js';
import { done, type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { parseAgentId } from '#ipam/identity.js';
import { identityLengthMax, revocationsMax } from '#ipam/limits.js';
import type { Plan } from '#ipam/plan.js';
import type { PlanWriter } from '#ipam/plan-writer.js';
import { blockCidr } from '#ipam/space/space.js';

const identityPattern = /^[a-z]{1,16}\/[A-Za-z0-9._:-]{1,253}$/;
const agentPrefix = 'agent/';

export function revokeIdentity(
  plan: Plan,
  writer: PlanWriter,
  { identity, cause, release, wallTime, by }: RevokeIdentity & CommandOrigin,
): Reply | Refusal {
  const wrong = wrongWith('revoke', identity);
  if (wrong !== undefined) return wrong;
  if (release && !identity.startsWith(agentPrefix)) {
    return refuse('invalid-argument', 'release', `revoke ${identity}: release is for agents only`);
  }
  const old = plan.revocations.get(identity);
  const revoked =
    old !== undefined && old.acceptedFrom === undefined && (old.cause === 'operator' || old.cause === cause);
  if (!revoked && old === undefined && plan.revocations.size >= revocationsMax) {
    const message = `revoke ${identity}: ${revocationsMax} identities are revoked, as many as may be; unrevoke those whose certificates have ended`;
    return refuse('resource-exhausted', 'identity', message);
  }
  const agent = release ? plan.agents.get(parseAgentId(identity.slice(agentPrefix.length))) : undefined;
  if (!revoked) {
    writer.putRevocation({ identity, cause, since: wallTime, by, acceptedFrom: undefined });
    writer.note('revoke-identity', by, [identity], cause === 'removal' ? 'its master was removed' : '');
    if (cause === 'operator') voidTokens(plan, writer, identity);
  }
  if (agent === undefined) return { kind: 'released', released: [] };
  const freed = depart(writer, agent, 'release', by, false);
  return { kind: 'released', released: freed.map(({ space, block }) => blockCidr(space, block)) };
}

/** They stay so once the identity is taken back: the thief of a key may have a token for its identity, too. */
function voidTokens(plan: Plan, writer: PlanWriter, identity: string): void {
  for (const [, token] of [...plan.tokens.entries()]) {
    if (`${token.role}/${token.subject}` === identity && !token.revoked) writer.putToken({ ...token, revoked: true });
  }
}

export function unrevokeIdentity(
  plan: Plan,
  writer: PlanWriter,
  { identity, cause, acceptedFrom, by }: UnrevokeIdentity & CommandOrigin,
): Reply | Refusal {
  const wrong = wrongWith('unrevoke', identity);
  if (wrong !== undefined) return wrong;
  const old = plan.revocations.get(identity);
  if (old === undefined) return refuse('not-found', 'identity', `unrevoke ${identity}: it is not revoked`);
  if (cause === 'removal' && old.cause !== 'removal') {
    return refuse('failed-precondition', 'identity', `unrevoke ${identity}: ${old.by} has revoked it`);
  }
  if (acceptedFrom === undefined) {
    writer.dropRevocation(old);
    writer.note('unrevoke-identity', by, [identity]);
    return done();
  }
  if (old.acceptedFrom === acceptedFrom) return done();
  writer.putRevocation({ ...old, acceptedFrom });
  writer.note('unrevoke-identity', by, [identity], 'later certificates alone');
  return done();
}

function wrongWith(action: string, identity: string): Refusal | undefined {
  if (identity.length <= identityLengthMax && identityPattern.test(identity)) return undefined;
  const shown = JSON.stringify(identity.slice(0, identityLengthMax));
  return refuse(
    'invalid-argument',
    'identity',
    `${action}: identity ${shown}: ROLE/ID is needed, such as agent/host-7`,
  );
}
