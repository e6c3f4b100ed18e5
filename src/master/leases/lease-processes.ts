/**
 * Which process keeps each lease alive, and where: the leader's account, in its memory only. A process is known by the
 * run_id that it drew when it started; for one that sends none, its keep-alive stream stands for it. While the process of a
 * lease is current, another one of the same instance is refused, with both places named.
 *
 * A process is current until its stream is closed or it has sent nothing for `currentMs`. A leader that has just taken
 * office takes the process that registered last (the record has its run_id) for current for that time.
 */
import { hostOf } from '#address/host-and-port.js';
import { formatIp, type Ip } from '#address/ip.js';
import { RefusedError } from '#api/refusal.js';
import type { AgentId, RunId } from '#ipam/identity.js';
import type { PlacedLease } from '#ipam/ipam.js';
import type { Clock } from '#replica/ports/clock.js';

/** One interval of keep-alives (11 s at most), two rounds of 1 s on their way to the leader, and a margin, in ms. */
export const currentMs = 15_000;
/**
 * A stream that broke off is mostly opened again by the same process, at another master. For so long the lease goes to no
 * other place, in ms. A process at the same place is the one before, started anew, and has it at once.
 */
export const reopenMs = 3_000;
/**
 * A leader that has just taken office learns within this time, in ms, which streams are open at the other masters, and an
 * agent whose stream was at the former leader opens another one. A process that was not heard until then has gone, together
 * with its master: one at the same node address is taken for it, started anew.
 */
export const unheardMs = 5_000;
/** A contested lease is reported for so long after the last refusal, in ms. A refused agent asks more often than that. */
const contestedMs = 60_000;
/** Contested leases that are remembered; the oldest go first. */
const contestsMax = 1_024;
/** Open streams of one process that are remembered beside its last one. It has two while it changes masters. */
const otherStreamsMax = 4;

/** Where a process is. */
export type Place = {
  /** Undefined: the message had none. */
  readonly nodeIp: Ip | undefined;
  /** HOST:PORT of its connection; empty: not known to this leader. */
  readonly connection: string;
};

/** The process that a message comes from. */
export type Sender = {
  readonly runId: RunId | undefined;
  /** HOST:PORT. */
  readonly connection: string;
};

export type RegistrationSender = Sender & {
  readonly nodeIp: Ip;
  readonly sequence: number;
};

/** The process that keep-alives come from. */
export type StreamSender = Sender & {
  /** Names the stream among those of all masters; empty: a master of an earlier release did not tell. */
  readonly stream: string;
  /** The newest revision that the process knew when it sent its last keep-alive; 0: it did not say. */
  readonly revision: number;
};

type Process = {
  readonly agentId: AgentId;
  readonly epoch: number;
  readonly runId: RunId | undefined;
  nodeIp: Ip;
  connection: string;
  /** The one that its last keep-alive came on. Empty: no keep-alive has come yet. */
  stream: string;
  /** Its other streams that are not known to be closed. The last one heard stands last. */
  readonly others: Map<string, { readonly connection: string; readonly at: number }>;
  /** The one that the process before this one has closed; keep-alives may still be on their way from it. Empty: none. */
  readonly formerStream: string;
  /** Of the plan with its last registration; 0: this leader has seen none. */
  readonly revision: number;
  /** Time of its last message, on the clock. */
  at: number;
  /** Undefined: its stream is open, or none was opened yet. */
  closedAt: number | undefined;
};

/** Two processes have asked for one lease: the one that has it, and the last one that was refused. */
export type Contest = {
  readonly agentId: AgentId;
  readonly holder: Place;
  readonly claimant: Place;
  readonly at: number;
};

export type LeaseProcessesOptions = {
  readonly clock: Clock;
  /** Called when a lease is contested, by a place that was not seen to do so in the last minute. */
  readonly contested: (contest: Contest) => void;
};

export class LeaseProcesses {
  readonly #options: LeaseProcessesOptions;
  #processes = new Map<AgentId, Process>();
  /** By lease: the process whose registrations are under way, and how many. */
  readonly #admitted = new Map<AgentId, { readonly runId: RunId | undefined; count: number }>();
  /** In ascending order of `at`. */
  readonly #contests = new Map<AgentId, Contest>();
  /** When this leader took office, or went on after a pause, on the clock. */
  #begunAt = 0;
  #refused = 0;

  constructor(options: LeaseProcessesOptions) {
    this.#options = options;
  }

  /** Registrations and keep-alives refused so far because another process has the lease. */
  get refused(): number {
    return this.#refused;
  }

  /** Leases whose process this leader has heard, directly or by a follower's report. */
  get known(): number {
    return this.#processes.size;
  }

