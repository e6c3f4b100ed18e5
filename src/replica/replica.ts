/**
 * One replica of a log: a Raft member with its store, its peers and a state machine, all by interface. Owns its life:
 * bootstrap or join a cluster, load what is stored, take part, stop. Knows nothing of what it replicates.
 */

import { assertNever } from '#errors/invariant.js';
import { asError } from '#errors/unknown-error.js';
import { type LogIndex, type MemberId, noMember, type Term } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import { ActiveReplica } from '#replica/active-replica.js';
import type { ActiveReplicaEvent } from '#replica/active-replica-event.js';
import { Bootstrap, type Bootstrapped } from '#replica/bootstrap/bootstrap.js';
import { otherIncarnationText, rejoinRemedy } from '#replica/bootstrap/incarnation.js';
import { withRemedy } from '#replica/fatal-error.js';
import type { LeadershipNotice } from '#replica/fitness/leadership-state.js';
import type { MembershipChange } from '#replica/members/membership-change.js';
import { withMoves } from '#replica/members/moved-members.js';
import { makesTermDurable, rewoundText, StoreFacts } from '#replica/members/store-facts.js';
import { storedSelf } from '#replica/members/stored-self.js';
import { type LoadedLog, type SnapshotSource, StoreError } from '#replica/ports/log-store.js';
import type { AppliedMeta, MemberInfo, Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerClaim, PeerEvent, PeerHandler, PeerRefusal } from '#replica/ports/peer-network.js';
import {
  type Applied,
  ProposeError,
  type ReplicaStatus,
  type ReplicatedLog,
  stoppedError,
} from '#replica/ports/replicated-log.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';
import {
  checkLimits,
  checkNames,
  checkTiming,
  defaultAloneMs,
  defaultReplicaLimits,
  defaultReplicaTiming,
  type ReplicaLimits,
  type ReplicaOptions,
  type ReplicaTiming,
} from '#replica/replica-options.js';
import { idleStatus, noMembership } from '#replica/replica-status.js';
import { awaitLeader } from '#replica/requests/leader-wait.js';
import { OpenSnapshots } from '#replica/requests/open-snapshots.js';

export class Replica<Output> implements ReplicatedLog<Output> {
  readonly #options: ReplicaOptions<Output>;
  readonly #timing: ReplicaTiming;
  readonly #limits: ReplicaLimits;
  readonly #onApplied = new Set<(applied: Applied<Output>) => void>();
  readonly #onRestored = new Set<(index: LogIndex) => void>();
  readonly #onLeadership = new Set<(notice: LeadershipNotice) => void>();
  readonly #onStopped = new Set<(error: ProposeError) => void>();
  readonly #refusals = new Set<string>();
  readonly #snapshots = new OpenSnapshots();
  readonly #facts: StoreFacts;
  /** By member: the highest term in which it has sent a message that only leaves once the term is stored. */
  readonly #termsSeen = new Map<MemberId, Term>();
  readonly #claim: StoreClaim;
  #bootstrap: Bootstrap | undefined;
  #active: ActiveReplica<Output> | undefined;
  /** Known while the cluster exists but the core is not at work yet. */
  #stored: { readonly self: MemberInfo; readonly membership: Membership } | undefined;
  #starting: Promise<void> | undefined;
  #stopped = false;

