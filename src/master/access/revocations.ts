/** Judges identities by the revocations in the plan, as this master has applied them. */
import { RefusedError } from '#api/refusal.js';
import type { Ipam } from '#ipam/ipam.js';
import type { Revocation } from '#ipam/revocation.js';
import type { CallerPrincipal } from '#tls/caller.js';
import { timeText } from '#tls/certificate/tls-files.js';
import { formatPrincipal } from '#tls/principal.js';

export class Revocations {
  readonly #ipam: () => Ipam;
  #seen: Ipam | undefined;
  #seenAt = 0;

  /** `ipam`: the plan as it is now. */
  constructor(ipam: () => Ipam) {
    this.#ipam = ipam;
  }

  /** The revocation that holds for a certificate, or for all certificates of an identity; undefined: none does. */
  of(principal: CallerPrincipal): Revocation | undefined {
    const found = this.#ipam().revocation(formatPrincipal(principal));
    if (found?.acceptedFrom === undefined) return found;
    const { beginsMs } = principal;
    return beginsMs !== undefined && beginsMs < found.acceptedFrom ? found : undefined;
  }

  /** @throws RefusedError `permission-denied` when the identity is revoked */
  check(principal: CallerPrincipal): void {
    const found = this.of(principal);
    if (found !== undefined) throw new RefusedError('permission-denied', revokedText(found));
  }

  /** Whether they have changed since this was asked last. */
  changed(): boolean {
    const ipam = this.#ipam();
    const same = ipam === this.#seen && ipam.revocationsChangedAt === this.#seenAt;
    this.#seen = ipam;
    this.#seenAt = ipam.revocationsChangedAt;
    return !same;
  }
}

/** `agent/host-7 was revoked at … by …: …` */
export function revokedText({ identity, cause, since, by, acceptedFrom }: Revocation): string {
  const when = `at ${timeText(since)} by ${by}`;
  if (cause === 'removal') {
    return `${identity} was revoked ${when}, when its master was removed: \`sublet members add\` takes it back`;
  }
  if (acceptedFrom === undefined) {
    const socket = identity.startsWith('admin/')
      ? ', by another admin or with --master unix:DATA_DIR/admin.sock on a master'
      : '';
    return `${identity} was revoked ${when}: \`sublet certs unrevoke ${identity}\` takes it back${socket}`;
  }
  return `${identity} was revoked ${when}, but for certificates that begin at ${timeText(acceptedFrom)} or later: issue a new one`;
}
