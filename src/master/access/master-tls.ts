/** A master's TLS: the gates of its two gRPC ports, its credentials as a client of other masters, and the files they come from. */

import type { Socket } from 'node:net';
import type { ChannelCredentials, ServerInterceptor } from '@grpc/grpc-js';
import { clientNetwork } from '#address/client-network.js';
import { hostOf } from '#address/host-and-port.js';
import { RefusedError } from '#api/refusal.js';
import { operatorService } from '#api/services.js';
import type { Access } from '#http/access.js';
import { clientOf } from '#master/access/admission.js';
import { rolesFor } from '#master/access/authorization.js';
import { authorizing, type Refused, refusing } from '#master/access/authorizing.js';
import type { HttpTls } from '#master/access/http-callers.js';
import type { CallRates } from '#master/access/rates.js';
import { type Revocations, revokedText } from '#master/access/revocations.js';
import type { MasterLog } from '#master/master-log.js';
import type { RefusalLog } from '#master/server/refusal-log.js';
import type { Warning } from '#master/warning.js';
import type { Clock } from '#replica/ports/clock.js';
import { type Caller, endedCaller, formatCaller } from '#tls/caller.js';
import { CertificateReloader } from '#tls/certificate/certificate-reloader.js';
import { TlsFileError, type TlsFiles } from '#tls/certificate/tls-files.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { formatPrincipal, type Principal } from '#tls/principal.js';
import { type GateNotice, TlsGate } from '#tls/tls-gate.js';
import { peerService } from '#transport/peer-service.js';

export type MasterTlsOptions = {
  readonly files: TlsFiles;
  /** Its certificate must be of this name. */
  readonly name: string;
  /** Whether the HTTP port has TLS, too. */
  readonly http: boolean;
  readonly refusals: RefusalLog;
  readonly revocations: Revocations;
  readonly rates: CallRates;
  /** Ends the connection to the API from HOST:PORT, of which too many calls were refused. */
  readonly end: (from: string) => void;
  /** Called for each call that is refused before its first message is read. */
  readonly observe: (path: string, refused: RefusedError) => void;
  readonly clock: Clock;
  /** Ms since 1970, for the validity of certificates. */
  readonly wallClock: () => number;
  readonly logger: MasterLog;
};

/** How often connections are looked through for certificates that have ended, in ms. */
const expiryEveryMs = 60_000;
/** From the refusal of a revoked identity to the end of its connection, in ms. */
const refusalMs = 500;

/**
 * What a master that was removed may still call. It learns there that it was removed, or waits there to be added again; the
 * peer port takes nothing else from it (`transport/peer-gate.ts`).
 */
const judgedByEnvelope: ReadonlySet<string> = new Set(
  [peerService.hello, peerService.deliver, peerService.installSnapshot].map(({ path }) => path),
);

export class MasterTls {
  readonly api: TlsGate;
  readonly peer: TlsGate;
  /** Takes callers without a certificate, too. */
  readonly http: TlsGate | undefined;
  readonly certificate: CertificateReloader;
  readonly #options: MasterTlsOptions;
  #cancelExpiry: () => void = () => undefined;

  /** @throws TlsFileError */
  constructor(options: MasterTlsOptions) {
    this.#options = options;
    const { files, name, clock, wallClock, logger } = options;
    this.certificate = new CertificateReloader({ files, allowed: ['master'], timer: clock, wallClock, log: logger });
    const { material } = this.certificate;
    if (material.principal.id !== name) {
      throw new TlsFileError(
        `tls.cert: ${files.cert} is of ${formatPrincipal(material.principal)}, and this master's name is ${name}`,
      );
    }
    const gate = (port: string, allowed: ConstructorParameters<typeof TlsGate>[0]['allowed']): TlsGate =>
      new TlsGate({ material, protocol: 'h2', allowed, refused: (notice) => this.#refused(port, notice) });
    this.api = gate('api', ['agent', 'viewer', 'operator', 'admin']);
    this.peer = gate('peer', ['master']);
    this.http = options.http
      ? new TlsGate({
          material,
          protocol: 'http/1.1',
          allowed: ['viewer', 'operator', 'admin'],
          anonymous: true,
          refused: (notice) => this.#refused('http', notice),
        })
      : undefined;
    this.certificate.onReload((next) => {
      for (const each of this.#gates) each.setMaterial(next);
    });
    this.certificate.start();
    this.#watchExpiry();
  }

  get #gates(): readonly TlsGate[] {
    return [this.api, this.peer, ...(this.http === undefined ? [] : [this.http])];
  }

  /** What an operator should look at. */
  warnings(): readonly Warning[] {
    return this.certificate.warnings();
  }

  /** Ends its timers. */
  stop(): void {
    this.certificate.stop();
    this.#cancelExpiry();
  }

  /** TLS looks at the dates of a certificate in the handshake alone. */
  #watchExpiry(): void {
    const { clock, wallClock } = this.#options;
    this.#cancelExpiry = clock.after(expiryEveryMs, () => {
      for (const gate of this.#gates) gate.endExpired(wallClock());
      this.#watchExpiry();
    });
  }

