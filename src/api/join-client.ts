/** Gets a certificate for this host's key from the masters, by a token. The secret is sent to masters of the pinned authority alone. */

import { createPrivateKey, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { ChannelCredentials, status } from '@grpc/grpc-js';
import { isServiceError, MasterClient, NoMasterError } from '#api/master-client.js';
import { joinService } from '#api/services.js';
import { errorText } from '#errors/unknown-error.js';
import { certificatesIn, principalOf } from '#tls/certificate/certificate.js';
import { tlsGroups, tlsVersion } from '#tls/certificate/tls-files.js';
import { refuseOthers } from '#tls/client-credentials.js';
import { type JoinTokenText, pinOf } from '#tls/join-token-text.js';
import { NoHandshakeError, pinnedAuthority } from '#tls/pinned-authority.js';
import type { PrincipalName } from '#tls/principal.js';

export type JoinOptions = {
  readonly token: JoinTokenText;
  /** HOST:PORT each, where hosts join; tried in this order. */
  readonly masters: readonly string[];
  readonly role: 'agent' | 'master';
  /** Undefined: the one that the token is for. */
  readonly id: string | undefined;
  /** PEM, on P-256 or P-384. It stays here. */
  readonly key: string;
};

export type Joined = {
  readonly principal: PrincipalName;
  /** PEM. */
  readonly certificate: string;
  /** The authorities that the masters trust, PEM. */
  readonly authorities: string;
};

/** What a master has answered can't be what was asked for. */
export class JoinAnswerError extends Error {
  override readonly name = 'JoinAnswerError';
}

/** Nothing is wrong with the token: another master may answer, or this one later. */
const laterCodes: ReadonlySet<number> = new Set([status.UNAVAILABLE, status.RESOURCE_EXHAUSTED]);
const handshakeMs = 5_000;
/** A host may have to wait for its turn to be signed. */
const answerMs = 30_000;

/**
 * @throws PinError when a server shows another authority: nothing was sent to it; NoMasterError when no master answered;
 * ServiceError when one has refused; JoinAnswerError
 */
export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const attempts: { master: string; reason: string }[] = [];
  // Masters that differ in their ports alone have one port to join at.
  for (const master of new Set(options.masters)) {
    try {
      return await joinAt(master, options);
    } catch (error) {
      if (error instanceof NoHandshakeError) attempts.push({ master, reason: error.message });
      else if (error instanceof NoMasterError) attempts.push(...error.attempts);
      else if (isServiceError(error) && laterCodes.has(error.code)) attempts.push({ master, reason: error.details });
      else throw error;
    }
  }
  throw new NoMasterError(attempts);
}

async function joinAt(master: string, { token, role, id = '', key }: JoinOptions): Promise<Joined> {
  const authority = await pinnedAuthority(master, token.pin, handshakeMs);
  // A second connection: this one is verified as every other, by that authority alone.
  const context = createSecureContext({ ca: authority, minVersion: tlsVersion, ecdhCurve: tlsGroups });
  const credentials = ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: refuseOthers });
  const client = new MasterClient({ masters: [master], credentials, timeoutMs: answerMs });
  try {
    const { makeCertificateRequest } = await import('#tls/certificate/certificate-request.js');
    const request = {
      tokenId: token.id,
      secret: token.secret,
      role,
      subject: id,
      csr: await makeCertificateRequest(key),
    };
    // A repetition with the same key is answered as the first one.
    const answer = await client.call(joinService.join, request, { idempotent: true });
    return checked(answer, { role, id: id === '' ? answer.subject : id }, key, token.pin);
  } finally {
    client.close();
  }
}

/** @throws JoinAnswerError */
function checked(
  { certificate, authorities }: { readonly certificate: string; readonly authorities: string },
  expected: PrincipalName,
  key: string,
  pin: Uint8Array,
): Joined {
  try {
    const parsed = new X509Certificate(certificate);
    const { role, id } = principalOf(parsed.raw);
    if (role !== expected.role || id !== expected.id) throw new JoinAnswerError(`it is of ${role}/${id}`);
    if (!parsed.checkPrivateKey(createPrivateKey(key))) throw new JoinAnswerError('it is of another key');
    if (!certificatesIn(Buffer.from(authorities)).some((each) => pinOf(each).equals(pin))) {
      throw new JoinAnswerError('the authority of the token is not among those it comes with');
    }
    return { principal: { role, id }, certificate, authorities };
  } catch (error) {
    const why = errorText(error);
    throw new JoinAnswerError(`a master has answered with a certificate that is of no use: ${why}`);
  }
}
