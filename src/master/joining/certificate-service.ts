/**
 * Certificates for hosts: by a token, and for the identity that a caller has. A master with the authority's key signs; one
 * without it hands the call to the others in turn. The use of a token is in the log before anything is signed.
 */

import { createHash } from 'node:crypto';
import { remoteHostOf } from '#address/host-and-port.js';
import { parseIp } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { certificateService, joinService } from '#api/services.js';
import { refusalOfUse } from '#ipam/changes/join-change.js';
import { type JoinRole, joinRoles } from '#ipam/join-token.js';
import { GuessLimit } from '#master/access/guess-limit.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import type { CertificateSigner } from '#master/joining/certificate-signer.js';
import { hexOf } from '#master/joining/join-token-service.js';
import { RenewalPace } from '#master/joining/renewal-pace.js';
import { SigningQueue } from '#master/joining/signing-queue.js';
import type { MasterLog } from '#master/master-log.js';
import type { CallRouter, PeerCalls } from '#master/server/call-router.js';
import { type CallContext, type Endpoint, endpoint } from '#master/server/endpoint.js';
import { parseField, refusedByPlan } from '#master/server/refusal-mapping.js';
import type { PlanClient } from '#master/services/plan-client.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { ReplicatedLog } from '#replica/ports/replicated-log.js';
import type { Caller } from '#tls/caller.js';
import { secretHashOf } from '#tls/join-token-text.js';
import { formatPrincipal } from '#tls/principal.js';

/** What a master needs to certify keys. */
export type Certifying = {
  /** Undefined: this master hands calls on. */
  readonly signer: CertificateSigner | undefined;
  /** Of `tls.ca`, PEM. */
  readonly authorities: () => string;
  /** Judges a caller by the revocations in the plan. @throws RefusedError `permission-denied` when it is revoked */
  readonly checkRevoked: (caller: Caller) => void;
};

/** Whose token is of use. Ids and hashes are hex digits. */
type JudgedRequest = {
  readonly id: string;
  readonly secretHash: string;
  readonly role: JoinRole;
  /** The id in the identity. */
  readonly subject: string;
  /** The address of the host. */
  readonly from: string;
};

export type CertificateServiceOptions = {
  /** Undefined: without TLS there are no certificates. */
  readonly certifying: Certifying | undefined;
  readonly log: Pick<ReplicatedLog<unknown>, 'status'>;
  readonly plan: PlanClient;
  readonly router: Pick<CallRouter, 'serve'>;
  readonly peers: PeerCalls;
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  readonly logger: MasterLog;
};

const anywhere = { place: 'here', idempotent: true } as const;
const idBytes = 16;
const hashBytes = 32;
/** Deadline of a call that brings none, in ms from now. */
const defaultTimeoutMs = 30_000;

export class CertificateService {
  readonly #options: CertificateServiceOptions;
  readonly #queue: SigningQueue;
  readonly #guesses: GuessLimit;
  readonly #pace: RenewalPace;
  /** At the leader: the use of a token. */
  readonly useToken: Endpoint;
  readonly join: Endpoint;
  readonly renew: Endpoint;