  /** This master has taken office: nothing is known but what the plan's records say. */
  begin(): void {
    this.#processes = new Map();
    this.#admitted.clear();
    this.#contests.clear();
    this.#begunAt = this.#options.clock.now();
  }

  /** This leader stood still: no process counts as silent for the time in which it could not be heard. */
  paused(): void {
    this.#begunAt = this.#options.clock.now();
  }

  /** The lease has ended. */
  forget(agentId: AgentId): void {
    this.#processes.delete(agentId);
    this.#contests.delete(agentId);
  }

  /**
   * Whether a registration for a lease of the same instance may be proposed. To be called back when it is decided, and
   * `registered` was called: until then no other process of the lease is admitted.
   * @throws RefusedError `held-elsewhere`; `unavailable` while another one is under way; `aborted` with the sequence to go
   * on from
   */
  admit(lease: PlacedLease, sender: RegistrationSender): () => void {
    const { agentId } = lease;
    const known = this.#of(lease);
    const action = `register agent_id "${agentId}"`;
    if (known !== undefined && !this.#sameCaller(known, sender, lease)) this.#refuseWhileCurrent(action, known, sender);
    const { runId, sequence } = sender;
    const other = runId !== undefined && runId !== (known?.runId ?? lease.runId);
    if (other && sequence <= lease.sequence && (sequence !== 0 || lease.sequence !== 0)) {
      // It is no late request of a process that was never registered: its state_dir is behind.
      throw new RefusedError(
        'aborted',
        `${action} with sequence ${sequence}: another process has used ${lease.sequence}; ask again with a higher one`,
        { sequence: String(lease.sequence) },
      );
    }
    return this.arriving(agentId, runId);
  }

  /** As `admit`, for a lease that there is not, or of another instance. @throws RefusedError `unavailable` */
  arriving(agentId: AgentId, runId: RunId | undefined): () => void {
    this.#refuseWhileUnderWay(`register agent_id "${agentId}"`, agentId, runId);
    const before = this.#admitted.get(agentId);
    const admitted = before ?? { runId, count: 0 };
    admitted.count += 1;
    this.#admitted.set(agentId, admitted);
    return () => {
      admitted.count -= 1;
      if (admitted.count === 0 && this.#admitted.get(agentId) === admitted) this.#admitted.delete(agentId);
    };
  }

  #refuseWhileUnderWay(action: string, agentId: AgentId, runId: RunId | undefined): void {
    const admitted = this.#admitted.get(agentId);
    if (admitted === undefined || admitted.runId === runId) return;
    throw new RefusedError('unavailable', `${action}: a registration of another process is under way; ask again`);
  }

  /**
   * Whether a process may give the lease back.
   * @throws RefusedError `held-elsewhere` while another one keeps it alive; `unavailable` while another one registers
   */
  leave(lease: PlacedLease, { runId, connection }: Sender): void {
    this.#refuseWhileUnderWay(`leave of agent_id "${lease.agentId}"`, lease.agentId, runId);
    const known = this.#of(lease);
    if (known === undefined || known.runId === runId) return;
    // A stopped agent's lease is given back by another process. One that lives has been heard by then.
    if (known.connection === '' && this.#silentMs(known) >= unheardMs) return;
    this.#refuseWhileCurrent(`leave of agent_id "${lease.agentId}"`, known, { nodeIp: undefined, connection });
  }

  /** The registration of an admitted process is in the plan of that revision. */
  registered({ agentId, epoch, nodeIp }: PlacedLease, { runId, connection }: Sender, revision: number): void {
    const known = this.#processes.get(agentId);
    const at = this.#options.clock.now();
    if (runId === undefined) {
      // Its stream will stand for it. The one that is open does so already, if this was the same caller.
      if (known !== undefined && (known.runId !== undefined || known.epoch !== epoch)) this.#processes.delete(agentId);
      return;
    }
    const same = known?.runId === runId && known.epoch === epoch ? known : undefined;
    const stream = same?.stream ?? '';
    const formerStream = same?.formerStream ?? closedStreamOf(known);
    const others = same?.others ?? new Map();
    const closedAt = undefined;
    const streams = { stream, others, formerStream, closedAt, revision };
    this.#processes.set(agentId, { agentId, epoch, runId, nodeIp, connection, at, ...streams });
    if (same === undefined) this.#contests.delete(agentId);
  }

  /** Takes a keep-alive for a lease of the same instance and epoch, or gives the reason why it does not count. */
  keepAlive(lease: PlacedLease, sender: StreamSender): RefusedError | undefined {
    const { agentId, epoch, nodeIp } = lease;
    const { runId, connection, stream } = sender;
    const known = this.#of(lease);
    const action = `keep-alive of agent_id "${agentId}"`;
    if (stream !== '' && known !== undefined && isClosed(known, stream)) {
      return new RefusedError('unavailable', `${action}: its stream is closed`);
    }
    if (known !== undefined && !sameStream(known, sender)) {
      const claimant = { nodeIp: known.nodeIp === nodeIp ? undefined : nodeIp, connection };
      const refused = this.#whileCurrent(action, known, claimant);
      if (refused !== undefined) return refused;
    }
    const admitted = this.#admitted.get(agentId);
    if (admitted !== undefined && admitted.runId !== runId) {
      // It was gone when that registration was proposed, which may be in the plan at any moment.
      return new RefusedError('unavailable', `${action}: a registration of another process is under way; ask again`);
    }
    if (lease.runId !== undefined && lease.runId !== runId) {
      return new RefusedError('aborted', `${action}: another process has registered since; register again`);
    }
    // A master of an earlier release does not name the stream.
    if (runId === undefined && stream === '') return undefined;
    const at = this.#options.clock.now();
    if (known !== undefined && sameStream(known, sender) && this.#processes.has(agentId)) {
      moveTo(known, stream);
      known.at = at;
      known.connection = connection;
      return undefined;
    }
    const streams = { stream, others: new Map(), formerStream: closedStreamOf(known), closedAt: undefined };
    const revision = 0;
    this.#processes.set(agentId, { agentId, epoch, runId, nodeIp, connection, at, revision, ...streams });
    return undefined;
  }

  /** The caller, or its connection, has closed a keep-alive stream. */
  closed(lease: PlacedLease, { runId, stream, connection, revision }: StreamSender): void {
    const known = this.#of(lease);
    if (known === undefined || known.runId !== runId) return;
    // One that was opened anew at another master is closed at the former one some time later.
    known.others.delete(stream);
    if (known.stream !== '' && known.stream !== stream) return;
    // Its last keep-alive is older than the registration: the process opens another stream now.
    if (known.stream === '' && revision !== 0 && revision < known.revision) return;
    const other = this.#openOf(known);
    if (other !== undefined) {
      // A late message of this stream had come after the first ones of the stream that the process now uses.
      known.stream = other.stream;
      known.connection = other.connection;
      known.others.delete(other.stream);
      return;
    }
    known.stream = stream;
    known.connection = connection;
    known.closedAt = this.#options.clock.now();
    this.#processes.set(lease.agentId, known);
  }

  /**
   * A master reports a stream that is open there. What is known from a keep-alive or a registration is newer; but a process
   * of which only a closed stream is known keeps the lease alive by this one.
   */
  open(lease: PlacedLease, { runId, stream, connection }: StreamSender): void {
    const { agentId, epoch, nodeIp } = lease;
    if (lease.runId !== runId) return;
    const at = this.#options.clock.now();
    const known = this.#processes.get(agentId);
    if (known !== undefined) {
      if (known.runId === undefined || known.runId !== runId || known.epoch !== epoch || isClosed(known, stream)) {
        return;
      }
      if (known.closedAt !== undefined) Object.assign(known, { stream, connection, at, closedAt: undefined });
      else if (known.stream !== stream) keepOther(known.others, stream, { connection, at });
      return;
    }
    const rest = { others: new Map(), formerStream: '', closedAt: undefined, revision: 0 };
    this.#processes.set(agentId, { agentId, epoch, runId, nodeIp, connection, stream, at, ...rest });
  }

  /** Contested leases, the last one first, `limit` at most. */
  contests(limit: number): readonly Contest[] {
    this.#dropOldContests();
    return [...this.#contests.values()].reverse().slice(0, limit);
  }

  get contestCount(): number {
    this.#dropOldContests();
    return this.#contests.size;
  }

  /** What is known of the process that has the lease, current or not. */
  #of({ agentId, epoch, runId, nodeIp }: PlacedLease): Process | undefined {
    const known = this.#processes.get(agentId);
    if (known !== undefined) return known.epoch === epoch ? known : undefined;
    if (runId === undefined) return undefined;
    const at = this.#begunAt;
    const rest = { others: new Map(), formerStream: '', closedAt: undefined, revision: 0 };
    return { agentId, epoch, runId, nodeIp, at, connection: '', stream: '', ...rest };
  }

  /** Whether a registration comes from the process that has the lease, as far as that can be known. */
  #sameCaller(known: Process, sender: RegistrationSender, { nodeIp }: PlacedLease): boolean {
    if (known.runId !== undefined || sender.runId !== undefined) return known.runId === sender.runId;
    // If it changes no address, its keep-alive stream will tell which process it is.
    return sender.connection === known.connection || sender.nodeIp === nodeIp;
  }

  #refuseWhileCurrent(action: string, known: Process, claimant: Place): void {
    const refused = this.#whileCurrent(action, known, claimant);
    if (refused !== undefined) throw refused;
  }

