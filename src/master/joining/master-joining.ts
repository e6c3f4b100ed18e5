/** What a master has for hosts that join: the gate of their port, and the authority's key, if it has it. */

import { clientNetwork } from '#address/client-network.js';
import type { MasterTls } from '#master/access/master-tls.js';
import type { Certifying } from '#master/joining/certificate-service.js';
import { CertificateSigner } from '#master/joining/certificate-signer.js';
import type { JoiningOptions } from '#master/joining/joining-options.js';
import type { JoinDoor } from '#master/server/doors.js';
import type { RefusalLog } from '#master/server/refusal-log.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Caller } from '#tls/caller.js';
import { JoinGate } from '#tls/join-gate.js';

export class MasterJoining implements Certifying {
  readonly signer: CertificateSigner | undefined;
  /** Undefined: hosts do not join at this master. */
  readonly door: JoinDoor | undefined;
  readonly #tls: MasterTls;

  /** @throws TlsFileError */
  constructor(
    tls: MasterTls,
    { listen, caKey, lifetimeMs }: JoiningOptions,
    refusals: RefusalLog,
    timer: Clock,
    wallClock: () => number,
  ) {
    this.#tls = tls;
    const authorities = this.authorities();
    this.signer =
      caKey === undefined ? undefined : new CertificateSigner({ file: caKey, authorities, lifetimeMs, wallClock });
    const refused = (address: string, message: string): void =>
      refusals.note(
        `join gate ${clientNetwork(address)}`,
        { port: 'join', from: address },
        `join: a connection from ${address} was refused: ${message}`,
      );
    const gate = new JoinGate({ material: tls.certificate.material, timer, refused });
    tls.certificate.onReload((next) => gate.setMaterial(next));
    this.door = listen === undefined ? undefined : { listen, gate, refused };
  }

  authorities(): string {
    return this.#tls.certificate.material.ca.toString();
  }

  checkRevoked(caller: Caller): void {
    this.#tls.checkRevoked(caller);
  }

  close(): void {
    this.door?.gate.close();
  }
}
