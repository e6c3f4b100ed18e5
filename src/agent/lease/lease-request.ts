/**
 * Asking the masters for the lease, in rounds. A round is one request with one sequence number, written down before it
 * is first sent and sent again, the same, until a master has decided: later rounds fence earlier ones
 * (rule 3), and a repeated request of a round can do no harm. What the answer means for the host is not decided here.
 */

import type { AgentLog } from '#agent/agent-log.js';
import { awayBackoff } from '#agent/away-backoff.js';
import { type Lease, leaseOf } from '#agent/lease/lease.js';
import { type MasterApi, MasterError, type RegisterRequest } from '#agent/master-api.js';
import type { BootClock } from '#agent/state/boot-clock.js';
import type { AgentStore } from '#agent/state/store.js';
import { errorText } from '#errors/unknown-error.js';
import type { Clock } from '#replica/ports/clock.js';
import { type Backoff, between, jitteredBackoffMs } from '#time/backoff.js';

/** The masters have more requests than they can take; that passes. */
const overloadedBackoff: Backoff = { baseMs: 500, capMs: 20_000 };
/** No address is left, which lasts until an operator has made room. Waits are drawn from the upper half. */
const exhaustedBackoff: Backoff = { baseMs: 10_000, capMs: 120_000 };
/**
 * The masters have refused. Soon at first, since a network may just be being created; a holder counts as silent after
 * 30 s, so that a reinstalled host gets in at most 20 s after that. Waits are drawn from the upper half.
 */
const refusedBackoff: Backoff = { baseMs: 1_000, capMs: 20_000 };
/** Another process keeps the lease alive. Asked again soon enough to have the lease shortly after that one has gone. */
const heldBackoff: Backoff = { baseMs: 1_000, capMs: 5_000 };
const invalidBackoff: Backoff = { baseMs: 30_000, capMs: 60_000 };
/** A request may be late by its own retries: so many rounds in a row are refused before the instance id is at fault. */
const abortedRoundsMax = 2;
/** Rounds in a row that the masters' answer gave a higher sequence for. */
const correctedRoundsMax = 3;

/** A registration without the identity of the agent. */
export type RegistrationContent = Omit<RegisterRequest, 'instanceId' | 'sequence' | 'runId'>;

/** `sentAtMs` of the boot clock is when the answered request was sent; no `ttlMs`: the lease does not run out. */
export type Grant = { readonly lease: Lease; readonly sentAtMs: number; readonly ttlMs: number | undefined };

export type RegistrationState =
  | { readonly kind: 'idle' }
  /** `attempt` counts from 1. */
  | { readonly kind: 'asking'; readonly attempt: number }
  /** No master has decided; asked again at `untilMs` of the clock. */
  | { readonly kind: 'waiting'; readonly attempt: number; readonly error: string; readonly untilMs: number }
  /** The masters have refused; asked anew at `untilMs` of the clock. */
  | { readonly kind: 'refused'; readonly error: string; readonly untilMs: number }
  | { readonly kind: 'registered' }
  | { readonly kind: 'stopped' };

export type RegistrationOptions = {
  readonly api: MasterApi;
  readonly clock: Clock;
  readonly bootClock: BootClock;
  /** Gives [0, 1). */
  readonly random: () => number;
  /** How many agents there are, as far as is known. */
  readonly agents: () => number | undefined;
  /** Makes an instance id that is in use nowhere. */
  readonly newInstanceId: () => string;
  /** Of this process. */
  readonly runId: () => string;
  readonly log: AgentLog;
  readonly store: AgentStore;
  /** What to ask for in a new round. May reject: the address of this host may not be known yet. */
  readonly compose: () => Promise<RegistrationContent>;
  readonly granted: (grant: Grant) => void;
  /** The masters have refused this agent; it goes on asking. */
  readonly refused: (error: MasterError) => void;
};

type Round = { readonly reason: string; content: RegistrationContent | undefined; sequence: number; attempt: number };

