/** Tokens for joining and the commands about them, between their values and what is stored. */
import { ipBytes } from '#address/ip-bytes.js';
import { ipOf, present, RecordError } from '#ipam/codec/wire.js';
import type { CreateToken, RevokeToken, UseToken } from '#ipam/commands/command.js';
import { type JoinRole, type JoinToken, joinRoles } from '#ipam/join-token.js';
import type { sublet } from '#proto/sublet.js';

type TokenAction = CreateToken | UseToken | RevokeToken;
type TokenField = 'createToken' | 'useToken' | 'revokeToken';

export function toTokenAction(action: TokenAction): sublet.store.v1.Command.$Properties {
  switch (action.kind) {
    case 'create-token': {
      const { role, subject, nodeIp, ttlMs, uses } = action;
      const bound = { role, subject, nodeIp: nodeIp === undefined ? null : ipBytes(nodeIp), ttlMs, uses };
      return { createToken: { id: bytesOf(action.id), secretHash: bytesOf(action.secretHash), ...bound } };
    }
    case 'use-token': {
      const { role, subject, address } = action;
      const hashes = { secretHash: bytesOf(action.secretHash), keyHash: bytesOf(action.keyHash) };
      return { useToken: { id: bytesOf(action.id), ...hashes, role, subject, address: ipBytes(address) } };
    }
    case 'revoke-token':
      return { revokeToken: { id: bytesOf(action.id) } };
  }
}

export function tokenActionOf(stored: sublet.store.v1.Command, kind: TokenField): TokenAction {
  switch (kind) {
    case 'createToken': {
      const action = present(stored.createToken, kind);
      return {
        kind: 'create-token',
        id: hexOf(action.id, idBytes),
        secretHash: hexOf(action.secretHash, hashBytes),
        role: roleOf(action.role),
        subject: action.subject ?? '',
        nodeIp: action.nodeIp == null ? undefined : ipOf(action.nodeIp),
        ttlMs: action.ttlMs ?? 0,
        uses: action.uses ?? 0,
      };
    }
    case 'useToken': {
      const action = present(stored.useToken, kind);
      return {
        kind: 'use-token',
        id: hexOf(action.id, idBytes),
        secretHash: hexOf(action.secretHash, hashBytes),
        role: roleOf(action.role),
        subject: action.subject ?? '',
        address: ipOf(action.address),
        keyHash: hexOf(action.keyHash, hashBytes),
      };
    }
    case 'revokeToken':
      return { kind: 'revoke-token', id: hexOf(present(stored.revokeToken, kind).id, idBytes) };
  }
}

export function toJoinToken(token: JoinToken): sublet.store.v1.JoinToken.$Properties {
  const { role, subject, nodeIp, uses, revoked, createdBy } = token;
  return {
    id: bytesOf(token.id),
    secretHash: bytesOf(token.secretHash),
    role,
    subject,
    nodeIp: nodeIp === undefined ? null : ipBytes(nodeIp),
    endsAtMs: token.endsAt,
    uses,
    keys: token.keys.map(({ hash, address, times }) => ({ hash: bytesOf(hash), address: ipBytes(address), times })),
    revoked,
    createdBy,
    createdAtMs: token.createdAt,
  };
}

export function joinTokenOf(stored: sublet.store.v1.JoinToken.$Properties): JoinToken {
  return {
    id: hexOf(stored.id, idBytes),
    secretHash: hexOf(stored.secretHash, hashBytes),
    role: roleOf(stored.role),
    subject: stored.subject ?? '',
    nodeIp: stored.nodeIp == null ? undefined : ipOf(stored.nodeIp),
    endsAt: stored.endsAtMs ?? 0,
    uses: stored.uses ?? 0,
    revoked: stored.revoked ?? false,
    keys: (stored.keys ?? []).map(({ hash, address, times }) => ({
      hash: hexOf(hash, hashBytes),
      address: ipOf(address),
      times: times ?? 0,
    })),
    createdBy: stored.createdBy ?? '',
    createdAt: stored.createdAtMs ?? 0,
  };
}

const idBytes = 16;
const hashBytes = 32;

function bytesOf(hex: string): Uint8Array {
  return Buffer.from(hex, 'hex');
}

function hexOf(bytes: Uint8Array | null | undefined, length: number): string {
  if (bytes?.length !== length) throw new RecordError(`a token has ${bytes?.length ?? 0} bytes where ${length} belong`);
  return Buffer.from(bytes).toString('hex');
}

function roleOf(text: string | null | undefined): JoinRole {
  const role = joinRoles.find((each) => each === text);
  if (role === undefined) throw new RecordError(`a token is for the role ${JSON.stringify(text)}`);
  return role;
}
