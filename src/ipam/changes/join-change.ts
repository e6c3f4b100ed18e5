/** The commands about tokens for joining. Their time is cluster time, which comes with each command. */
import { formatIp, type Ip } from '#address/ip.js';
import type { CreateToken, RevokeToken, UseToken } from '#ipam/commands/command.js';
import { type Refusal, type Reply, refuse } from '#ipam/commands/result.js';
import { type JoinToken, tokenState } from '#ipam/join-token.js';
import {
  agentIdLengthMax,
  certificatesPerKeyMax,
  masterNameLengthMax,
  tokensMax,
  tokenTtlMaxMs,
  tokenUsesMax,
} from '#ipam/limits.js';
import type { Plan } from '#ipam/plan.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import type { PlanWriter } from '#ipam/plan-writer.js';

/** How long a token is listed after its end. */
const listedAfterEndMs = 24 * 3600 * 1000;

export function createToken(plan: Plan, writer: PlanWriter, command: CreateToken): Reply | Refusal {
  const { id, secretHash, role, subject, nodeIp, ttlMs, uses } = command;
  const wrong = wrongWith(command);
  if (wrong !== undefined) return refuse('invalid-argument', wrong.field, `create token: ${wrong.message}`);
  const revoked = revokedFor(plan, 'create token', role, subject);
  if (revoked !== undefined) return revoked;
  if (plan.tokens.get(id) !== undefined) return refuse('already-exists', 'id', `create token: ${id} is there already`);
  const gone = [...plan.tokens.entries()].filter(([, token]) => token.endsAt + listedAfterEndMs <= writer.time);
  if (plan.tokens.size - gone.length >= tokensMax) {
    const message = `create token: ${tokensMax} tokens are listed, and no more are allowed: a token is listed until a day after its end`;
    return refuse('resource-exhausted', '', message);
  }
  for (const [, token] of gone) writer.dropToken(token);
  const { by: createdBy, wallTime: createdAt } = writer.origin;
  const ends = { endsAt: writer.time + ttlMs, uses, keys: [], revoked: false };
  const token: JoinToken = { id, secretHash, role, subject, nodeIp, ...ends, createdBy, createdAt };
  writer.putToken(token);
  const from = nodeIp === undefined ? '' : `, from ${formatIp(nodeIp)}`;
  const detail = `for ${role}/${subject}${from}, ${uses} ${uses === 1 ? 'use' : 'uses'}`;
  writer.note('create-token', createdBy, [id, subject], detail);
  return { kind: 'token', token };
}

export function useToken(plan: Plan, writer: PlanWriter, command: UseToken): Reply | Refusal {
  const token = plan.tokens.get(command.id);
  const refusal = refusalOfUse(token, command, writer.time) ?? revokedFor(plan, 'join', command.role, command.subject);
  if (refusal !== undefined) return refusal;
  assertInvariant(token !== undefined, 'a token that is not there is of no use');
  const { keyHash: hash, address } = command;
  const known = token.keys.find((key) => key.hash === hash);
  const keys =
    known === undefined
      ? [...token.keys, { hash, address, times: 1 }]
      : token.keys.map((key) => (key === known ? { ...key, times: key.times + 1 } : key));
  const used = { ...token, keys };
  writer.putToken(used);
  const { id, role, subject } = used;
  const detail = `${role}/${subject} joined${known === undefined ? '' : ' again, with the same key'}`;
  writer.note('use-token', writer.origin.by, [id, subject], detail);
  return { kind: 'token', token: used };
}

/** An identity that an admin has revoked gets no certificate by a token. A master that was removed does: to be added again. */
function revokedFor(plan: Plan, action: string, role: string, subject: string): Refusal | undefined {
  const found = plan.revocations.get(`${role}/${subject}`);
  if (found?.cause !== 'operator' || found.acceptedFrom !== undefined) return undefined;
  const remedy = `sublet certs unrevoke ${found.identity} --later-only`;
  return refuse('failed-precondition', 'id', `${action}: ${found.identity} was revoked by ${found.by}: ${remedy}`);
}

/**
 * Why a token is of no use for what is asked; undefined: it is of use. Only a caller that has the secret learns more than
 * that there is no such token.
 */