export class Registration {
  readonly #options: RegistrationOptions;
  #state: RegistrationState = { kind: 'idle' };
  #round: Round | undefined;
  /** Why another round has to follow the one under way. */
  #again: string | undefined;
  #later: { readonly atMs: number; readonly cancel: () => void } | undefined;
  #cancelWait: () => void = () => {};
  #renewedInstance = false;
  #abortedInRow = 0;
  #correctedInRow = 0;
  #refusedInRow = 0;

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  get state(): RegistrationState {
    return this.#state;
  }

  /** Starts a round now; one under way is finished first. */
  begin(reason: string): void {
    if (this.#state.kind === 'stopped') return;
    this.#later?.cancel();
    this.#later = undefined;
    if (this.#round !== undefined) {
      this.#again = reason;
      return;
    }
    this.#cancelWait();
    this.#options.log.debug({ reason }, 'registering');
    this.#round = { reason, content: undefined, sequence: 0, attempt: 0 };
    void this.#ask(this.#round);
  }

  /** Whether a round has begun and is not decided. */
  get inFlight(): boolean {
    return this.#round !== undefined;
  }

  /** Starts a round `delayMs` from now, or earlier if one is due earlier. */
  beginLater(reason: string, delayMs: number): void {
    if (this.#state.kind === 'stopped') return;
    const { clock } = this.#options;
    const atMs = clock.now() + delayMs;
    if (this.#later !== undefined && this.#later.atMs <= atMs) return;
    this.#later?.cancel();
    this.#later = { atMs, cancel: clock.after(delayMs, () => this.begin(reason)) };
  }

  stop(): void {
    this.#later?.cancel();
    this.#cancelWait();
    this.#round = undefined;
    this.#state = { kind: 'stopped' };
  }

  async #ask(round: Round): Promise<void> {
    round.attempt += 1;
    this.#state = { kind: 'asking', attempt: round.attempt };
    const outcome = await this.#attempt(round);
    if (this.#round !== round) return; // Stopped meanwhile.
    if (outcome instanceof MasterError) {
      this.#failed(round, outcome);
      return;
    }
    this.#abortedInRow = 0;
    this.#correctedInRow = 0;
    this.#refusedInRow = 0;
    this.#decided({ kind: 'registered' });
    this.#options.granted(outcome);
  }

  async #attempt(round: Round): Promise<Grant | MasterError> {
    const { api, bootClock, store, runId } = this.#options;
    try {
      const content = await this.#prepare(round);
      const sentAtMs = bootClock.now();
      const { instanceId } = store.identity;
      const response = await api.register({ ...content, instanceId, runId: runId(), sequence: round.sequence });
      const ttlSeconds = response.lease?.ttlSeconds ?? 0;
      return { lease: leaseOf(response), sentAtMs, ttlMs: ttlSeconds === 0 ? undefined : ttlSeconds * 1000 };
    } catch (error) {
      if (error instanceof MasterError) return error;
      throw error;
    }
  }

  /** The content and sequence of the round, worked out once. */
  async #prepare(round: Round): Promise<RegistrationContent> {
    if (round.content !== undefined) return round.content;
    const { compose, store } = this.#options;
    try {
      const content = await compose();
      const sequence = store.identity.sequence + 1;
      store.saveIdentity({ ...store.identity, sequence });
      round.sequence = sequence;
      round.content = content;
      return content;
    } catch (error) {
      throw new MasterError('unavailable', 'not sent', `the request could not be made: ${errorText(error)}`);
    }
  }

  #failed(round: Round, error: MasterError): void {
    const { random, agents } = this.#options;
    switch (error.kind) {
      case 'unavailable':
        this.#askAgain(round, error, jitteredBackoffMs(awayBackoff(agents()), round.attempt - 1, random));
        break;
      case 'overloaded':
        this.#askAgain(round, error, jitteredBackoffMs(overloadedBackoff, round.attempt - 1, random));
        break;
      case 'exhausted':
        this.#refused(error, exhaustedBackoff);
        break;
      case 'aborted':
        this.#overtaken(round, error);
        break;
      case 'held':
        this.#refused(error, heldBackoff);
        break;
      case 'refused':
        this.#refused(error, refusedBackoff);
        break;
      case 'invalid':
        this.#refused(error, invalidBackoff);
        break;
    }
  }