  /** The refusal of another process; undefined: the one that has the lease is not current any more. */
  #whileCurrent(action: string, known: Process, claimant: Place): RefusedError | undefined {
    const now = this.#options.clock.now();
    const silentMs = this.#silentMs(known);
    if (silentMs >= currentMs) return undefined;
    const unheard = known.connection === '';
    if (unheard && claimant.nodeIp === known.nodeIp && silentMs >= unheardMs) return undefined;
    const same = samePlace(known, claimant);
    const { closedAt } = known;
    if (closedAt !== undefined && (same || known.runId === undefined || now - closedAt >= reopenMs)) return undefined;
    this.#refused += 1;
    this.#contest(known, claimant, now);
    const heard = unheard ? 'which registered last' : `heard ${Math.round(silentMs / 1000)} s ago`;
    const advice = 'stop one of the two, or give this host an id and a state_dir of its own';
    return new RefusedError(
      'held-elsewhere',
      `${action} ${describePlace(claimant)}: the process ${describePlace(known)}, ${heard}, has the lease; ${advice}`,
      { same_place: String(same || unheard) },
    );
  }

  /** The other stream of a process that was heard last, if it can still be open. */
  #openOf({ others }: Process): { readonly stream: string; readonly connection: string } | undefined {
    const [last] = [...others].reverse();
    if (last === undefined) return undefined;
    const [stream, { connection, at }] = last;
    return this.#options.clock.now() - at < currentMs ? { stream, connection } : undefined;
  }

  #silentMs({ at }: Process): number {
    return this.#options.clock.now() - Math.max(at, this.#begunAt);
  }

  #contest({ agentId, nodeIp, connection }: Process, claimant: Place, at: number): void {
    const before = this.#contests.get(agentId);
    const holder = { nodeIp, connection };
    // A keep-alive does not name the node address that a registration from the same host did.
    const sameHost = before !== undefined && hostOf(claimant.connection) === hostOf(before.claimant.connection);
    const named = sameHost ? before.claimant.nodeIp : undefined;
    const contest = { agentId, holder, claimant: { ...claimant, nodeIp: claimant.nodeIp ?? named }, at };
    this.#contests.delete(agentId);
    this.#contests.set(agentId, contest);
    for (const oldest of this.#contests.keys()) {
      if (this.#contests.size <= contestsMax) break;
      this.#contests.delete(oldest);
    }
    const known =
      before !== undefined &&
      at - before.at < contestedMs &&
      samePlace(before.holder, holder) &&
      samePlace(before.claimant, claimant);
    if (!known) this.#options.contested(contest);
  }

  #dropOldContests(): void {
    const now = this.#options.clock.now();
    for (const [agentId, { at }] of this.#contests) {
      if (now - at < contestedMs) return;
      this.#contests.delete(agentId);
    }
  }
}