  constructor(options: CertificateServiceOptions) {
    this.#options = options;
    this.#queue = new SigningQueue(options.clock);
    this.#guesses = new GuessLimit(options.clock);
    this.#pace = new RenewalPace(options.clock);
    this.useToken = endpoint(forwardMethods.useToken, { place: 'leader', idempotent: true }, async (request) => {
      await this.#use(request);
      return {};
    });
    this.join = endpoint(joinService.join, anywhere, (request, context) => this.#join(request, context));
    this.renew = endpoint(certificateService.renew, anywhere, (request, context) => this.#renew(request, context));
  }

  async #join(request: sublet.v1.JoinRequest, context: CallContext): Promise<sublet.v1.JoinResponse.$Properties> {
    const { forwarded } = context;
    const address = remoteHostOf(context.caller.address);
    // The master that the host has called counts; one that it hands the call to knows the host from it.
    const guess = forwarded ? undefined : this.#guesses.enter(address);
    const asked = await this.#judged(request, address).catch((error: unknown) => {
      if (!isGuess(error)) guess?.right();
      throw error;
    });
    guess?.right();
    try {
      return await this.#certified(request, asked, context);
    } catch (error) {
      // A token must not have requests verified without end: a bad one, or one of another key than those that have used it.
      if (!forwarded && isGuess(error)) this.#guesses.wrong(address);
      throw error;
    }
  }

  async #certified(
    request: sublet.v1.JoinRequest,
    asked: JudgedRequest,
    context: CallContext,
  ): Promise<sublet.v1.JoinResponse.$Properties> {
    const principal = { role: asked.role, id: asked.subject };
    const certifying = this.#certifying('join');
    const { signer } = certifying;
    if (signer === undefined) {
      const bytes = joinService.join.request.encode(request).finish();
      return joinService.join.response.decode(await this.#handOn(this.join, bytes, context));
    }
    const publicKey = await this.#keyOf(request.csr, context);
    await this.#recordUse(asked, publicKey, context);
    const certificate = await signer.sign(publicKey, principal);
    this.#options.logger.info(
      { identity: formatPrincipal(principal), from: asked.from, token: asked.id },
      `${formatPrincipal(principal)} has joined from ${asked.from}: its key is certified`,
    );
    return { certificate, authorities: certifying.authorities(), subject: principal.id };
  }

  async #renew(request: sublet.v1.RenewRequest, context: CallContext): Promise<sublet.v1.RenewResponse.$Properties> {
    const { principal } = context.caller;
    if (principal === undefined) {
      throw new RefusedError(
        'failed-precondition',
        'renew: this connection is without TLS, so there is no certificate',
      );
    }
    const { role, subject } = request;
    if (role !== principal.role || subject !== principal.id) {
      throw new RefusedError(
        'permission-denied',
        `renew: ${formatPrincipal(principal)} has asked for a certificate of ${role}/${subject}: a certificate is renewed by its holder only`,
      );
    }
    this.#pace.enter(formatPrincipal(principal));
    const certifying = this.#certifying('renew');
    // A revocation that this master has not applied yet counts: a certificate that is made now would outlive it.
    await this.#options.plan.read(false);
    certifying.checkRevoked(context.caller);
    const { signer } = certifying;
    if (signer === undefined) {
      const bytes = certificateService.renew.request.encode(request).finish();
      return certificateService.renew.response.decode(await this.#handOn(this.renew, bytes, context));
    }
    const publicKey = await this.#keyOf(request.csr, context);
    const certificate = await signer.sign(publicKey, principal);
    this.#options.logger.info(
      { identity: formatPrincipal(principal), from: remoteHostOf(context.caller.address) },
      `the certificate of ${formatPrincipal(principal)} is renewed`,
    );
    return { certificate, authorities: certifying.authorities() };
  }

  /** Looks whether the token is of use, without using it. @throws RefusedError */
  async #judged(request: sublet.v1.JoinRequest, address: string): Promise<JudgedRequest> {
    const id = hexOf('token_id', request.tokenId, idBytes);
    const secretHash = secretHashOf(request.secret).toString('hex');
    const role = roleOf(request.role);
    const ipam = await this.#options.plan.read(false);
    const token = ipam.token(id);
    const subject = request.subject === '' ? (token?.subject ?? '') : request.subject;
    const asked = { id, secretHash, role, subject, address: parseField('address', address, parseIp) };
    const refusal = refusalOfUse(token, asked, this.#options.plan.time);
    if (refusal !== undefined) throw refusedByPlan(refusal);
    return { ...asked, from: address };
  }

  #certifying(action: string): Certifying {
    const { certifying } = this.#options;
    if (certifying !== undefined) return certifying;
    throw new RefusedError('failed-precondition', `${action}: this master is without TLS and has no certificates`);
  }

  /** Waits for its turn first: to verify a request takes as long as to sign. @throws RefusedError */
  async #keyOf(csr: Uint8Array, { deadline }: CallContext): Promise<Buffer<ArrayBuffer>> {
    await this.#queue.turn();
    if (this.#options.clock.now() >= deadline) {
      throw new RefusedError('deadline', 'the deadline of the caller has passed while it waited for its turn');
    }
    const { CertificateRequestError, keyOfRequest } = await import('#tls/certificate/certificate-request.js');
    try {
      return await keyOfRequest(csr);
    } catch (error) {
      if (error instanceof CertificateRequestError) throw new RefusedError('invalid-argument', `csr: ${error.message}`);
      throw error;
    }
  }

  /** @throws RefusedError */
  async #recordUse(asked: JudgedRequest, publicKey: Uint8Array, { deadline, caller }: CallContext): Promise<void> {
    const { role, subject, from: address } = asked;
    const request = {
      tokenId: Buffer.from(asked.id, 'hex'),
      secretHash: Buffer.from(asked.secretHash, 'hex'),
      role,
      subject,
      address,
      keyHash: createHash('sha256').update(publicKey).digest(),
    };
    const bytes = forwardMethods.useToken.request.encode(request).finish();
    await this.#options.router.serve(this.useToken, bytes, { caller, deadline, forwarded: false });
  }

  /** @throws RefusedError as the plan refused it; ProposeError */
  async #use(request: sublet.peer.v1.UseTokenRequest): Promise<void> {
    const { plan, wallClock } = this.#options;
    await plan.change({
      kind: 'use-token',
      wallTime: wallClock(),
      by: `joining@${request.address}`,
      id: hexOf('token_id', request.tokenId, idBytes),
      secretHash: hexOf('secret_hash', request.secretHash, hashBytes),
      role: roleOf(request.role),
      subject: request.subject,
      address: parseField('address', request.address, parseIp),
      keyHash: hexOf('key_hash', request.keyHash, hashBytes),
    });
  }

  /** Asks the other masters in turn, once, until one has the key. @throws RefusedError */
  async #handOn({ path }: Endpoint, request: Uint8Array, context: CallContext): Promise<Uint8Array> {
    const { log, peers, clock } = this.#options;
    const lacking = 'this master has no key of the authority (tls.ca_key)';
    if (context.forwarded) throw new RefusedError('unavailable', lacking);
    const { self, membership } = log.status();
    const until = Math.min(context.deadline, clock.now() + defaultTimeoutMs);
    for (const member of membership.members) {
      const left = until - clock.now();
      if (member.id === self.id || left <= 0) continue;
      try {
        return await peers.call(member, path, request, left, context.caller);
      } catch (error) {
        if (!(error instanceof RefusedError) || !mayAskNext(error)) throw error;
      }
    }
    throw new RefusedError(
      'unavailable',
      `${lacking}, and no other that can be reached has it: start one with tls.ca_key`,
    );
  }
}

/** Not a master that can't say. */
function isGuess(error: unknown): boolean {
  return (
    error instanceof RefusedError && ['not-found', 'failed-precondition', 'invalid-argument'].includes(error.reason)
  );
}

/** The identity and the token stand the same everywhere: only a master that is away or has no key is passed over. */
function mayAskNext({ reason }: RefusedError): boolean {
  return reason === 'unavailable' || reason === 'unimplemented' || reason === 'overloaded';
}

function roleOf(text: string): JoinRole {
  const role = joinRoles.find((each) => each === text);
  if (role !== undefined) return role;
  throw new RefusedError(
    'invalid-argument',
    `role is ${JSON.stringify(text.slice(0, 64))}: ${joinRoles.join(' or ')} is allowed`,
  );
}
