/**
 * What comes of a command: an answer, or a refusal that left everything as it was.
 */
import type { Cidr } from '#address/ip.js';
import type { JoinToken } from '#ipam/join-token.js';
import type { Network, Overlay } from '#ipam/network.js';
import type { AgentThen } from '#ipam/view/agent-view.js';

/** Closed set; each is the gRPC status code of the same name. */
export type RefusalCode =
  | 'invalid-argument'
  | 'not-found'
  | 'already-exists'
  | 'failed-precondition'
  | 'aborted'
  | 'resource-exhausted';

/** Nothing was changed. The message names the action, the field, the value and the limit. */
export type Refusal = {
  readonly kind: 'refused';
  readonly code: RefusalCode;
  readonly message: string;
  /** The field at fault, as the API or the configuration file spells it; empty when it is not about one. */
  readonly field: string;
};

/** What a command that was applied says. */
export type Reply =
  | { readonly kind: 'done' }
  | { readonly kind: 'registered'; readonly agent: AgentThen }
  | { readonly kind: 'token'; readonly token: JoinToken }
  | { readonly kind: 'network'; readonly network: Network }
  | { readonly kind: 'overlay'; readonly overlay: Overlay }
  /**
   * What is quarantined now: by agent in the order asked, the VTEP address (as /32) first, then by overlay and family.
   */
  | { readonly kind: 'released'; readonly released: readonly Cidr[] };

/**
 * A reply and the revision that it holds at: the command's own index if it changed anything, else the last one before.
 * `changed` tells which.
 */
export type Answer = Reply & { readonly revision: number; readonly changed: boolean };

export type Result = Answer | Refusal;

export function refuse(code: RefusalCode, field: string, message: string): Refusal {
  return { kind: 'refused', code, field, message };
}

export function done(): Reply {
  return { kind: 'done' };
}
