/**
 * Compares what callers have seen with the log, at the leader. What the log can't have produced proves that this plan
 * went back: its masters' stores were put back from a copy. Then the leader begins an adoption, in which agents get
 * what they run on and nothing fresh is granted, until an operator ends it.
 */
import { RefusedError } from '#api/refusal.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { HeldLease } from '#ipam/commands/command.js';
import type { Proof, Testimony } from '#ipam/commands/proof.js';
import { type AgentId, parseAgentId } from '#ipam/identity.js';
import { adoptionReasonLengthMax, historyMax } from '#ipam/limits.js';
import { forwardMethods } from '#master/forward/forward-method.js';
import type { PlanOutcome } from '#master/ipam-machine.js';
import { type ClaimedIncarnation, incarnationLengthMax } from '#master/leader/incarnation-check.js';
import type { Leadership } from '#master/leader/leadership.js';
import type { MasterLog } from '#master/master-log.js';
import { type Endpoint, endpoint } from '#master/server/endpoint.js';
import { parseBranchText, parseField, safeInteger } from '#master/server/refusal-mapping.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { incarnationsDiffer } from '#replica/bootstrap/incarnation.js';
import type { Clock } from '#replica/ports/clock.js';
import { ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

export type HistoryGuardOptions = {
  readonly log: Pick<ReplicatedLog<PlanOutcome>, 'propose' | 'readBarrier' | 'status'>;
  readonly plan: PlanClient;
  readonly leadership: Pick<Leadership, 'seat'>;
  readonly clock: Clock;
  readonly wallClock: () => number;
  readonly newValue: () => string;
  readonly logger: MasterLog;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
};

/** What a caller names with its claim; empty or 0 where it says nothing. */
export type Claimed = {
  readonly clusterId?: string | null | undefined;
  readonly epoch?: number | null | undefined;
  readonly revision?: number | null | undefined;
  readonly branch?: string | null | undefined;
  /** The agent whose watch has seen it; undefined: it is not known, or it is no watch. */
  readonly watcher?: AgentId | undefined;
};

/** In an adoption, another proof begins it anew at most so often: all agents register again each time. */
const anewEveryMs = 60_000;
const retryMs = 1_000;
/** So long after its bootstrap a cluster takes a lease of another one for a sign that others will follow, ms of cluster time. */
const youngMs = 24 * 3_600_000;

export class HistoryGuard {
  readonly #options: HistoryGuardOptions;
  #proofs = 0;
  #begunAtMs = Number.NEGATIVE_INFINITY;
  /** A proof that is not in the log yet, and what comes of writing it there. */
  #pending: { readonly proof: Proof; readonly written: Promise<void> } | undefined;
  /** A proof that could not be written to the log. */
  #unwritten: Proof | undefined;
  #cancelRetry: () => void = () => undefined;

  constructor(options: HistoryGuardOptions) {
    this.#options = options;
  }

  stop(): void {
    this.#cancelRetry();
  }

  /** Proofs found so far by this master as leader. */
  get proofs(): number {
    return this.#proofs;
  }

  /**
   * Returns once the adoption that a claim proves necessary has begun; at once for a claim that proves nothing. Leader only.
   * @throws ProposeError when no quorum answered or it could not be written
   */
  async check(agentId: AgentId | undefined, claimed: Claimed, held?: HeldLease): Promise<void> {
    const testimony = this.#testimony(agentId, claimed, held);
    if (testimony === undefined || !this.suspects(testimony)) return;
    await this.#options.log.readBarrier();
    const proof = this.#proofIn(testimony, this.#options.log.status().appliedIndex);
    if (proof !== undefined) await this.#begin(proof, agentId ?? claimed.watcher);
  }

  /** What other masters call. */
  get endpoint(): Endpoint {
    const place = { place: 'leader', idempotent: true } as const;
    return endpoint(forwardMethods.checkClaim, place, async ({ revision, branch, agentId, incarnation }) => {
      const agent = agentId === '' ? undefined : parseField('agent_id', agentId, parseAgentId);
      if (incarnation === '') {
        const seen = { revision: safeInteger('revision', revision), branch: parseBranchText(branch) };
        await this.check(undefined, { ...seen, watcher: agent });
      } else if (agent !== undefined) {
        await this.checkOther(agent, { clusterId: this.#options.plan.clusterId, incarnation });
      }
      return {};
    });
  }

  /** Whether the log ends before that revision; false while it is unknown. Any master. */
  async isBeyond(revision: number): Promise<boolean> {
    const { log } = this.#options;
    try {
      await log.readBarrier();
      return log.status().appliedIndex < revision;
    } catch (error) {
      if (error instanceof ProposeError) return false;
      throw error;
    }
  }

  /** As `check`, for a claim that is answered without it. */
  checkLater(agentId: AgentId, claimed: Claimed): void {
    const testimony = this.#testimony(agentId, claimed, undefined);
    if (testimony === undefined || !this.suspects(testimony)) return;
    this.check(agentId, claimed).catch((error: unknown) => {
      if (!(error instanceof ProposeError)) this.#options.report(error);
    });
  }

  /** Whether the state here does not explain the claim. */
  suspects(testimony: Testimony): boolean {
    const { plan } = this.#options;
    return this.#proofIn(testimony, plan.ipam.revision) !== undefined;
  }

  /**
   * Whether what an agent says that it runs on is not confirmed by the log, so that it must not be replaced.
   * @throws ProposeError
   */
  async isUnconfirmed(agentId: AgentId, claimed: Claimed, held: HeldLease): Promise<boolean> {
    const { plan } = this.#options;
    if (claimed.clusterId && claimed.clusterId !== plan.clusterId) {
      if (this.#mayFollow() && plan.ipam.hasBlocksOf(held)) {
        await this.#begin(former(agentId, claimed.clusterId), agentId);
      }
      return true;
    }
    await this.check(agentId, claimed, held);
    const testimony = this.#testimony(agentId, claimed, held);
    if (plan.ipam.adoption || testimony === undefined) return true;
    return plan.ipam.standingOf(testimony) === 'unconfirmed';
  }

  /**
   * An agent that is to be refused has a lease of another incarnation of this cluster id: two clusters have granted
   * addresses, and hosts run on what the other one granted. Returns once the adoption has begun; at once for a claim that is
   * none. Leader only.
   * @throws ProposeError
   */
  async checkOther(agentId: AgentId, claimed: ClaimedIncarnation): Promise<void> {
    const other = this.#ofOther(agentId, claimed);
    if (other !== undefined) await this.#begin(other, agentId);
  }

  /** Whether an adoption has to begin for what the agent claims, by the state here: any master. */
  isOther(agentId: AgentId, claimed: ClaimedIncarnation): boolean {
    return this.#ofOther(agentId, claimed) !== undefined;
  }

  /** None for what no cluster has drawn, by its length, and where an operator has ended an adoption for that incarnation. */
  #ofOther(agentId: AgentId, { clusterId, incarnation }: ClaimedIncarnation): Proof | undefined {
    const { plan } = this.#options;
    if (plan.ipam.adoption || !incarnation || clusterId !== plan.clusterId) return undefined;
    if (incarnation.length > incarnationLengthMax) return undefined;
    if (!incarnationsDiffer(incarnation, plan.incarnation)) return undefined;
    const about = `has a lease of incarnation ${incarnation} of this cluster id: two clusters have granted addresses`;
    const began = plan.ipam.history({ after: 0, limit: historyMax, what: new Set(['begin-adoption']) });
    if (began.some(({ detail }) => detail.endsWith(about))) return undefined;
    return { reason: `agent "${agentId}" ${about}`, claimedEpoch: 0 };
  }

  /** Why nothing can be granted now; undefined: it can. */
  get refusal(): RefusedError | undefined {
    const unwritten = this.#unwritten;
    if (unwritten === undefined || this.#options.leadership.seat.kind !== 'here') return undefined;
    return new RefusedError(
      'unavailable',
      `an adoption has to begin: ${unwritten.reason}. Nothing is granted until that is written to the log`,
    );
  }

  /** Whether this cluster may have been bootstrapped in the place of another one, whose agents are still to come. */
  #mayFollow(): boolean {
    const { ipam, time } = this.#options.plan;
    if (ipam.adoption) return false;
    return !ipam.everUsed || (ipam.adoptedAt === 0 && time < youngMs);
  }

  #testimony(agentId: AgentId | undefined, claimed: Claimed, held: HeldLease | undefined): Testimony | undefined {
    const { clusterId, epoch, revision, branch, watcher } = claimed;
    if (clusterId && clusterId !== this.#options.plan.clusterId) return undefined;
    return {
      agentId,
      epoch: epoch ?? 0,
      revision: branch || agentId === undefined ? (revision ?? 0) : 0,
      branch: branch ?? '',
      held,
      watcher,
    };
  }

  #proofIn(testimony: Testimony, lastIndex: number): Proof | undefined {
    const { ipam } = this.#options.plan;
    // A watcher that names no branch may be of the one that this adoption began for.
    if (ipam.adoption && testimony.agentId === undefined && testimony.branch === '') return undefined;
    return ipam.proofIn(testimony, lastIndex);
  }

  #begin(proof: Proof, agentId: AgentId | undefined): Promise<void> {
    const { clock, plan } = this.#options;
    if (this.#pending !== undefined) return this.#pending.written;
    if (plan.ipam.adoption && clock.now() - this.#begunAtMs < anewEveryMs) {
      // A proof that is left to be written came after the last adoption had ended: this one began by it.
      this.#unwritten = undefined;
      return Promise.resolve();
    }
    const written = this.#write(proof, agentId).finally(() => {
      this.#pending = undefined;
    });
    this.#pending = { proof, written };
    return written;
  }

  async #write({ reason, claimedEpoch }: Proof, agentId: AgentId | undefined): Promise<void> {
    const { log, wallClock, newValue, logger, clock } = this.#options;
    const proof = { reason: reason.slice(0, adoptionReasonLengthMax), claimedEpoch };
    this.#proofs += 1;
    const remedy =
      'find out which masters were put back from a copy; when all agents that run are back: `sublet adoption end` (docs/operations/history.md)';
    logger.error({ remedy }, `an adoption begins, and nothing fresh is granted: ${reason}`);
    try {
      const by = agentId ?? 'a watcher';
      const command = {
        kind: 'begin-adoption',
        proof: { ...proof, value: newValue() },
        wallTime: wallClock(),
        by,
      } as const;
      await log.propose(encodeCommand(command));
      this.#begunAtMs = clock.now();
      this.#unwritten = undefined;
    } catch (error) {
      if (!(error instanceof ProposeError)) throw error;
      this.#unwritten = proof;
      this.#cancelRetry();
      this.#cancelRetry = clock.after(retryMs, () => this.#retry(proof, agentId));
      throw error;
    }
  }

  #retry(proof: Proof, agentId: AgentId | undefined): void {
    if (this.#unwritten !== proof) return;
    if (this.#options.leadership.seat.kind !== 'here') {
      this.#unwritten = undefined;
      return;
    }
    this.#begin(proof, agentId).catch((error: unknown) => {
      if (!(error instanceof ProposeError)) this.#options.report(error);
    });
  }
}

function former(agentId: AgentId, clusterId: string): Proof {
  const reason = `agent "${agentId}" brings a lease of cluster "${clusterId}", and this cluster is new: others will follow`;
  return { reason, claimedEpoch: 0 };
}
