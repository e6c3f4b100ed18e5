/**
 * Which agents were heard, and when: the leader's account, in its memory only. It begins anew with each term in office,
 * and after a pause, as if all agents had just been heard; so silence is found late, never early. The agents stand in
 * the order in which they were last heard, so neither a keep-alive nor the search for the silent costs more with more
 * agents.
 */
import type { HolderJudgement } from '#ipam/commands/command.js';
import type { AgentId } from '#ipam/identity.js';
import type { LeaseRef } from '#ipam/ipam.js';
import type { Clock } from '#replica/ports/clock.js';

/** An agent heard within this time is live, in ms. */
export const liveMs = 30_000;

export type PresenceView =
  /** `lastHeard` undefined: not yet heard by this leader, which has not listened for long enough to call it silent. */
  | { readonly state: 'live'; readonly lastHeard: number | undefined }
  /** Times in ms since 1970. `silentSince` is `lastHeard`, or when the leader began to listen. */
  | { readonly state: 'silent'; readonly lastHeard: number | undefined; readonly silentSince: number };

/** Whether the lease was carried over by an adoption under way, and its agent has not registered since. */
export type IsAwaited = (lease: Pick<LeaseRef, 'epoch'>) => boolean;

const noneAwaited: IsAwaited = () => false;

export type PresenceCounts = { readonly live: number; readonly silent: number; readonly awaited: number };

type Heard = {
  readonly agentId: AgentId;
  epoch: number;
  /** On the clock; when the account began, for those never heard. */
  at: number;
  /** Ms since 1970. */
  wallTime: number;
  never: boolean;
};

export class Presence {
  readonly #clock: Clock;
  readonly #wallClock: () => number;
  /** In the order of `at`: a Map keeps the order of insertion, and an agent that is heard is inserted anew. */
  #heard = new Map<AgentId, Heard>();
  #begun = false;

  constructor(clock: Clock, wallClock: () => number) {
    this.#clock = clock;
    this.#wallClock = wallClock;
  }

  /** Whether this master keeps the account: it does so while it leads. */
  get begun(): boolean {
    return this.#begun;
  }

  get size(): number {
    return this.#heard.size;
  }

  /** Begins the account: all of these count as heard now. */
  begin(leases: Iterable<LeaseRef>): void {
    const at = this.#clock.now();
    const wallTime = this.#wallClock();
    this.#heard = new Map();
    for (const { agentId, epoch } of leases) this.#heard.set(agentId, { agentId, epoch, at, wallTime, never: true });
    this.#begun = true;
  }

  /** Ends the account: another one leads. */
  end(): void {
    this.#heard = new Map();
    this.#begun = false;
  }

  /** The agent was heard just now, under this epoch. */
  hear(agentId: AgentId, epoch: number): void {
    if (!this.#begun) return;
    const known = this.#heard.get(agentId);
    const at = this.#clock.now();
    const wallTime = this.#wallClock();
    if (known === undefined) {
      this.#heard.set(agentId, { agentId, epoch, at, wallTime, never: false });
      return;
    }
    known.epoch = epoch;
    known.at = at;
    known.wallTime = wallTime;
    known.never = false;
    this.#heard.delete(agentId);
    this.#heard.set(agentId, known);
  }

  /** The agent holds nothing any more. */
  forget(agentId: AgentId): void {
    this.#heard.delete(agentId);
  }

  /** Undefined when nothing is known of the agent (it has not come back in an adoption), or no account is kept. */
  of(agentId: AgentId, isAwaited: IsAwaited = noneAwaited): PresenceView | undefined {
    const heard = this.#heard.get(agentId);
    return heard === undefined || (heard.never && isAwaited(heard)) ? undefined : this.#view(heard);
  }

  /** What goes into a command about a holder; one not known counts as live. */
  judge({ agentId, epoch }: LeaseRef): HolderJudgement {
    const heard = this.#heard.get(agentId);
    const silent = heard !== undefined && heard.epoch === epoch && this.#silent(heard);
    return { agentId, epoch, silent, lastHeard: heard === undefined || heard.never ? undefined : heard.wallTime };
  }

  /** `isAwaited`: whether an agent is to come back in an adoption; until then it is neither live nor silent. */
  counts(isAwaited: IsAwaited = noneAwaited): PresenceCounts {
    let silent = 0;
    let awaited = 0;
    for (const heard of this.#heard.values()) {
      if (heard.never && isAwaited(heard)) awaited += 1;
      else if (this.#silent(heard)) silent += 1;
    }
    return { live: this.#heard.size - silent - awaited, silent, awaited };
  }

  /** All in one state, in no order. */
  agents(state: PresenceView['state'], isAwaited: IsAwaited = noneAwaited): AgentId[] {
    const silent = state === 'silent';
    return [...this.#heard.values()]
      .filter((heard) => this.#silent(heard) === silent && !(heard.never && isAwaited(heard)))
      .map(({ agentId }) => agentId);
  }

  /** The first `limit` of the silent, the longest silent first. */
  silent(
    limit: number,
    isAwaited: IsAwaited = noneAwaited,
  ): readonly { readonly agentId: AgentId; readonly silentSince: number }[] {
    const found: { agentId: AgentId; silentSince: number }[] = [];
    for (const heard of this.#heard.values()) {
      if (found.length === limit || !this.#silent(heard)) break;
      if (heard.never && isAwaited(heard)) continue;
      found.push({ agentId: heard.agentId, silentSince: heard.wallTime });
    }
    return found;
  }

  /** Those not heard for `ttlMs` or longer, the longest first. */
  *overdue(ttlMs: number): Generator<{ readonly agentId: AgentId; readonly epoch: number }, void, undefined> {
    const now = this.#clock.now();
    for (const heard of this.#heard.values()) {
      if (now - heard.at < ttlMs) return;
      yield heard;
    }
  }

  #silent({ at }: Heard): boolean {
    return this.#clock.now() - at > liveMs;
  }

  #view(heard: Heard): PresenceView {
    const lastHeard = heard.never ? undefined : heard.wallTime;
    return this.#silent(heard)
      ? { state: 'silent', lastHeard, silentSince: heard.wallTime }
      : { state: 'live', lastHeard };
  }
}