/** `at node_ip 10.0.0.1 from 10.0.0.1:40122`. */
export function describePlace({ nodeIp, connection }: Place): string {
  const at = nodeIp === undefined ? '' : `at node_ip ${formatIp(nodeIp)}`;
  const from = connection === '' ? '' : `from ${connection}`;
  return [at, from].filter((part) => part !== '').join(' ');
}

/** For the log. */
export function contestFields({ agentId, holder, claimant }: Contest): Readonly<Record<string, string>> {
  return { agentId, holder: describePlace(holder), refused: describePlace(claimant) };
}

function closedStreamOf(process: Process | undefined): string {
  return process?.closedAt === undefined ? '' : process.stream;
}

/** A keep-alive has come on `stream`. The former one stays known until it is closed. */
function moveTo(known: Process, stream: string): void {
  const { connection, at, others } = known;
  others.delete(stream);
  if (known.stream !== '' && known.stream !== stream && known.closedAt === undefined) {
    keepOther(others, known.stream, { connection, at });
  }
  known.stream = stream;
  known.closedAt = undefined;
}

function keepOther(
  others: Process['others'],
  stream: string,
  heard: { readonly connection: string; readonly at: number },
): void {
  others.delete(stream);
  others.set(stream, heard);
  const [oldest] = others.keys();
  if (others.size > otherStreamsMax && oldest !== undefined) others.delete(oldest);
}

function isClosed(known: Process, stream: string): boolean {
  return stream === known.formerStream || (stream === known.stream && known.closedAt !== undefined);
}

function sameStream(known: Process, { runId, stream }: StreamSender): boolean {
  if (known.runId !== undefined || runId !== undefined) return known.runId === runId;
  return stream === '' || known.stream === stream;
}

/** Each process has a port of its own, also on the same host. */
function samePlace(a: Place, b: Place): boolean {
  return (a.nodeIp === b.nodeIp || b.nodeIp === undefined) && hostOf(a.connection) === hostOf(b.connection);
}
