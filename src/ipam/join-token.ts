/**
 * Tokens for joining: each stands for one identity and allows a number of keys to be certified for it, until a moment
 * of cluster time. The plan has the hash of a token's secret, never the secret.
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
  /** In the order of their first use. */
  readonly keys: readonly TokenKey[];
  readonly revoked: boolean;
  /** For display. */
  readonly createdBy: string;
  /** Ms since 1970. For display. */
  readonly createdAt: number;
};

/** A key that was certified with a token. */
export type TokenKey = {
  /** SHA-256 of the public key, 64 hex digits. */
  readonly hash: string;
  /** Of the host that has it. */
  readonly address: Ip;
  /** How often it was certified: once, and again when its answer was lost. */
  readonly times: number;
};

export type TokenState = 'valid' | 'used' | 'revoked' | 'ended';

/** `time` is cluster time. */
export function tokenState({ revoked, endsAt, keys, uses }: JoinToken, time: number): TokenState {
  if (revoked) return 'revoked';
  if (endsAt <= time) return 'ended';
  return keys.length >= uses ? 'used' : 'valid';
}
