/**
 * Asking the masters for the lease, in rounds. A round is one request with one sequence number, written down before it
 * is first sent and sent again, the same, until a master has decided: later rounds fence earlier ones (DESIGN §6, rule
 * 3), and a repeated request of a round can do no harm. What the answer means for the host is not decided here.
 */
import type { AgentLog } from '#agent/agent-log.js';
import { type Backoff, backoffMs, between } from '#agent/backoff.js';
import type { BootClock } from '#agent/boot-clock.js';
import { type Lease, leaseOf } from '#agent/lease.js';
import { type MasterApi, MasterError, type RegisterRequest } from '#agent/master-api.js';
import type { AgentStore } from '#agent/store.js';
import type { Clock } from '#replica/clock.js';

/** No master could be asked. */
const unavailableBackoff: Backoff = { baseMs: 500, capMs: 10_000 };
/** The masters are full, of requests or of leases. */
const exhaustedBackoff: Backoff = { baseMs: 1_000, capMs: 60_000 };
/** A holder counts as silent after 30 s: a reinstalled host gets in with the second or third try. */
const refusedRetryMs = { from: 10_000, to: 20_000 };
const invalidRetryMs = { from: 30_000, to: 60_000 };

/** What a request says besides who asks. */
export type RegistrationContent = Omit<RegisterRequest, 'instanceId' | 'sequence'>;

/** `sentAtMs` of the boot clock is when the answered request was sent; no `ttlMs`: the lease does not run out. */
export type Grant = { readonly lease: Lease; readonly sentAtMs: number; readonly ttlMs: number | undefined };

export type RegistrationState =
  | { readonly kind: 'idle' }
  /** `attempt` counts from 1. */
  | { readonly kind: 'asking'; readonly attempt: number }
  /** No master has decided; asked again at `untilMs` of the clock. */
  | { readonly kind: 'waiting'; readonly attempt: number; readonly error: string; readonly untilMs: number }
  /** The masters said no; asked anew at `untilMs` of the clock. */
  | { readonly kind: 'refused'; readonly error: string; readonly untilMs: number }
  | { readonly kind: 'registered' }
  | { readonly kind: 'stopped' };

export type RegistrationOptions = {
  readonly api: MasterApi;
  readonly clock: Clock;
  readonly bootClock: BootClock;
  /** Gives [0, 1). */
  readonly random: () => number;
  /** Gives an instance id that nobody has. */
  readonly newInstanceId: () => string;
  readonly log: AgentLog;
  readonly store: AgentStore;
  /** What to ask for in a new round. May reject: the address of this host may not be known yet. */
  readonly compose: () => Promise<RegistrationContent>;
  readonly granted: (grant: Grant) => void;
  /** The masters said no to this agent; it goes on asking. */
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
  get underWay(): boolean {
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
    this.#decided({ kind: 'registered' });
    this.#options.granted(outcome);
  }

  async #attempt(round: Round): Promise<Grant | MasterError> {
    const { api, bootClock, store } = this.#options;
    try {
      const content = await this.#prepare(round);
      const sentAtMs = bootClock.now();
      const { instanceId } = store.identity;
      const response = await api.register({ ...content, instanceId, sequence: round.sequence });
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
      const why = error instanceof Error ? error.message : String(error);
      throw new MasterError('unavailable', 'not sent', `the request could not be made: ${why}`);
    }
  }

  #failed(round: Round, error: MasterError): void {
    const { random } = this.#options;
    switch (error.kind) {
      case 'unavailable':
        this.#askAgain(round, error, backoffMs(unavailableBackoff, round.attempt - 1, random));
        break;
      case 'exhausted':
        this.#askAgain(round, error, backoffMs(exhaustedBackoff, round.attempt - 1, random));
        break;
      case 'aborted':
        this.#overtaken(round, error);
        break;
      case 'refused':
        this.#refused(error, between(refusedRetryMs.from, refusedRetryMs.to, random));
        break;
      case 'invalid':
        this.#refused(error, between(invalidRetryMs.from, invalidRetryMs.to, random));
        break;
    }
  }

  #askAgain(round: Round, error: MasterError, delayMs: number): void {
    const { clock, log } = this.#options;
    // Said at the first failure and then with each doubling, not thousands of times in a long outage.
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
   * A master has seen a newer request of this instance. Requests of one process only rise, so the state directory was
   * put back from a backup or copied to a second host: from here on this is an installation of its own.
   */
  #overtaken(round: Round, error: MasterError): void {
    const { store, log, random, newInstanceId } = this.#options;
    if (this.#renewedInstance) {
      this.#refused(error, between(refusedRetryMs.from, refusedRetryMs.to, random));
      return;
    }
    log.error(
      { instanceId: store.identity.instanceId, sequence: round.sequence, error: error.message },
      'the masters know a newer request of this instance: its state_dir was restored or copied; registering as a new instance',
    );
    try {
      store.saveIdentity({ ...store.identity, instanceId: newInstanceId(), sequence: 0 });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      const message = `${error.message}; and no new instance_id could be written: ${why}`;
      this.#refused(new MasterError('refused', error.status, message), refusedRetryMs.to);
      return;
    }
    this.#renewedInstance = true;
    this.#round = undefined;
    this.begin('a new instance id');
  }

  #refused(error: MasterError, delayMs: number): void {
    const { clock, log } = this.#options;
    log.error({ status: error.status, error: error.message }, 'the masters refuse to register this agent');
    this.#decided({ kind: 'refused', error: error.message, untilMs: clock.now() + delayMs });
    this.#options.refused(error);
    this.beginLater('refused before', delayMs);
  }

  #decided(state: RegistrationState): void {
    this.#round = undefined;
    this.#state = state;
    const again = this.#again;
    this.#again = undefined;
    if (again !== undefined && state.kind === 'registered') this.beginLater(again, 0);
  }
}