  #askAgain(round: Round, error: MasterError, delayMs: number): void {
    const { clock, log } = this.#options;
    // Logged at the first failure and at each doubling, not thousands of times in a long outage.
    if (Number.isInteger(Math.log2(round.attempt))) {
      log.warn({ attempt: round.attempt, status: error.status, error: error.message }, 'not registered; asking again');
    }
    this.#state = {
      kind: 'waiting',
      attempt: round.attempt,
      error: error.message,
      untilMs: clock.now() + delayMs,
    };
    this.#cancelWait = clock.after(delayMs, () => void this.#ask(round));
  }

  /**
   * A master has seen a newer request of this instance, or has ended the lease that this one was answered with. Requests
   * of one process only rise; so if it happens again, the state directory was put back from a backup or copied to a
   * second host, and from here on this is an installation of its own.
   */
  #overtaken(round: Round, error: MasterError): void {
    if (error.sequence !== undefined && this.#correctSequence(error.sequence)) {
      this.#round = undefined;
      this.begin('the sequence was behind');
      return;
    }
    this.#abortedInRow += 1;
    if (this.#abortedInRow >= abortedRoundsMax) {
      if (this.#renewedInstance || !this.#renewInstance(round, error)) {
        this.#refused(error, refusedBackoff);
        return;
      }
    }
    this.#round = undefined;
    this.begin('the request was overtaken');
  }

  /** The state_dir is a copy, or was put back, and its last process has gone: this one goes on from where that one was. */
  #correctSequence(sequence: number): boolean {
    const { store, log } = this.#options;
    const { identity } = store;
    this.#correctedInRow += 1;
    if (sequence < identity.sequence || this.#correctedInRow > correctedRoundsMax) return false;
    log.warn(
      { sequence: identity.sequence, corrected: sequence },
      'another process has used this sequence: going on from its last one',
    );
    try {
      store.saveIdentity({ ...identity, sequence });
      return true;
    } catch (cause) {
      log.error({ error: errorText(cause) }, 'the sequence could not be written');
      return false;
    }
  }

  #renewInstance({ sequence }: Round, error: MasterError): boolean {
    const { store, log, newInstanceId } = this.#options;
    const { identity } = store;
    log.error(
      { instanceId: identity.instanceId, sequence, error: error.message },
      'the masters know a newer request of this instance: its state_dir was restored or copied; registering as a new instance',
    );
    try {
      store.saveIdentity({ ...identity, instanceId: newInstanceId(), sequence: 0 });
    } catch (cause) {
      log.error({ error: errorText(cause) }, 'no new instance id could be written');
      return false;
    }
    this.#renewedInstance = true;
    return true;
  }

  #refused(error: MasterError, backoff: Backoff): void {
    const { clock, log, random } = this.#options;
    // Half of the wait is certain: a refusal is an answer, and asking again at once would bring the same one.
    const mostMs = jitteredBackoffMs(backoff, this.#refusedInRow, () => 1);
    const delayMs = between(mostMs / 2, mostMs, random);
    this.#refusedInRow += 1;
    log.error({ status: error.status, error: error.message }, 'the masters refuse to register this agent');
    this.#decided({ kind: 'refused', error: error.message, untilMs: clock.now() + delayMs });
    this.beginLater('refused before', delayMs);
    this.#options.refused(error);
  }

  #decided(state: RegistrationState): void {
    this.#round = undefined;
    this.#state = state;
    const again = this.#again;
    this.#again = undefined;
    if (again !== undefined && state.kind === 'registered') this.beginLater(again, 0);
  }
}