export function refusalOfUse(
  token: JoinToken | undefined,
  asked: Omit<UseToken, 'kind' | 'keyHash'> & { readonly keyHash?: string },
  time: number,
): Refusal | undefined {
  if (token === undefined || token.secretHash !== asked.secretHash) {
    return refuse('not-found', 'token', 'join: there is no such token: it is mistyped, or ended more than a day ago');
  }
  const { id, role, subject, nodeIp } = token;
  const remedy = `make another one: sublet token create --role ${role} --id ${subject}`;
  if (role !== asked.role || subject !== asked.subject) {
    const other = `make another one: sublet token create --role ${asked.role} --id ${asked.subject}`;
    const way = role === asked.role ? `set id to ${subject}, or ${other}` : other;
    const message = `join: token ${id} is for ${role}/${subject}, and ${asked.role}/${asked.subject} has tried to use it; ${way}`;
    return refuse('failed-precondition', 'id', message);
  }
  if (nodeIp !== undefined && nodeIp !== asked.address) {
    const message = `join: token ${id} is for a host that calls from ${formatIp(nodeIp)}, and this one calls from ${formatIp(asked.address)}; ${remedy} --node-ip ${formatIp(asked.address)}`;
    return refuse('failed-precondition', 'node_ip', message);
  }
  switch (tokenState(token, time)) {
    case 'revoked':
      return refuse('failed-precondition', 'token', `join: token ${id} is revoked; ${remedy}`);
    case 'ended':
      return refuse('failed-precondition', 'token', `join: token ${id} has ended; ${remedy}`);
    case 'used':
    case 'valid': {
      const why = asked.keyHash === undefined ? undefined : keyRefusal(token, asked.keyHash, asked.address);
      if (why === undefined) return undefined;
      return refuse('failed-precondition', 'token', `join: token ${id} ${why}; ${remedy}`);
    }
  }
}

/** Why a key is not certified with a token that is of use; undefined: it is. A host whose answer was lost asks with the same key. */
function keyRefusal({ keys, uses }: JoinToken, hash: string, address: Ip): string | undefined {
  const known = keys.find((key) => key.hash === hash);
  if (known === undefined) {
    return keys.length < uses ? undefined : `was used ${uses === 1 ? 'once' : `${uses} times`} already`;
  }
  if (known.address !== address) {
    return `was used for this key from ${formatIp(known.address)}, and the host now calls from ${formatIp(address)}`;
  }
  if (known.times < certificatesPerKeyMax) return undefined;
  return `has brought this key ${known.times} certificates, as many as may be`;
}

export function revokeToken(plan: Plan, writer: PlanWriter, { id }: RevokeToken): Reply | Refusal {
  const token = plan.tokens.get(id);
  if (token === undefined) return refuse('not-found', 'id', `revoke token: there is no token ${id}`);
  if (token.revoked) return { kind: 'token', token };
  const revoked = { ...token, revoked: true };
  writer.putToken(revoked);
  writer.note('revoke-token', writer.origin.by, [id, token.subject], `for ${token.role}/${token.subject}`);
  return { kind: 'token', token: revoked };
}

/** The first field that is wrong. Ids and hashes come from the master, not from a caller. */
function wrongWith(command: CreateToken): { readonly field: string; readonly message: string } | undefined {
  const { role, subject, ttlMs, uses } = command;
  const max = role === 'agent' ? agentIdLengthMax : masterNameLengthMax;
  const pattern = role === 'agent' ? /^[A-Za-z0-9._:-]+$/ : /^[a-z0-9.-]+$/;
  if (subject.length < 1 || subject.length > max || !pattern.test(subject)) {
    const characters = role === 'agent' ? '[A-Za-z0-9._:-]' : '[a-z0-9.-]';
    const message = `id ${JSON.stringify(subject.slice(0, max))} has ${subject.length} characters: 1 to ${max} of ${characters} are allowed for ${role}s`;
    return { field: 'id', message };
  }
  if (ttlMs < 1 || ttlMs > tokenTtlMaxMs) {
    return { field: 'ttl_ms', message: `ttl_ms is ${ttlMs}: 1 to ${tokenTtlMaxMs} (a day) are allowed` };
  }
  if (uses < 1 || uses > tokenUsesMax) {
    return { field: 'uses', message: `uses is ${uses}: 1 to ${tokenUsesMax} are allowed` };
  }
  return undefined;
}