  /** @throws RangeError when timing or a limit is out of range, or an id or a name can't be one */
  constructor(options: ReplicaOptions<Output>) {
    this.#timing = options.timing ?? defaultReplicaTiming;
    this.#limits = { ...defaultReplicaLimits, ...options.limits };
    checkTiming(this.#timing);
    checkLimits(this.#limits);
    checkNames(options);
    this.#options = options;
    const { store } = options;
    this.#facts = new StoreFacts(store.peerFacts, (facts) => store.keepPeerFacts(facts));
    this.#claim = claimOf(store);
  }

  /**
   * Listens to its peers, bootstraps or joins the cluster if its store is empty, loads the state and takes part.
   * Resolves when it does, which may be long: what it waits for is observed as `bootstrap-problem`. Rejects when it
   * can't listen, the store is another member's, or the stored state can't be read.
   */
  start(): Promise<void> {
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { store, network, machine, observe } = this.#options;
    await network.start(this.#peerHandler());
    if (this.#stopped) return;
    const start = await this.#begin();
    if (start === undefined || this.#stopped) return;
    const { log, applied, memberId } = start;
    const membership = withMoves(applied.membership, this.#options.moved ?? []);
    const self = storedSelf(this.#options, membership, memberId);
    this.#stored = { self, membership };
    if (start.how !== undefined) observe({ kind: 'bootstrapped', membership: applied.membership, how: start.how });
    const rewound = this.#contradictionOfPeers(applied.membership);
    await machine.restore(store.records(), applied);
    const contradiction = await rewound;
    if (this.#stopped) return;
    if (contradiction !== undefined) {
      throw new StoreError('amnesia', `${contradiction}; to rejoin, ${rejoinRemedy(self.name)}`);
    }
    const [timing, limits] = [this.#timing, this.#limits];
    try {
      const emit = (event: ActiveReplicaEvent<Output>): void => this.#onEvent(event);
      this.#active = new ActiveReplica(this.#options, { self, log, applied, timing, limits }, emit);
    } catch (error) {
      throw withRemedy(asError(error), self);
    }
    this.#active.start({ bootstrapped: start.how === 'founder' });
  }

  /**
   * Ends this member's part: with `transfer` a leader hands over first, and answers what is under way. Stores what is
   * applied, and stops the network; takes a few election timeouts at most. The store stays open, and is asked for nothing more; a
   * write that its disk has not answered by then may still be under way, which `close` of the store waits for.
   */
  async stop({ transfer = false }: { readonly transfer?: boolean } = {}): Promise<void> {
    this.#markStopped();
    this.#bootstrap?.stop();
    await this.#active?.stop({ transfer });
    // The caller of start() handles its failure.
    await this.#starting?.catch(() => undefined);
    await this.#options.network.stop();
  }

  /** Tells the peers why this member is about to stop for good, for a reason that its owner has found. */
  ending(reason: string): void {
    this.#active?.ending(reason);
  }

  propose(command: Uint8Array): Promise<Applied<Output>> {
    return this.#active?.propose(command) ?? Promise.reject(this.#notAtWork());
  }

  /**
   * Resolves with the leader as soon as it is known; with this member once it may serve.
   * @throws ProposeError `timeout` after `withinMs`, `stopped`, as rejections
   */
  leader(withinMs: number): Promise<MemberInfo> {
    if (this.#stopped) return Promise.reject(stoppedError(this.#options.name));
    const source = {
      status: () => this.status(),
      onLeadership: (listener: (notice: LeadershipNotice) => void) => this.onLeadership(listener),
      onStopped: (listener: (error: ProposeError) => void) => subscribe(this.#onStopped, listener),
    };
    return awaitLeader(source, this.#options.clock, withinMs);
  }

  readBarrier(): Promise<LogIndex> {
    return this.#active?.readBarrier() ?? Promise.reject(this.#notAtWork());
  }

  /**
   * Makes one change of the membership; answers with the membership once all its steps are applied and stored here. Leader only.
   * @throws ProposeError, MembershipRefusedError, as rejections
   */
  changeMembership(change: MembershipChange): Promise<Membership> {
    return this.#active?.changeMembership(change) ?? Promise.reject(this.#notAtWork());
  }

  /**
   * Asks the leader, this member or another, to hand over to `to`, or (leader only) to the voter that is fittest: it
   * has room on its disk, and most of the log. Returns the member that it asked; undefined if there is none to ask.
   * `onLeadership` tells whether it came to be.
   */
  transferLeadership(to?: MemberId): MemberId | undefined {
    return this.#active?.transferLeadership(to);
  }

  /**
   * The applied state as stored, for a backup: with `fresh` at least all that was acknowledged before the call, by
   * any member. The caller closes it.
   * @throws ProposeError `timeout`, `not-leader` (with `fresh`, when no quorum answers), `stopped`, `overloaded` (16 are open);
   *   StoreError
   */
  openSnapshot({ fresh }: { readonly fresh: boolean }): Promise<SnapshotSource> {
    const active = this.#active;
    if (active === undefined) return Promise.reject(this.#notAtWork());
    return this.#snapshots.open(async () => {
      const index = fresh ? await active.readBarrier() : active.appliedIndex;
      await active.saved(index);
      return this.#options.store.openSnapshot();
    });
  }

  onApplied(listener: (applied: Applied<Output>) => void): () => void {
    return subscribe(this.#onApplied, listener);
  }

  onRestored(listener: (index: LogIndex) => void): () => void {
    return subscribe(this.#onRestored, listener);
  }

  onLeadership(listener: (notice: LeadershipNotice) => void): () => void {
    return subscribe(this.#onLeadership, listener);
  }

  status(): ReplicaStatus {
    if (this.#active !== undefined) return this.#active.status();
    const { store, clusterId } = this.#options;
    const membership = this.#stored?.membership ?? noMembership(clusterId);
    return idleStatus(this.#stored?.self ?? this.#configuredSelf(), membership, store.space());
  }

  /** What the core starts from; undefined when stopped before it was bootstrapped. */
  async #begin(): Promise<
    | {
        readonly log: Pick<LoadedLog, 'hardState' | 'entries' | 'compacted'>;
        readonly applied: AppliedMeta;
        readonly memberId: MemberId | undefined;
        readonly how: Bootstrapped['how'] | undefined;
      }
    | undefined
  > {
    const { store } = this.#options;
    const { applied } = store.loaded;
    if (applied !== undefined) return { log: store.loaded, applied, memberId: store.identity.memberId, how: undefined };
    const bootstrapped = await this.#runBootstrap();
    if (bootstrapped === undefined || this.#stopped) return undefined;
    const { meta, memberId, how } = bootstrapped;
    await store.bootstrap(memberId, meta);
    return { log: firstLog(meta), applied: meta, memberId, how };
  }

  #runBootstrap(): Promise<Bootstrapped | undefined> {
    const { name, clusterId, founders, join = [], store, clock, network, observe, aloneMs } = this.#options;
    this.#bootstrap = new Bootstrap({
      name,
      clusterId,
      founders,
      join,
      clock,
      storeId: store.identity.storeId,
      aloneMs: aloneMs ?? defaultAloneMs,
      hello: (peer) => network.hello(peer),
      problem: (problem) => observe({ kind: 'bootstrap-problem', problem }),
    });
    return this.#bootstrap.run();
  }

  #configuredSelf(): MemberInfo {
    const { name, founders, store } = this.#options;
    const peer = founders.find((founder) => founder.name === name)?.peer ?? '';
    return { id: noMember, name, peer, storeId: store.identity.storeId };
  }

  #hello(caller: StoreClaim | undefined): MemberHello {
    const { name, clusterId, commandKinds, founders, store } = this.#options;
    const membership = this.#active?.membership ?? this.#stored?.membership ?? store.loaded.applied?.membership;
    const bootstrapped = membership !== undefined;
    const seen = this.#bootstrap?.seen ?? [];
    const { storeId } = store.identity;
    const contradiction = caller === undefined ? undefined : this.#met(caller);
    const claim = this.#claim;
    return { clusterId, name, storeId, bootstrapped, membership, commandKinds, founders, seen, claim, contradiction };
  }

  /** How the store of a peer contradicts what is known of it. It is reported once. */
  #met(claim: StoreClaim): string | undefined {
    const { clusterId, name, observe } = this.#options;
    const { members } = this.#active?.membership ?? this.#stored?.membership ?? noMembership(clusterId);
    const peer = members.find(({ storeId }) => storeId === claim.storeId);
    if (peer === undefined || peer.storeId === this.#claim.storeId) return undefined;
    const contradiction = this.#facts.meet(claim);
    if (contradiction === undefined) return undefined;
    const text = rewoundText(peer.name, name, contradiction);
    if (this.#isNews(text)) observe({ kind: 'peer-rewound', peer: peer.name, message: text });
    return text;
  }

  /**
   * Asks the peers whether they know more of this member's store than it holds, before the member takes part. One that
   * does not answer within an election timeout is not waited for; it refuses this member's messages later.
   */
  async #contradictionOfPeers({ members }: Membership): Promise<string | undefined> {
    const { network, clock } = this.#options;
    const peers = members.filter(({ storeId }) => storeId !== this.#claim.storeId);
    if (this.#claim.session.starts === 0 || peers.length === 0) return undefined;
    const asked = peers.map(async ({ peer }) => {
      const hello = await network.hello(peer, this.#claim).catch(() => undefined);
      if (hello === undefined) return undefined;
      this.#met(hello.claim);
      return hello.contradiction;
    });
    const all = Promise.all(asked).then((answers) => answers.find((answer) => answer !== undefined));
    return new Promise((resolve) => {
      const cancel = clock.after(this.#timing.electionMs, () => resolve(undefined));
      const answered = (contradiction: string | undefined): void => {
        cancel();
        resolve(contradiction);
      };
      all.then(answered);
      // One contradiction is enough: another peer may not answer at all.
      for (const each of asked) each.then((contradiction) => contradiction !== undefined && answered(contradiction));
    });
  }

  #peerHandler(): PeerHandler {
    return {
      claim: this.#claim,
      hello: (caller) => this.#hello(caller),
      take: (event) => this.#onPeerEvent(event),
      receiveSnapshot: (message, meta, chunks) =>
        this.#active?.receiveSnapshot(message, meta, chunks) ?? Promise.reject(this.#notAtWork()),
    };
  }

  #onPeerEvent(event: PeerEvent): void {
    switch (event.kind) {
      case 'message':
        this.#receive(event.message);
        return;
      case 'unknown-message': {
        const { from, reason } = event;
        if (this.#isNews(`${from} ${reason}`)) this.#options.observe({ kind: 'message-refused', from, reason });
        return;
      }
      case 'report':
        this.#active?.reported(event.from, event.report);
        return;
      case 'claim':
        this.#onClaimed(event.claim);
        return;
      case 'unreachable':
        this.#active?.unreachable(event.member);
        return;
      case 'refused':
        this.#onRefused(event.peer, event.reason, event.refusal);
        return;
      default:
        assertNever(event);
    }
  }

  #receive(message: PeerMessage): void {
    this.#active?.receive(message);
    if (message.term <= (this.#termsSeen.get(message.from) ?? 0) || !makesTermDurable(message)) return;
    this.#termsSeen.set(message.from, message.term);
    const { members } = this.#active?.membership ?? noMembership(this.#options.clusterId);
    const from = members.find(({ id }) => id === message.from);
    if (from !== undefined) this.#facts.reachedTerm(from.storeId, message.term);
  }

  #onClaimed(claim: PeerClaim): void {
    if (this.#active === undefined) {
      this.#bootstrap?.claimed(claim);
      return;
    }
    const disowned = otherIncarnationText(claim, this.#active.self, this.#active.membership);
    if (disowned !== undefined) this.#active.rejectedByIncarnation(disowned);
  }

  #onRefused(peer: string, reason: string, refusal: PeerRefusal): void {
    if (refusal === 'expelled') this.#active?.removed(reason);
    if (refusal === 'rewound') this.#active?.rewound(reason);
    if (this.#isNews(`${peer} ${reason}`)) this.#options.observe({ kind: 'refused-by-peer', peer, reason });
  }

  #isNews(refusal: string): boolean {
    if (this.#refusals.size >= 1000) this.#refusals.clear();
    if (this.#refusals.has(refusal)) return false;
    this.#refusals.add(refusal);
    return true;
  }

  #onEvent(event: ActiveReplicaEvent<Output>): void {
    switch (event.kind) {
      case 'applied':
        tell(this.#onApplied, event.applied);
        return;
      case 'restored':
        tell(this.#onRestored, event.index);
        return;
      case 'leadership':
        tell(this.#onLeadership, event.notice);
        return;
      case 'acknowledged':
        this.#facts.acknowledged(event.storeId, event.index);
        return;
      case 'ended':
        this.#markStopped();
        this.#options.network.stop().catch((error: unknown) => {
          this.#options.observe({ kind: 'fatal', error: asError(error) });
        });
    }
  }

  /** A concurrent start() checks this flag and stops. */
  #markStopped(): void {
    this.#stopped = true;
    tell(this.#onStopped, stoppedError(this.#options.name));
    this.#onStopped.clear();
  }

  #notAtWork(): ProposeError {
    const { name } = this.#options;
    if (this.#stopped) return stoppedError(name);
    return new ProposeError(
      'not-leader',
      `member ${name} does not take part yet: its cluster waits to be bootstrapped`,
    );
  }
}

function claimOf({ identity, loaded }: ReplicaOptions<unknown>['store']): StoreClaim {
  const { entries, compacted, hardState } = loaded;
  const lastIndex = entries.at(-1)?.index ?? compacted.index;
  return { storeId: identity.storeId, session: identity.session, term: hardState?.term ?? 0, lastIndex };
}

/** What a store holds after `bootstrap`: a log that begins late was committed up to there by its writers. */
function firstLog({ index, term }: AppliedMeta): Pick<LoadedLog, 'hardState' | 'entries' | 'compacted'> {
  const hardState = index === 0 ? undefined : { term, vote: noMember, commit: index };
  return { hardState, entries: [], compacted: { index, term } };
}

function subscribe<Listener>(listeners: Set<Listener>, listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell<Value>(listeners: ReadonlySet<(value: Value) => void>, value: Value): void {
  for (const listener of listeners) listener(value);
}
