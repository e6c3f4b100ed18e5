/**
 * Tokens for joining: each stands for one identity and lets so many keys be certified for it, until a moment of cluster
 * time. The plan has the hash of a token's secret, never the secret.
 */
import type { Ip } from '#address/ip.js';

export const joinRoles = ['agent', 'master'] as const;
export type JoinRole = (typeof joinRoles)[number];

export type JoinToken = {
  /** 32 hex digits. */
  readonly id: string;
  /** SHA-256 of its secret, 64 hex digits. */
  readonly secretHash: string;
  readonly role: JoinRole;
  /** The id in the identity. */
  readonly subject: string;
  /** The address that it is used from; undefined: any. */
  readonly nodeIp: Ip | undefined;
  /** Cluster time in ms. */
  readonly endsAt: number;
  /** How many keys may be certified. */
  readonly uses: number;
  /** SHA-256 of each public key that it was used for, in the order of use. */
  readonly keyHashes: readonly string[];
  readonly revoked: boolean;
  /** For display. */
  readonly createdBy: string;
  /** Ms since 1970. For display. */
  readonly createdAt: number;
};

export type TokenState = 'valid' | 'used' | 'revoked' | 'ended';

/** `time` is cluster time. */
export function tokenState({ revoked, endsAt, keyHashes, uses }: JoinToken, time: number): TokenState {
  if (revoked) return 'revoked';
  if (endsAt <= time) return 'ended';
  return keyHashes.length >= uses ? 'used' : 'valid';
}
