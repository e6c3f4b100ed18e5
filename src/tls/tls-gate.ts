/**
 * The TLS side of a listener: takes sockets as they are accepted, and hands on those whose handshake has verified a
 * certificate of the cluster's authority, with a principal of an allowed role. Nothing of a caller is read before that.
 * All work is done per connection.
 */
import { constants, type X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { isIssuedBy, principalOf } from '#tls/certificate/certificate.js';
import { faultOf, issuersOf } from '#tls/certificate/certificate-fault.js';
import { type TlsMaterial, tlsGroups, tlsVersion } from '#tls/certificate/tls-files.js';
import {
  callerAddress,
  type HandshakeEnd,
  Handshakes,
  handshakeMs,
  isConnected,
  sameAddressText,
} from '#tls/handshakes.js';
import { keepPeerChains, peerCertificate } from '#tls/peer-certificate.js';
import { formatPrincipal, type Principal, PrincipalError, type Role } from '#tls/principal.js';

/** Why a connection was closed before it was handed on. */
export type GateRefusal =
  | 'plain-text'
  | 'handshake-failed'
  | 'handshake-too-slow'
  | 'too-many-handshakes'
  | 'no-principal'
  | 'role-not-allowed'
  | 'same-address';

export type GateNotice = {
  readonly refusal: GateRefusal;
  /** HOST:PORT of the caller. */
  readonly from: string;
  readonly message: string;
};

export type TlsGateOptions = {
  readonly material: TlsMaterial;
  readonly protocol: 'h2' | 'http/1.1';
  readonly allowed: readonly Role[];
  /** Whether callers that show no certificate are handed on, too. One that they show is verified all the same. */
  readonly anonymous?: boolean;
  readonly refused: (notice: GateNotice) => void;
  /** Ms since 1970, for messages. */
  readonly wallClock?: () => number;
};

/** Handshakes that are under way at a time. */
export const handshakesMax = 256;

const endings: Readonly<Record<HandshakeEnd, GateRefusal>> = {
  crowded: 'too-many-handshakes',
  'same-address': 'same-address',
  'hung-up': 'handshake-failed',
};

/** Open connections whose certificates are verified again in one turn of the event loop: 0.1 ms each. */
const judgedPerTurn = 100;

/** Errors of OpenSSL for bytes that begin no TLS record. */
export const plainTextCodes: ReadonlySet<string> = new Set([
  'ERR_SSL_HTTP_REQUEST',
  'ERR_SSL_HTTPS_PROXY_REQUEST',
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_UNKNOWN_PROTOCOL',
  'ERR_SSL_INVALID_RECORD_TYPE',
]);

export class TlsGate {
  readonly #options: TlsGateOptions;
  readonly #server: Server;
  /** By HOST:PORT of the caller: the open connections that were handed on. */
  readonly #open = new Map<string, { readonly socket: TLSSocket; readonly principal: Principal | undefined }>();
  readonly #handshakes: Handshakes;
  #authorities: readonly X509Certificate[];
  #refused = 0;
  #serve: (socket: TLSSocket, principal: Principal | undefined) => void = (socket) => socket.destroy();

  constructor(options: TlsGateOptions) {
    this.#options = options;
    this.#authorities = options.material.authorities;
    keepPeerChains();
    this.#handshakes = new Handshakes({
      max: handshakesMax,
      ended: (from, why, message) => this.#refuse(from, endings[why], message),
    });
    this.#server = createServer({
      ...contextOf(options.material),
      requestCert: true,
      // Judged in `#secured`, which has the certificate to say what is wrong with it.
      rejectUnauthorized: false,
      handshakeTimeout: handshakeMs,
      ALPNProtocols: [options.protocol],
    });
    this.#server.on('secureConnection', (socket) => this.#secured(socket));
    this.#server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
      const from = callerAddress(socket);
      if (isConnected(socket)) {
        this.#handshakes.over(from);
        this.#refuse(from, refusalOf(error), textOf(error));
      }
      socket.destroy();
    });
  }

  /** Connections closed so far before they were handed on. */
  get refused(): number {
    return this.#refused;
  }

  /** Connections that were handed on and are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Of the open connection that comes from HOST:PORT. */
  principalAt(from: string): Principal | undefined {
    return this.#open.get(from)?.principal;
  }

  /** Has connections handed to `serve`, once their handshake is done. */
  onSecured(serve: (socket: TLSSocket, principal: Principal | undefined) => void): void {
    this.#serve = serve;
  }

  /** What later handshakes are made with. Connections that are open stay, but for those of an authority that is not trusted any more. */
  setMaterial(material: TlsMaterial): void {
    const before = this.#authorities;
    this.#authorities = material.authorities;
    if (before.some((each) => !material.authorities.some((now) => now.fingerprint256 === each.fingerprint256))) {
      void this.#endUntrusted();
    }
    this.#server.setSecureContext(contextOf(material));
  }

  async #endUntrusted(): Promise<void> {
    for (const [at, { socket }] of [...this.#open.values()].entries()) {
      if (at % judgedPerTurn === judgedPerTurn - 1) await new Promise(setImmediate);
      const certificate = peerCertificate(socket);
      if (certificate === undefined || isIssuedBy(certificate, this.#authorities, issuersOf(certificate))) continue;
      socket.destroy();
    }
  }

  /** Closes the open connections whose certificate has ended. */
  endExpired(nowMs = this.#now()): void {
    this.end(({ endsMs }) => endsMs < nowMs);
  }

  /** Closes the open connections of which `ends` is true. */
  end(ends: (principal: Principal) => boolean): void {
    for (const { socket, principal } of [...this.#open.values()]) {
      if (principal !== undefined && ends(principal)) socket.destroy();
    }
  }

  /** Closes the open connection from HOST:PORT. */
  endAt(from: string): void {
    this.#open.get(from)?.socket.destroy();
  }

  take(socket: Socket): void {
    if (this.#handshakes.begin(socket)) this.#server.emit('connection', socket);
  }

  #secured(socket: TLSSocket): void {
    const from = callerAddress(socket);
    this.#handshakes.over(from);
    const { allowed, anonymous } = this.#options;
    try {
      const certificate = peerCertificate(socket);
      if (certificate === undefined && anonymous === true) {
        this.#handOn(socket, from, undefined);
        return;
      }
      if (!socket.authorized) {
        this.#close(socket, 'handshake-failed', this.#faultOf(socket, certificate));
        return;
      }
      if (certificate === undefined) throw new PrincipalError('the caller has shown no certificate');
      const principal = principalOf(certificate.raw);
      if (!allowed.includes(principal.role)) {
        this.#close(
          socket,
          'role-not-allowed',
          `${formatPrincipal(principal)} is not of the role ${allowed.join(' or ')}`,
        );
        return;
      }
      this.#handOn(socket, from, principal);
    } catch (error) {
      if (!(error instanceof PrincipalError)) throw error;
      this.#close(socket, 'no-principal', error.message);
    }
  }

  /**
   * Calls know their connection by HOST:PORT of the caller alone. Where a master has two addresses, two connections may come
   * from one HOST:PORT, also of two hosts behind NAT: the later one is closed, for it would get the identity of the other.
   */
  #handOn(socket: TLSSocket, from: string, principal: Principal | undefined): void {
    if (this.#open.has(from)) {
      this.#close(socket, 'same-address', sameAddressText(from));
      return;
    }
    this.#open.set(from, { socket, principal });
    socket.once('close', () => this.#open.delete(from));
    this.#serve(socket, principal);
  }

  /** TLS has not verified the certificate. */
  #faultOf(socket: TLSSocket, certificate: X509Certificate | undefined): string {
    if (certificate === undefined) return 'the caller has shown no certificate';
    const fault = faultOf(certificate, this.#authorities, this.#now()) ?? String(socket.authorizationError);
    return `the certificate of the caller is refused: ${fault}`;
  }

  #now(): number {
    const { wallClock = Date.now } = this.#options;
    return wallClock();
  }

  #close(socket: TLSSocket, refusal: GateRefusal, message: string): void {
    const from = callerAddress(socket);
    socket.on('error', () => undefined);
    socket.destroy();
    this.#refuse(from, refusal, message);
  }

  #refuse(from: string, refusal: GateRefusal, message: string): void {
    this.#refused += 1;
    this.#options.refused({ refusal, from, message });
  }
}

/** Without tickets: each connection shows a certificate, and none goes on with what an earlier one has shown. */
function contextOf({ authorities, cert, key }: TlsMaterial) {
  const ca = authorities.map(String);
  const secureOptions = constants.SSL_OP_NO_TICKET;
  return { ca, cert, key, minVersion: tlsVersion, ecdhCurve: tlsGroups, secureOptions } as const;
}

function refusalOf({ code = '' }: NodeJS.ErrnoException): GateRefusal {
  if (code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return 'handshake-too-slow';
  return plainTextCodes.has(code) ? 'plain-text' : 'handshake-failed';
}

function textOf(error: NodeJS.ErrnoException): string {
  switch (refusalOf(error)) {
    case 'plain-text':
      return 'the caller does not speak TLS';
    case 'handshake-too-slow':
      return `the handshake took longer than ${handshakeMs / 1000} s`;
    default:
      return 'reason' in error && typeof error.reason === 'string' ? error.reason : error.message;
  }
}