  /** As a client of other masters. */
  get credentials(): ChannelCredentials {
    return masterCredentials(this.certificate);
  }

  /** Of the open connection to the API from HOST:PORT. */
  readonly principalAt = (from: string): Principal | undefined => this.api.principalAt(from);

  /** Judges a caller by the revocations. @throws RefusedError `permission-denied` */
  checkRevoked({ principal }: Caller): void {
    if (principal !== undefined) this.#options.revocations.check(principal);
  }

  /** A caller of the API by the certificate of its connection; `endedCaller`: there is no such connection any more. */
  readonly callerOf = (from: string): Caller => ({
    principal: this.api.principalAt(from) ?? endedCaller,
    address: from,
  });

  /** Calls of the API on the HTTP port. */
  get httpCalls(): HttpTls {
    return {
      principalAt: (from) => this.http?.principalAt(from),
      refused: (caller, path, refusal) => {
        this.#refusedCall(caller, path, refusal);
        if (this.http !== undefined) this.#endIfRevoked(this.http, caller.address);
      },
      taken: (principal, from, path) => this.audit(principal, from, path),
      end: (from) => this.http?.endAt(from),
    };
  }

  /** What the certificate of a connection to the HTTP port allows; undefined: it has none. */
  readonly httpAccess = ({ remoteAddress, remotePort }: Socket): Access | undefined => {
    const principal = this.http?.principalAt(`${remoteAddress}:${remotePort}`);
    if (principal === undefined) return undefined;
    if (this.#options.revocations.of(principal) !== undefined) return 'nothing';
    return rolesFor(operatorService.releaseAgents.path).includes(principal.role) ? 'change' : 'read';
  };

  /** The name of the master whose connection to the peer port comes from HOST:PORT; empty: the connection is closed. */
  readonly peerNameAt = (from: string): string => this.peer.principalAt(from)?.id ?? '';

  /** Of the server behind the gate of the API. */
  get interceptors(): readonly ServerInterceptor[] {
    const { principalAt } = this;
    const { rates, revocations, end } = this.#options;
    const refused: Refused = (from, path, refusal) => {
      this.#refusedCall({ principal: principalAt(from), address: from }, path, refusal);
      this.#endIfRevoked(this.api, from);
    };
    const taken = (principal: Principal, from: string, path: string): void => this.audit(principal, from, path);
    return [authorizing({ principalAt, rates, revocations, end, refused, taken })];
  }

  /** Logs what agents and viewers may not call: each change, and each read of the whole plan. */
  audit({ role, id, serial }: Principal, from: string, path: string): void {
    if (role === 'agent' || rolesFor(path).includes('viewer')) return;
    const identity = formatPrincipal({ role, id });
    this.#options.logger.info({ audit: true, identity, serial, from, path }, `${identity} calls ${path}`);
  }

  /** Of the server behind the gate of the peer port. */
  get peerInterceptors(): readonly ServerInterceptor[] {
    return [
      refusing(
        (from, path) => this.#judgePeer(this.peer.principalAt(from), path),
        (from, path, refusal) => {
          this.#refusedCall({ principal: undefined, address: from }, path, refusal);
          this.#endIfRevoked(this.peer, from);
        },
      ),
    ];
  }

  /** Why the identity `master/NAME` is refused, although TLS takes its certificate; undefined: it is not. */
  readonly revokedMaster = (name: string): string | undefined => {
    const found = this.#options.revocations.of({ role: 'master', id: name });
    return found && revokedText(found);
  };

  /** To be called when the plan has changed: ends the connections of identities that are revoked now. */
  planChanged(): void {
    const { revocations } = this.#options;
    if (!revocations.changed()) return;
    for (const gate of this.#gates) gate.end((principal) => revocations.of(principal) !== undefined);
  }

  #judgePeer(principal: Principal | undefined, path: string): RefusedError | undefined {
    if (principal === undefined) return new RefusedError('unavailable', 'the connection of this call is closed');
    const found = this.#options.revocations.of(principal);
    if (found === undefined || (found.cause === 'removal' && judgedByEnvelope.has(path))) return undefined;
    return new RefusedError('failed-precondition', revokedText(found));
  }

  /** So that the caller connects anew, perhaps with a certificate that is accepted. Its refusal has to reach it before. */
  #endIfRevoked(gate: TlsGate, from: string): void {
    const principal = gate.principalAt(from);
    if (principal === undefined || this.#options.revocations.of(principal) === undefined) return;
    this.#options.clock.after(refusalMs, () => gate.endAt(from));
  }

  #refusedCall(caller: Caller, path: string, refused: RefusedError): void {
    const { refusals, observe } = this.#options;
    refusals.note(`call ${clientOf(caller).name}`, { caller: formatCaller(caller), path }, refused.message);
    observe(path, refused);
  }

  #refused(port: string, { refusal, from, message }: GateNotice): void {
    this.#options.refusals.note(
      `${port} ${refusal} ${clientNetwork(hostOf(from))}`,
      { port, refusal, from },
      `${port}: a connection from ${from} was refused: ${message}`,
    );
  }
}
