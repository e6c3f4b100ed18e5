/**
 * Detects state divergence: the leader asks every other master now and then for the hash of its plan at one revision.
 * Equal logs make equal plans, so a difference means that the memory, the disk or the program of one master is wrong.
 * All masters get the hashes, and each then asks the others itself: a master that stands against the hash of a majority
 * stops, before it gives an address a second time, but never by the word of one.
 */

import { RefusedError } from '#api/refusal.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import type { StateDigests } from '#master/integrity/state-digests.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { MasterLog } from '#master/master-log.js';
import type { PeerCalls } from '#master/server/call-router.js';
import { type Endpoint, endpoint } from '#master/server/endpoint.js';
import type { Warning } from '#master/warning.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';
import { noCaller } from '#tls/caller.js';

export type StateComparisonOptions = {
  readonly log: Pick<ReplicatedLog<unknown>, 'status' | 'readBarrier'>;
  readonly digests: StateDigests;
  /** The newest branches of this master's history up to a revision. */
  readonly branches: (revision: number) => readonly string[];
  readonly leadership: Leadership;
  readonly peers: PeerCalls;
  readonly clock: Clock;
  readonly logger: MasterLog;
  readonly version: string;
  /** This master's plan is not what the majority has: it must not go on. */
  readonly fail: (error: Error) => void;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
};

const compareEveryMs = 30_000;
const answerMs = 5_000;
const remedy =
  'keep their data directories, save a backup from a master that agrees with most (sublet snapshot save), and replace those that differ: docs/operations/corruption.md';

/** Where logs differ: a majority went back, or the master that differs did. Its data may be the only good copy. */
const divergedRemedy =
  'keep the data directories of all: a majority was put back to an earlier state, or the master that differs was: docs/operations/corruption.md (When a majority went back)';

type Standings = {
  readonly others: readonly MemberInfo[];
  readonly difference: string;
  readonly majorityHash: string;
  /** Not all have applied the same log: nothing is corrupt. */
  readonly diverged: boolean;
  /** Every member has answered. */
  readonly isWhole: boolean;
};
type Standing = { readonly member: MemberInfo; readonly hash: string; readonly branches: string };

export class StateComparison {
  readonly #options: StateComparisonOptions;
  #cancel: () => void;
  #difference = '';
  #diverged = false;
  #compared = 0;
  #verifying: Promise<void> | undefined;

  constructor(options: StateComparisonOptions) {
    this.#options = options;
    this.#cancel = options.clock.after(compareEveryMs, () => this.#tick());
  }

  /** Comparisons that this master has made as leader. */
  get compared(): number {
    return this.#compared;
  }

  /** The masters that differ, as last compared; empty: none. */
  get difference(): string {
    return this.#difference;
  }

