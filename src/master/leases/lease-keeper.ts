/**
 * What a master does only while it leads: it records when each agent was heard, answers keep-alives after a quorum has
 * confirmed that it still leads, and ends leases that have run out. Nothing of it is kept from one term in office to
 * the next.
 */

import { formatIp, type Ip } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import { encodeCommand } from '#ipam/codec/command-codec.js';
import type { HolderJudgement } from '#ipam/commands/command.js';
import { type AgentId, parseAgentId, parseInstanceId, parseRunId } from '#ipam/identity.js';
import type { LeaseRef } from '#ipam/ipam.js';
import type { IpamMachine, PlanOutcome } from '#master/ipam-machine.js';
import type { Leadership } from '#master/leader/leadership.js';
import { type Contest, LeaseProcesses } from '#master/leases/lease-processes.js';
import { LeftAddresses } from '#master/leases/left-addresses.js';
import { PacedRounds } from '#master/leases/paced-rounds.js';
import { Presence } from '#master/leases/presence.js';
import type { ReceivedKeepAlive } from '#master/leases/received-keep-alive.js';
import type { StreamReport } from '#master/leases/stream-reports.js';
import { parseBranchText, parseField, safeInteger } from '#master/server/refusal-mapping.js';
import type { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import { type Applied, ProposeError, type ReplicatedLog } from '#replica/ports/replicated-log.js';

/** One quorum round a second confirms all keep-alives that came before it. */
const roundIntervalMs = 1_000;
/** How often leases are looked at, in ms: at most, and in every election timeout twice, so that a look that comes late by one shows. */
const lookEveryMsMax = 1_000;
/** Expiries proposed and not yet decided. */
const expiringMax = 256;
/** Two agents of every address that a /8 of /24s has. */
const keepAlivesWaitingMax = 131_072;
/** When the next keep-alive is due, in ms, jittered by a tenth either way: a third of the shortest TTL and of what makes one silent. */
const keepAliveMs = 10_000;

export type OfficeOptions = {
  readonly log: Pick<ReplicatedLog<PlanOutcome>, 'propose' | 'readBarrier' | 'onApplied'>;
  readonly machine: IpamMachine;
  readonly leadership: Leadership;
  readonly clock: Clock;
  /** Ms since 1970. */
  readonly wallClock: () => number;
  /** In [0, 1). */
  readonly random: () => number;
  /** A leader that did nothing for longer than this was paused, and trusts no TTL that ran meanwhile. */
  readonly electionTimeoutMs: number;
  /** An agent has sent what it has seen, which is to be compared with the log. */
  readonly claimed: (keepAlive: ReceivedKeepAlive) => void;
  /** Receives unexpected errors (bugs). */
  readonly report: (error: unknown) => void;
  /** A lease is contested, from a place that was not seen to do so before. */
  readonly contested: (contest: Contest) => void;
};
/** A refusal belongs to one keep-alive of a round, not to the round. */
export type KeepAliveOutcome = sublet.v1.KeepAliveResponse.$Properties | RefusedError;

/** @throws RefusedError */
export function parseKeepAlive(
  request: sublet.v1.KeepAliveRequest.$Properties,
  { stream, connection }: Pick<ReceivedKeepAlive, 'stream' | 'connection'>,
): ReceivedKeepAlive {
  return {
    agentId: parseField('agent_id', request.agentId ?? '', parseAgentId),
    instanceId: parseField('instance_id', request.instanceId ?? '', parseInstanceId),
    epoch: safeInteger('epoch', request.epoch ?? 0),
    runId: request.runId ? parseField('run_id', request.runId, parseRunId) : undefined,
    stream,
    connection,
    clusterId: request.clusterId ?? '',
    revision: safeInteger('revision', request.revision ?? 0),
    branch: parseBranchText(request.branch ?? ''),
  };
}

export class LeaseKeeper {
  readonly presence: Presence;
  readonly processes: LeaseProcesses;
  readonly left: LeftAddresses;
  readonly #options: OfficeOptions;
  readonly #rounds: PacedRounds<ReceivedKeepAlive, KeepAliveOutcome>;
  /** Expiries on their way, until they are decided. */
  readonly #expiring = new Map<AgentId, Promise<void>>();
  /** Agents whose present instance asks to be registered, and number of registrations in flight. */
  readonly #registering = new Map<AgentId, number>();
  readonly #lookEveryMs: number;
  readonly #subscriptions: readonly (() => void)[];
  #counted = 0;
  #expired = 0;
  #lookedAt: number;
  /** The adoption that the account of presence is of. */
  #adoptedAt = 0;
  #cancelLook: () => void;

  constructor(options: OfficeOptions) {
    this.#options = options;
    const { clock, log, leadership } = options;
    this.presence = new Presence(clock, options.wallClock);
    this.processes = new LeaseProcesses({ clock, contested: options.contested });
    this.left = new LeftAddresses(clock);
    this.#rounds = new PacedRounds({
      clock,
      intervalMs: roundIntervalMs,
      waitingMax: keepAlivesWaitingMax,
      round: (keepAlives) => this.#round(keepAlives),
    });
    this.#subscriptions = [
      log.onApplied((applied) => this.#applied(applied)),
      leadership.onChange(({ paused }) => this.#seatChanged(paused)),
    ];
    this.#lookEveryMs = Math.min(lookEveryMsMax, options.electionTimeoutMs / 2);
    this.#lookedAt = clock.now();
    this.#cancelLook = clock.after(this.#lookEveryMs, () => this.#look());
    this.#seatChanged(false);
  }

  /** Keep-alives counted so far. */
  get counted(): number {
    return this.#counted;
  }

  /** Leases ended so far because their TTL ran out. */
  get expired(): number {
    return this.#expired;
  }

  /**
   * Resolves once a quorum has confirmed this leader after the call, and the keep-alive counts or is refused.
   * @throws RefusedError, ProposeError when no quorum answered or this master does not lead
   */
  keepAlive(keepAlive: ReceivedKeepAlive): Promise<KeepAliveOutcome> {
    return this.#rounds.add(keepAlive);
  }

  /**
   * Carries out a registration. While it is under way the lease is not proposed to expire: it would be renewed under the
   * same epoch, answered, and ended by what comes right behind it in the log.
   */
  async registering<Answer>(agentId: AgentId, instanceId: string, carryOut: () => Promise<Answer>): Promise<Answer> {
    // Another instance gets another epoch, which no expiry of this one can end.
    if (this.#options.machine.ipam.lease(agentId)?.instanceId !== instanceId) return carryOut();
    this.#registering.set(agentId, (this.#registering.get(agentId) ?? 0) + 1);
    try {
      return await carryOut();
    } finally {
      const left = (this.#registering.get(agentId) ?? 1) - 1;
      if (left > 0) this.#registering.set(agentId, left);
      else this.#registering.delete(agentId);
    }
  }

  /** The judgement of a holder that goes into a registration for `nodeIp`. */
  judge(holder: LeaseRef, request: { readonly agentId: AgentId; readonly nodeIp: Ip }): HolderJudgement {
    const judgement = this.presence.judge(holder);
    if (holder.agentId === request.agentId || !this.left.has(holder, request.nodeIp)) return judgement;
    return { ...judgement, silent: true };
  }

  /** What other masters, and this one, tell of their keep-alive streams. */
  streams(reports: readonly StreamReport[]): void {
    if (!this.presence.begun) return;
    const { ipam } = this.#options.machine;
    for (const { keepAlive, closed } of reports) {
      const lease = ipam.lease(keepAlive.agentId);
      if (lease?.instanceId !== keepAlive.instanceId || lease.epoch !== keepAlive.epoch) continue;
      if (closed) this.processes.closed(lease, keepAlive);
      else this.processes.open(lease, keepAlive);
    }
  }

  stop(): void {
    this.#cancelLook();
    for (const unsubscribe of this.#subscriptions) unsubscribe();
    this.#rounds.stop();
    this.presence.end();
  }

  #seatChanged(paused: boolean): void {
    const leads = this.#options.leadership.seat.kind === 'here';
    if (leads && (paused || !this.presence.begun)) this.#begin();
    if (!leads && this.presence.begun) this.presence.end();
  }

  #begin(): void {
    this.#adoptedAt = this.#options.machine.ipam.adoptedAt;
    if (this.presence.begun) this.processes.paused();
    else this.processes.begin();
    this.left.clear();
    this.presence.begin(this.#options.machine.ipam.leases());
  }

  /** What an agent does through the log says that it lives, and when it left. */
  #applied({ output: { events, result } }: Applied<PlanOutcome>): void {
    if (!this.presence.begun) return;
    const { adoptedAt } = this.#options.machine.ipam;
    if (adoptedAt !== this.#adoptedAt) {
      // An adoption has begun: every lease has another epoch.
      this.#begin();
      return;
    }
    if (result.kind === 'registered') this.presence.hear(result.agent.record.agentId, result.agent.record.epoch);
    for (const event of events) {
      if (event.kind !== 'agent-removed') continue;
      this.presence.forget(event.agentId);
      this.processes.forget(event.agentId);
      this.left.forget(event.agentId);
    }
  }

  async #round(keepAlives: readonly ReceivedKeepAlive[]): Promise<readonly KeepAliveOutcome[]> {
    await this.#options.log.readBarrier();
    // What is about to expire is decided first: a keep-alive must not be answered and then overtaken.
    const undecided = keepAlives.flatMap(({ agentId }) => this.#expiring.get(agentId) ?? []);
    if (undecided.length > 0) await Promise.all(undecided);
    if (this.#options.leadership.seat.kind !== 'here') {
      throw new RefusedError('unavailable', 'this master does not lead any more');
    }
    return keepAlives.map((keepAlive) => this.#count(keepAlive));
  }

  #count(keepAlive: ReceivedKeepAlive): KeepAliveOutcome {
    const { agentId, instanceId, epoch } = keepAlive;
    const { ipam } = this.#options.machine;
    this.#options.claimed(keepAlive);
    if (this.#expiring.has(agentId)) {
      return new RefusedError(
        'unavailable',
        `keep-alive: the lease of agent_id "${agentId}" is just running out; ask again`,
      );
    }
    const lease = ipam.lease(agentId);
    if (lease === undefined) {
      return new RefusedError('aborted', `keep-alive: agent_id "${agentId}" has no lease; it must register again`);
    }
    if (lease.instanceId !== instanceId || lease.epoch !== epoch) {
      const whose = lease.instanceId === instanceId ? 'of this instance' : 'of another instance';
      return new RefusedError(
        'aborted',
        `keep-alive: epoch ${epoch} of agent_id "${agentId}" is stale: the lease ${whose} has epoch ${lease.epoch}; register again`,
      );
    }
    const refused = this.processes.keepAlive(lease, keepAlive);
    if (refused !== undefined) return refused;
    this.presence.hear(agentId, epoch);
    this.#counted += 1;
    const ttlMs = this.#options.machine.network?.reclaimMs;
    const nextInMs = Math.round(keepAliveMs * (0.9 + 0.2 * this.#options.random()));
    const { revision } = ipam;
    const answer = { nextInMs, revision, branch: ipam.branchAt(revision), nodeIp: formatIp(lease.nodeIp) };
    return ttlMs === undefined ? answer : { ...answer, ttlLeftMs: ttlMs };
  }

  #look(): void {
    const { clock, machine, electionTimeoutMs } = this.#options;
    const gap = clock.now() - this.#lookedAt;
    this.#lookedAt = clock.now();
    this.#cancelLook = clock.after(this.#lookEveryMs, () => this.#look());
    if (!this.presence.begun) return;
    // Whatever else finds that this process stood still may come after this.
    if (gap > electionTimeoutMs) this.#begin();
    const ttlMs = machine.network?.reclaimMs;
    if (ttlMs === undefined) return;
    for (const { agentId, epoch } of this.presence.overdue(ttlMs)) {
      if (this.#expiring.size >= expiringMax) return;
      if (!this.#expiring.has(agentId) && !this.#registering.has(agentId)) this.#expire(agentId, epoch);
    }
  }

  #expire(agentId: AgentId, epoch: number): void {
    const { log, wallClock, report } = this.#options;
    const command = encodeCommand({ kind: 'expire', agentId, epoch, wallTime: wallClock(), by: '' });
    const decided = log
      .propose(command)
      .then(
        ({ output }) => {
          if (output.result.kind === 'released') this.#expired += 1;
        },
        // The waiter looks up in the plan whether it came about; one that did not is proposed anew.
        (error: unknown) => (error instanceof ProposeError ? undefined : report(error)),
      )
      .finally(() => this.#expiring.delete(agentId));
    this.#expiring.set(agentId, decided);
  }
}
