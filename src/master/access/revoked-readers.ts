/** The list of revoked readers, as agents ask for it: worked out once for each change of the revocations. */
import { createHash } from 'node:crypto';
import type { Ipam } from '#ipam/ipam.js';
import { revocationMessage } from '#master/services/revocation-message.js';
import type { sublet } from '#proto/sublet.js';

type Listed = {
  readonly of: Ipam;
  readonly changedAt: number;
  readonly answer: sublet.v1.ListRevokedReadersResponse.$Properties & { readonly version: string };
};

/** The roles that HTTP of an agent answers. */
const readerPattern = /^(?:viewer|operator|admin)\//;

export class RevokedReaders {
  #listed: Listed | undefined;

  /** The whole list, or that it is the one of this version. */
  of(ipam: Ipam, version: string): sublet.v1.ListRevokedReadersResponse.$Properties {
    const changedAt = ipam.revocationsChangedAt;
    if (this.#listed?.of !== ipam || this.#listed.changedAt !== changedAt) {
      this.#listed = { of: ipam, changedAt, answer: listed(ipam) };
    }
    const { answer } = this.#listed;
    return answer.version === version ? { version, unchanged: true } : answer;
  }
}

function listed(ipam: Ipam): Listed['answer'] {
  const revoked = ipam.revocations().filter(({ identity }) => readerPattern.test(identity));
  const hash = createHash('sha256');
  for (const { identity, acceptedFrom } of revoked) hash.update(`${identity} ${acceptedFrom ?? 'none'}\n`);
  const readers = revoked.map((each) => {
    const { identity, acceptedFrom } = revocationMessage(each);
    return { identity: identity ?? null, acceptedFrom: acceptedFrom ?? null };
  });
  return { version: hash.digest('hex'), readers };
}
