/**
 * The links to other masters that lead or led. When the lead changes, the old link stays for a moment, so that
 * what its master still answers (it may have handed over in good order) arrives.
 */

import type { ChannelCredentials } from '@grpc/grpc-js';
import { RefusedError } from '#api/refusal.js';
import { ForwardLink } from '#master/forward/forward-link.js';
import type { OwnIncarnation } from '#master/leader/incarnation-check.js';
import type { PeerCalls } from '#master/server/call-router.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import type { Caller } from '#tls/caller.js';

export type PeerLinksOptions = {
  readonly plan: OwnIncarnation;
  readonly credentials: ChannelCredentials;
  readonly clock: Clock;
};

/** How long a master that leads no more may still answer, in ms. */
const graceMs = 1_000;

export class PeerLinks implements PeerCalls {
  readonly #options: PeerLinksOptions;
  readonly #links = new Map<string, { readonly link: ForwardLink; cancelClose: (() => void) | undefined }>();

  #closed = false;

  constructor(options: PeerLinksOptions) {
    this.#options = options;
  }

  call(member: MemberInfo, path: string, request: Uint8Array, timeoutMs: number, caller: Caller): Promise<Uint8Array> {
    // A link opened now would never be closed, and keep the process alive.
    if (this.#closed) return Promise.reject(new RefusedError('unavailable', 'this master is stopping'));
    return this.#to(member.peer).call(path, request, timeoutMs, caller);
  }

  /** Another member leads now, or this one: links to all others are closed, after a moment. */
  leaderIs(member: MemberInfo): void {
    for (const [peer, entry] of this.#links) {
      if (peer === member.peer) {
        entry.cancelClose?.();
        entry.cancelClose = undefined;
      } else {
        entry.cancelClose ??= this.#options.clock.after(graceMs, () => this.#close(peer));
      }
    }
  }

  close(): void {
    this.#closed = true;
    for (const peer of [...this.#links.keys()]) this.#close(peer);
  }

  #to(peer: string): ForwardLink {
    const known = this.#links.get(peer);
    if (known !== undefined) return known.link;
    const { plan, credentials } = this.#options;
    const link = new ForwardLink({ peer, plan, credentials });
    this.#links.set(peer, { link, cancelClose: undefined });
    return link;
  }

  #close(peer: string): void {
    const entry = this.#links.get(peer);
    if (entry === undefined) return;
    entry.cancelClose?.();
    this.#links.delete(peer);
    entry.link.close();
  }
}
