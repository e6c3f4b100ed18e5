/** JoinService's methods for admins: tokens with which hosts get their first certificate. */
import { formatIp, parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { certificateService } from '#api/services.js';
import type { Answer } from '#ipam/commands/result.js';
import { type JoinToken, joinRoles, tokenState } from '#ipam/join-token.js';
import { type CallContext, type Endpoint, endpoint } from '#master/server/endpoint.js';
import { parseField, safeInteger } from '#master/server/refusal-mapping.js';
import { origin } from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { timestamp } from '#master/services/plan-message.js';
import { sublet } from '#proto/sublet.js';

const { TokenState } = sublet.v1;

export type JoinTokenServiceOptions = {
  readonly plan: PlanClient;
  /** Ms since 1970. */
  readonly wallClock: () => number;
};

const write = { place: 'leader', idempotent: false } as const;
const read = { place: 'here', idempotent: true } as const;
const idBytes = 16;
const hashBytes = 32;

export function joinTokenEndpoints({ plan, wallClock }: JoinTokenServiceOptions): readonly Endpoint[] {
  const by = ({ caller }: CallContext) => origin(caller, 0, wallClock());
  const message = (token: JoinToken): sublet.v1.Token.$Properties => tokenMessage(token, plan.time, wallClock());
  const answerOf = (answer: Answer) => {
    if (answer.kind !== 'token') throw new RangeError(`a command about a token was answered with "${answer.kind}"`);
    return { token: message(answer.token), revision: answer.revision };
  };
  return [
    endpoint(certificateService.createToken, write, async (request, context) => {
      const { subject, uses } = request;
      const nodeIp = request.nodeIp === '' ? undefined : parseField('node_ip', request.nodeIp, parseIp);
      const role = joinRoles.find((each) => each === request.role);
      if (role === undefined) {
        const given = JSON.stringify(request.role.slice(0, 64));
        throw new RefusedError('invalid-argument', `role is ${given}: one of ${joinRoles.join(', ')} is allowed`);
      }
      const [id, secretHash] = [
        hexOf('token_id', request.tokenId, idBytes),
        hexOf('secret_hash', request.secretHash, hashBytes),
      ];
      const bound = { role, subject, nodeIp, ttlMs: safeInteger('ttl_ms', request.ttlMs), uses };
      return answerOf(await plan.change({ ...by(context), kind: 'create-token', id, secretHash, ...bound }));
    }),
    endpoint(certificateService.listTokens, read, async ({ stale }) => {
      const ipam = await plan.read(stale);
      return { tokens: ipam.tokens().map(message), revision: ipam.revision };
    }),
    endpoint(certificateService.revokeToken, write, async ({ tokenId }, context) =>
      answerOf(await plan.change({ ...by(context), kind: 'revoke-token', id: hexOf('token_id', tokenId, idBytes) })),
    ),
  ];
}

/** @throws RefusedError */
export function hexOf(field: string, bytes: Uint8Array, length: number): string {
  if (bytes.length !== length) {
    throw new RefusedError('invalid-argument', `${field} has ${bytes.length} bytes: ${length} are needed`);
  }
  return Buffer.from(bytes).toString('hex');
}

const states = {
  valid: TokenState.TOKEN_STATE_VALID,
  used: TokenState.TOKEN_STATE_USED,
  revoked: TokenState.TOKEN_STATE_REVOKED,
  ended: TokenState.TOKEN_STATE_ENDED,
} as const;

/** `time` is cluster time, `now` the wall clock's: an end is a moment of cluster time, and shown by the clock. */
function tokenMessage(token: JoinToken, time: number, now: number): sublet.v1.Token.$Properties {
  const { id, role, subject, nodeIp, uses, keys, createdBy } = token;
  return {
    id: Buffer.from(id, 'hex'),
    role,
    subject,
    nodeIp: nodeIp === undefined ? '' : formatIp(nodeIp),
    ends: timestamp(Math.max(0, now + token.endsAt - time)),
    uses,
    used: keys.length,
    state: states[tokenState(token, time)],
    createdBy,
    created: timestamp(token.createdAt),
  };
}