  warnings(): readonly Warning[] {
    return this.#difference === ''
      ? []
      : [{ message: this.#difference, remedy: this.#diverged ? divergedRemedy : remedy }];
  }

  stop(): void {
    this.#cancel();
  }

  /** What the leader asks, and later tells. */
  get endpoint(): Endpoint {
    const place = { place: 'here', idempotent: true } as const;
    return endpoint(forwardMethods.compareState, place, async (request) => {
      const { revision, concluded } = request;
      if (concluded) {
        if (this.#isLeader(request)) await this.#verify(revision);
        return { hash: '' };
      }
      if (request.version !== this.#options.version) return { hash: '' };
      // Everything up to that revision is applied then.
      await this.#options.log.readBarrier();
      const { digests, branches } = this.#options;
      return { hash: digests.at(revision) ?? '', branches: [...branches(revision)] };
    });
  }

  /**
   * One comparison; does nothing unless this master leads. Resolves when all members that can be reached have the
   * outcome.
   */
  async compare(): Promise<void> {
    const { log, leadership, digests } = this.#options;
    if (leadership.seat.kind !== 'here') return;
    const { revision, hash } = digests.latest;
    const { self, term } = log.status();
    const standings = await this.#standings(revision, hash);
    const { others, difference, majorityHash } = standings;
    this.#compared += 1;
    if (difference === '' && this.#difference === '') return;
    const told = { revision, difference, majorityHash, concluded: true, leaderId: self.id, term };
    await Promise.all(others.map((member) => this.#ask(member, told)));
    this.#conclude(revision, standings);
  }

  /** Whether it leads, as far as is known here, in the term that it names. */
  #isLeader({ leaderId, term }: sublet.peer.v1.CompareStateRequest): boolean {
    const known = this.#options.log.status();
    return known.leader?.id === leaderId && known.term === term && leaderId !== known.self.id;
  }

  /** A leader has found a difference, or an end of it: this master looks for itself. Once at a time. */
  #verify(revision: number): Promise<void> {
    const own = this.#options.digests.at(revision);
    if (own === undefined) return Promise.resolve();
    this.#verifying ??= this.#standings(revision, own)
      .then((standings) => {
        if (standings.others.length > 0) this.#conclude(revision, standings);
      })
      .finally(() => {
        this.#verifying = undefined;
      });
    return this.#verifying;
  }

  /** What the others say themselves of that revision, and what follows. `others`: the members that answered. */
  async #standings(revision: number, hash: string): Promise<Standings> {
    const { log, version, branches } = this.#options;
    const { self, membership } = log.status();
    const members = membership.members.filter(({ id }) => id !== self.id);
    const asked = await Promise.all(members.map((member) => this.#ask(member, { revision, version })));
    const standings: Standing[] = [{ member: self, hash, branches: branches(revision).join() }];
    for (const [at, member] of members.entries()) {
      const known = asked[at]?.hash ?? '';
      const told = (asked[at]?.branches ?? []).join();
      if (known !== '') standings.push({ member, hash: known, branches: told });
    }
    const { voters } = membership.confState;
    const majorityHash = majorityOf(
      standings.filter(({ member }) => voters.includes(member.id)),
      voters.length,
    );
    const others = standings.slice(1).map(({ member }) => member);
    const diverged = standings.some((each) => each.branches !== standings[0]?.branches);
    const isWhole = standings.length === membership.members.length;
    return { others, difference: describe(revision, standings), majorityHash, diverged, isWhole };
  }

  #tick(): void {
    const { clock, report } = this.#options;
    this.compare()
      .catch((error: unknown) => (error instanceof ProposeError ? undefined : report(error)))
      .finally(() => {
        this.#cancel = clock.after(compareEveryMs, () => this.#tick());
      });
  }

  /** undefined: it can't be asked now; the next comparison asks again. */
  async #ask(
    member: MemberInfo,
    message: sublet.peer.v1.CompareStateRequest.$Properties,
  ): Promise<sublet.peer.v1.CompareStateResponse | undefined> {
    const { path, request, response } = forwardMethods.compareState;
    try {
      const bytes = request.encode(message).finish();
      return response.decode(await this.#options.peers.call(member, path, bytes, answerMs, noCaller));
    } catch (error) {
      if (error instanceof RefusedError) return undefined;
      throw error;
    }
  }

  #conclude(revision: number, { difference, majorityHash, diverged, isWhole }: Standings): void {
    const { digests, logger, fail, log } = this.#options;
    // One that differed and stopped is not heard now: it is a difference until all answer, and agree.
    if (difference === '' && !isWhole) return;
    if (difference !== this.#difference) {
      if (difference === '') logger.info({ revision }, 'the masters agree again on the plan');
      else logger.error({ revision }, difference);
    }
    this.#difference = difference;
    this.#diverged = diverged;
    const own = digests.at(revision);
    if (majorityHash === '' || own === undefined || own === majorityHash) return;
    const { name } = log.status().self;
    const error = diverged
      ? `the log of master ${name} is not the one of the others: ${difference}. It stops; ${divergedRemedy}`
      : `the plan of master ${name} is corrupt: ${difference}. It must not go on; ${remedy}`;
    fail(new Error(error));
  }
}

/** The hash of more than half of all voters; empty when there is none. */
function majorityOf(standings: readonly Standing[], voters: number): string {
  const counts = new Map<string, number>();
  for (const { hash } of standings) counts.set(hash, (counts.get(hash) ?? 0) + 1);
  for (const [hash, count] of counts) if (count > voters / 2) return hash;
  return '';
}

/** Empty when all are equal. */
function describe(revision: number, standings: readonly Standing[]): string {
  const names = new Map<string, string[]>();
  for (const { member, hash } of standings) names.set(hash, [...(names.get(hash) ?? []), member.name]);
  if (names.size < 2) return '';
  const sides = [...names].map(([hash, who]) => `${who.join(' and ')} ${who.length > 1 ? 'have' : 'has'} ${hash}`);
  return `the masters differ in the plan at revision ${revision}: ${sides.join(', ')}`;
}
