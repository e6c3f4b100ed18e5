/** A master's TLS: the gates of its two gRPC ports, its credentials as a client of other masters, and the files they come from. */
import type { ChannelCredentials, ServerInterceptor } from '@grpc/grpc-js';
import type { RefusedError } from '#api/refusal.js';
import { clientOf } from '#master/admission.js';
import { authorizing } from '#master/authorizing.js';
import type { MasterLog } from '#master/master-log.js';
import type { CallRates } from '#master/rates.js';
import type { RefusalLog } from '#master/refusal-log.js';
import type { Warning } from '#master/warning.js';
import type { Clock } from '#replica/clock.js';
import { formatCaller } from '#tls/caller.js';
import { CertificateReloader } from '#tls/certificate-reloader.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { formatPrincipal } from '#tls/principal.js';
import { TlsFileError, type TlsFiles } from '#tls/tls-files.js';
import { type GateNotice, TlsGate } from '#tls/tls-gate.js';

export type MasterTlsOptions = {
  readonly files: TlsFiles;
  /** Its certificate must be of this name. */
  readonly name: string;
  readonly refusals: RefusalLog;
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

export class MasterTls {
  readonly api: TlsGate;
  readonly peer: TlsGate;
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
    this.certificate.onReload((next) => {
      for (const each of this.#gates) each.setMaterial(next);
    });
    this.certificate.start();
    this.#watchExpiry();
  }

  get #gates(): readonly TlsGate[] {
    return [this.api, this.peer];
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

  /** Names a caller of the API by the certificate of its connection. */
  readonly callerOf = (from: string): string => {
    const principal = this.api.principalAt(from);
    return principal === undefined ? from : formatCaller(principal, from);
  };

  /** The name of the master whose connection to the peer port comes from HOST:PORT; empty: the connection is closed. */
  readonly peerNameAt = (from: string): string => this.peer.principalAt(from)?.id ?? '';

  /** Of the server behind the gate of the API. */
  get interceptors(): readonly ServerInterceptor[] {
    const { refusals, rates, end, observe } = this.#options;
    return [
      authorizing({
        ...{ principalAt: (from) => this.api.principalAt(from), rates, end },
        refused: (from, path, refused) => {
          const caller = this.callerOf(from);
          refusals.note(`call ${clientOf(caller).name}`, { caller, path }, refused.message);
          observe(path, refused);
        },
      }),
    ];
  }

  #refused(port: string, { refusal, from, message }: GateNotice): void {
    const address = from.slice(0, from.lastIndexOf(':'));
    this.#options.refusals.note(
      `${port} ${refusal} ${address}`,
      { port, refusal, from },
      `${port}: a connection from ${from} was refused: ${message}`,
    );
  }
}
