/** A master's TLS: the gates of its two gRPC ports, its credentials as a client of other masters, and the files they come from. */
import type { ChannelCredentials, ServerInterceptor } from '@grpc/grpc-js';
import { authorizing } from '#master/authorizing.js';
import type { MasterLog } from '#master/master-log.js';
import type { RefusalLog } from '#master/refusal-log.js';
import { formatCaller } from '#tls/caller.js';
import { masterCredentials } from '#tls/client-credentials.js';
import { formatPrincipal } from '#tls/principal.js';
import { readTlsFiles, TlsFileError, type TlsFiles, type TlsMaterial } from '#tls/tls-files.js';
import { type GateNotice, TlsGate } from '#tls/tls-gate.js';

export type MasterTlsOptions = {
  readonly files: TlsFiles;
  /** Its certificate must be of this name. */
  readonly name: string;
  readonly refusals: RefusalLog;
  /** Ms since 1970, for the validity of certificates. */
  readonly wallClock: () => number;
  readonly logger: MasterLog;
};

export class MasterTls {
  readonly api: TlsGate;
  readonly peer: TlsGate;
  readonly material: TlsMaterial;
  readonly #options: MasterTlsOptions;

  /** @throws TlsFileError */
  constructor(options: MasterTlsOptions) {
    this.#options = options;
    const { files, name, wallClock, logger } = options;
    const material = readTlsFiles(files, ['master'], wallClock());
    if (material.principal.id !== name) {
      throw new TlsFileError(
        `tls.cert: ${files.cert} is of ${formatPrincipal(material.principal)}, and this master's name is ${name}`,
      );
    }
    for (const warning of material.warnings) logger.warn({}, warning);
    this.material = material;
    const gate = (port: string, allowed: ConstructorParameters<typeof TlsGate>[0]['allowed']): TlsGate =>
      new TlsGate({ material, protocol: 'h2', allowed, refused: (notice) => this.#refused(port, notice) });
    this.api = gate('api', ['agent', 'viewer', 'operator', 'admin']);
    this.peer = gate('peer', ['master']);
  }

  /** As a client of other masters. */
  get credentials(): ChannelCredentials {
    return masterCredentials(this.material);
  }

  /** Names a caller of the API by the certificate of its connection. */
  readonly callerOf = (from: string): string => {
    const principal = this.api.principalAt(from);
    return principal === undefined ? from : formatCaller(principal, from);
  };

  /** The name of the master whose connection to the peer port comes from HOST:PORT; empty: the connection is closed. */
  readonly peerNameAt = (from: string): string => this.peer.principalAt(from)?.id ?? '';

  get interceptors(): readonly ServerInterceptor[] {
    return [
      authorizing(
        (from) => this.api.principalAt(from),
        (from, path, refused) =>
          this.#options.refusals.note(`call ${from.slice(0, from.lastIndexOf(':'))}`, { from, path }, refused.message),
      ),
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
