/**
 * Reconciles one Linux host with its desired state. One pass at a time: read what may have changed, compare with the
 * desired host, run the steps, tell the status. Passes are set off by a new input, by kernel events, by a short poll of
 * what has no events (firewall, files, Docker) and by a long one of everything. Between passes it knows the host by the
 * last observation and the steps run since, so that a new peer costs its own entries and no look at the others.
 */
import { errorText } from '#errors/unknown-error.js';
import { apply, type StepOutcome } from '#host/apply/apply.js';
import { ChangeHook, type HookRunner, hookRunner } from '#host/apply/change-hook.js';
import { cleanHost } from '#host/apply/cleanup.js';
import { FailedParts } from '#host/apply/failed-parts.js';
import { predict } from '#host/apply/predict.js';
import { ReservationKeeper } from '#host/apply/reservation-keeper.js';
import type { StepPlan } from '#host/apply/step-plan.js';
import { hostRefusal } from '#host/desired/bounds.js';
import { type DesiredHost, desired } from '#host/desired/desired.js';
import { shareTables } from '#host/desired/share-tables.js';
import { diff } from '#host/diff/diff.js';
import type { Step } from '#host/diff/host-step.js';
import { HostCounters } from '#host/host-metrics.js';
import { planHost } from '#host/host-plan.js';
import type { HostMetrics, HostStatus, PingReport } from '#host/host-status.js';
import type { HostInput, HostSettings } from '#host/input.js';
import { checkHostInput, HostInputError } from '#host/input-check.js';
import { factsOf, type HostFacts, sameFacts } from '#host/observe/host-facts.js';
import { type Area, allAreas, lookoutOf, observe } from '#host/observe/observe.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import { hostStatusOf } from '#host/overlay-report.js';
import type { Part } from '#host/problem.js';
import { pingPeers } from '#host/reach/ping.js';
import type { CleanupReport, PlannedStep, Reconciler } from '#host/reconciler-interface.js';
import { BatchSessions } from '#host/tools/batch-session.js';
import { type DockerEngine, dockerEngine, localDocker, noDocker } from '#host/tools/docker-engine.js';
import { areasOf } from '#host/tools/kernel-event.js';
import { type KernelMonitor, kernelMonitor } from '#host/tools/kernel-monitor.js';
import { processRunner, type Runner } from '#host/tools/runner.js';
import { ShellRunner } from '#host/tools/shell-runner.js';
import { commandOf } from '#host/tools/tool-command.js';
import { type AddressUsage, addressUsage } from '#host/usage/address-usage.js';

/** What the reconciler says while it works; the agent's logger fits. */
export type HostLog = {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
};

/** Monotonic time in ms, so that a clock that is set changes nothing; the agent's fits, and a test owns its own. */
export type HostClock = {
  now(): number;
  /** Calls `run` once, `delayMs` or more from now. The returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
};

export type HostReconcilerOptions = {
  readonly log: HostLog;
  readonly clock: HostClock;
  readonly run?: Runner;
  readonly hook?: HookRunner;
  /** Opens the engine at a Docker host. */
  readonly docker?: (host: string) => DockerEngine;
  /** How often what has no events is looked at: firewall, CNI files, Docker, sysctls. Default 3,000. */
  readonly pollMs?: number;
  /** How often at most everything is looked at; it is less often where that takes long. Default 60,000. */
  readonly fullPassMs?: number;
};

/** Events that come together are one pass. */
const debounceMs = 50;
/** After the device was made or changed it is looked at again: udev, for one, may have had its own idea of the MAC. */
const verifyMs = 500;
/** A full pass may take one part in this many of the time. */
const fullPassShare = 200;

const pollAreas: readonly Area[] = ['firewall', 'cni', 'docker', 'files', 'sysctls'];
/** After a change of these, the kernel or others may have changed more. */
const verifiedParts: ReadonlySet<Part> = new Set(['device', 'device6', 'mtu', 'stale-device', 'bridge', 'bridge6']);

type TimerKind = 'event' | 'poll' | 'full-pass' | 'retry' | 'verify-links' | 'verify-firewall' | 'verify-docker';

export class HostReconciler implements Reconciler {
  readonly #log: HostLog;
  readonly #clock: HostClock;
  readonly #run: Runner;
  /** For looking, which is often and short. */
  readonly #look: Runner;
  readonly #shell = new ShellRunner();
  readonly #openDocker: (host: string) => DockerEngine;
  readonly #pollMs: number;
  readonly #fullPassMs: number;
  readonly #monitor: KernelMonitor;
  readonly #batches = new BatchSessions();
  readonly #counters = new HostCounters();
  readonly #backOff = new FailedParts();
  readonly #reservations: ReservationKeeper;
  readonly #hook: ChangeHook;
  readonly #listeners: ((status: HostStatus) => void)[] = [];
  readonly #dirty = new Set<Area>();

  #input: HostInput | undefined;
  #triedInput: HostInput | undefined;
  #wish: { input: HostInput; facts: HostFacts; desired: DesiredHost } | undefined;
  #model: ObservedHost = bareHost;
  #status: HostStatus = { overlays: [], problems: [], converged: false };
  #docker: { host: string; engine: DockerEngine } | undefined;
  readonly #timers = new Map<TimerKind, () => void>();
  #running: Promise<void> | undefined;
  #stopped = false;
  /** Errors that were logged and stand, with the step of each. */
  #loggedErrors: ReadonlyMap<string, Step> = new Map();

  constructor(options: HostReconcilerOptions) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#run = options.run ?? processRunner;
    this.#look = options.run ?? this.#shell;
    this.#reservations = new ReservationKeeper(this.#run, this.#log);
    this.#hook = new ChangeHook({
      log: this.#log,
      clock: this.#clock,
      run: options.hook ?? hookRunner(),
      onOutcome: () => this.#tell(this.#status),
    });
    this.#openDocker = options.docker ?? dockerEngine;
    this.#pollMs = options.pollMs ?? 3_000;
    this.#fullPassMs = options.fullPassMs ?? 60_000;
    this.#monitor = kernelMonitor({
      line: (line) => this.#onEvent(line),
      gap: () => this.#soon(allAreas),
    });
  }

  start(): void {
    this.#monitor.start();
    this.#schedulePoll();
    this.#scheduleFullPass();
  }

  update(given: HostInput): void {
    const checked = this.#checked(given);
    if (checked === undefined) return;
    const before = this.#input;
    this.#input = checked;
    if (before === undefined || !sameSite(before, checked)) {
      this.#backOff.reset();
      for (const area of allAreas) this.#dirty.add(area);
      this.#tell(this.#statusBefore(checked));
    }
    this.#kick();
  }

  /** The input as far as it is good; undefined when it is not for this host's own part: then the host stays as it is. */
  #checked(given: HostInput): HostInput | undefined {
    try {
      const { input, refusedPeers } = checkHostInput(given);
      for (const error of refusedPeers.slice(0, loggedMax)) this.#log.warn({ error }, 'a peer is refused');
      return input;
    } catch (error) {
      if (!(error instanceof HostInputError)) throw error;
      this.#refuse(given, error.message);
      return undefined;
    }
  }

  #refuse({ lease }: HostInput, error: string): void {
    const overlays = lease.overlays.map(({ name }) => ({ kind: 'failed', name, error }) as const);
    if (this.#tell({ overlays, problems: [error], converged: false })) {
      this.#log.warn({ error }, 'the lease is refused: this host stays as it is');
    }
  }

  async settled(): Promise<HostStatus> {
    while (this.#running !== undefined) await this.#running;
    return this.#status;
  }

  onStatus(listener: (status: HostStatus) => void): void {
    this.#listeners.push(listener);
  }

  status(): HostStatus {
    return this.#status;
  }

  metrics(): HostMetrics {
    return this.#counters.snapshot(this.#hook.counts);
  }

  usage(): readonly AddressUsage[] {
    return this.#input === undefined ? [] : addressUsage(this.#input, this.#model.docker);
  }

  async plan(input: HostInput): Promise<readonly PlannedStep[]> {
    return planHost(checkHostInput(input).input, this.#run, this.#engine(input));
  }

  async ping(target?: string): Promise<readonly PingReport[]> {
    if (this.#input === undefined) throw new Error('no lease yet: there are no peers to ping');
    return pingPeers(this.#input, this.#run, target);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#hook.stop();
    await this.#monitor.stop();
    await this.#running;
    await Promise.all([this.#batches.close(), this.#shell.close()]);
  }

  async cleanup(clusterIds: readonly string[], settings: HostSettings): Promise<CleanupReport> {
    await this.stop();
    const docker = this.#openDocker(settings.dockerHost ?? localDocker);
    return cleanHost(clusterIds, settings, { run: this.#run, batches: this.#batches, docker });
  }

  /** Until the first pass for a new site is done, overlays that are new to this host are being configured. */
  #statusBefore({ lease }: HostInput): HostStatus {
    const known = new Map(this.#status.overlays.map((overlay) => [overlay.name, overlay]));
    const overlays = lease.overlays.map(({ name }) => known.get(name) ?? ({ kind: 'configuring', name } as const));
    return { overlays, problems: this.#status.problems, converged: false };
  }

  // Passes.

  #lookAt(areas: Iterable<Area>): void {
    for (const area of areas) this.#dirty.add(area);
    this.#kick();
  }

  /** Looks a little later, together with whatever else happens until then. */
  #soon(areas: Iterable<Area>): void {
    for (const area of areas) this.#dirty.add(area);
    if (!this.#timers.has('event')) this.#later('event', debounceMs, []);
  }

  #kick(): void {
    if (this.#stopped || this.#running !== undefined || this.#input === undefined) return;
    this.#running = this.#work().finally(() => {
      this.#running = undefined;
    });
  }

  async #work(): Promise<void> {
    while (!this.#stopped && this.#input !== undefined && (this.#dirty.size > 0 || this.#triedInput !== this.#input)) {
      const areas = new Set(this.#dirty);
      this.#dirty.clear();
      const input = this.#input;
      this.#triedInput = input;
      try {
        // Before the network is said to be there: a container that comes then makes the bridge.
        if (areas.size === allAreas.size) await this.#reservations.free(input);
        await this.#pass(input, areas);
      } catch (error) {
        this.#failWhole(input, errorText(error));
        for (const area of areas) this.#dirty.add(area);
        return; // The poll tries again.
      }
    }
  }

  async #pass(input: HostInput, areas: ReadonlySet<Area>): Promise<void> {
    const startMs = this.#clock.now();
    const docker = this.#engine(input);
    const before = this.#model;
    const observed = areas.size === 0 ? before : await observe(lookoutOf(input, this.#look, docker), areas, before);
    const isDrift = this.#wish?.input === input;
    const wasIpv6Off = this.#wish?.desired.isIpv6Off;
    const wish = this.#desired(input, factsOf(observed, input));
    // With IPv6 the kernel drops all its entries, and sends events for only some of them.
    if (wasIpv6Off !== undefined && wasIpv6Off !== wish.isIpv6Off) this.#soon(['links', 'peers']);
    const refusal = hostRefusal(input, observed);
    if (refusal !== undefined) {
      this.#model = observed;
      this.#refuse(input, refusal);
      return;
    }
    const plan = diff(wish, observed);
    const passMs = this.#clock.now() - startMs;
    this.#counters.passed(areas.has('peers') ? passMs : undefined);
    this.#counters.entries = wish.neighbours.size + wish.fdb.size + wish.routes.size + wish.sourceRoutes.size;

    const steps = this.#backOff.allowed(plan.steps, this.#clock.now());
    const outcomes = await apply(steps, {
      run: this.#run,
      batches: this.#batches,
      docker,
      iptables: input.settings.iptables,
    });
    const done = outcomes.filter(({ kind }) => kind === 'done').map(({ step }) => step);
    this.#model = shareTables(predict(observed, done), wish);
    this.#count(outcomes, isDrift ? { before, observed } : undefined);
    this.#backOff.record(plan.steps, outcomes, this.#clock.now());
    this.#after(input, plan, outcomes, wish);
  }

  #after(input: HostInput, plan: StepPlan, outcomes: readonly StepOutcome[], wish: DesiredHost): void {
    if (outcomes.some(({ step }) => verifiedParts.has(step.part))) {
      this.#later('verify-links', verifyMs, ['links', 'peers', 'strangers', 'sysctls']);
    }
    if (outcomes.some(({ step }) => step.part === 'forward' || step.part === 'forward6')) {
      this.#later('verify-firewall', verifyMs, ['firewall']);
    }
    if (outcomes.some(({ step }) => step.part === 'docker')) {
      this.#later('verify-docker', verifyMs, ['links', 'sysctls', 'firewall']);
    }
    const nextAt = this.#backOff.nextAt();
    if (nextAt !== undefined) this.#later('retry', Math.max(nextAt - this.#clock.now(), debounceMs), pollAreas);
    const isOpen = outcomes.length < plan.steps.length || outcomes.some(({ kind }) => kind !== 'done');
    this.#tell(hostStatusOf(wish, plan.problems, this.#backOff.errors(), !isOpen));
    if (outcomes.length > 0) this.#logOutcomes(outcomes, input);
    this.#hook.passed(outcomes, input.settings);
  }

  #count(outcomes: readonly StepOutcome[], drift: { before: ObservedHost; observed: ObservedHost } | undefined): void {
    for (const outcome of outcomes) {
      const { step } = outcome;
      const isDrift = drift !== undefined && !this.#backOff.has(step) && !isNewcomer(step, drift);
      this.#counters.ran(step.kind, outcome.kind, isDrift);
    }
  }

  #logOutcomes(outcomes: readonly StepOutcome[], input: HostInput): void {
    const failed = outcomes.filter((outcome) => outcome.kind === 'failed');
    const done = outcomes.filter(({ kind }) => kind === 'done');
    const commands = done.slice(0, loggedMax).map(({ step }) => commandOf(step));
    if (done.length > 0) this.#log.info({ steps: done.length, commands, peers: input.peers.length }, 'host changed');
    // A part that goes on failing alike is logged once, also where others fail between its tries; the status has it still.
    const news = failed.map(({ error }) => error).filter((error) => !this.#loggedErrors.has(error));
    for (const error of news.slice(0, loggedMax)) this.#log.warn({ error }, 'host step failed');
    const waiting = [...this.#loggedErrors].filter(([, step]) => this.#backOff.has(step));
    const latest = failed.map(({ error, step }) => [error, step] as const);
    this.#loggedErrors = new Map([...waiting, ...latest].slice(-standingErrorsMax));
  }

  /** Nothing could be read: each overlay says so. */
  #failWhole(input: HostInput, error: string): void {
    this.#log.warn({ error }, 'host can not be read');
    const wish = this.#desired(input, { underlay: { device: '', mtu: 1500 } });
    this.#wish = undefined;
    this.#tell(hostStatusOf(wish, [{ scope: { kind: 'host' }, part: 'device', error }], [], false));
  }

  /** Whether it was news. */
  #tell({ hookError: _, ...told }: HostStatus): boolean {
    const hookError = this.#hook.error;
    const status = hookError === '' ? told : { ...told, hookError };
    const isNews = JSON.stringify(status) !== JSON.stringify(this.#status);
    if (isNews) this.#logFailed(status);
    this.#status = status;
    if (isNews) for (const listener of this.#listeners) listener(status);
    return isNews;
  }

  /** Overlays that have just failed, or now fail for another reason. */
  #logFailed({ overlays }: HostStatus): void {
    const before = new Set(this.#status.overlays.map((overlay) => JSON.stringify(overlay)));
    const failed = overlays.filter((overlay) => overlay.kind === 'failed' && !before.has(JSON.stringify(overlay)));
    for (const overlay of failed.slice(0, loggedMax)) {
      if (overlay.kind === 'failed') this.#log.warn({ overlay: overlay.name, error: overlay.error }, 'overlay failed');
    }
  }

  // What sets off passes.

  #onEvent(line: string): void {
    if (this.#wish === undefined) return;
    const areas = areasOf(line, this.#wish.desired, this.#wish.facts.underlay);
    if (areas.length > 0) this.#soon(areas);
  }

  #later(kind: TimerKind, delayMs: number, areas: Iterable<Area>): void {
    this.#timer(kind, delayMs, () => this.#lookAt(areas));
  }

  /** There is one timer of each kind: a new one takes the place of the one before. */
  #timer(kind: TimerKind, delayMs: number, run: () => void): void {
    if (this.#stopped) return;
    this.#timers.get(kind)?.();
    const cancel = this.#clock.after(delayMs, () => {
      this.#timers.delete(kind);
      run();
    });
    this.#timers.set(kind, cancel);
  }

  #schedulePoll(): void {
    this.#timer('poll', this.#pollMs, () => {
      // Foreign rules name tables of which no event is followed: a detour may have ended unseen.
      this.#lookAt(this.#model.detours.length === 0 ? pollAreas : [...pollAreas, 'strangers']);
      this.#schedulePoll();
    });
  }

  #scheduleFullPass(): void {
    const periodMs = Math.max(this.#fullPassMs, this.#counters.lastPassMs * fullPassShare);
    this.#timer('full-pass', periodMs, () => {
      this.#lookAt(allAreas);
      this.#scheduleFullPass();
    });
  }

  #desired(input: HostInput, facts: HostFacts): DesiredHost {
    const known = this.#wish;
    if (known?.input === input && sameFacts(known.facts, facts)) return known.desired;
    const wish = desired(input, facts);
    this.#wish = { input, facts, desired: wish };
    return wish;
  }

  /** The engine is asked where a network is wanted, or one was: else Docker is none of our business. */
  #engine({ settings, lease }: HostInput): DockerEngine {
    const isWanted = lease.overlays.some(({ dockerBridge }) => dockerBridge !== undefined);
    const host = settings.dockerHost ?? localDocker;
    if (!isWanted && this.#docker === undefined) return noDocker;
    if (this.#docker?.host !== host) this.#docker = { host, engine: this.#openDocker(host) };
    return this.#docker.engine;
  }
}

/** Commands and errors of one pass that are logged. */
const loggedMax = 10;
/** Errors that stand and are known to be logged; one beyond them is logged again when its step is tried again. */
const standingErrorsMax = 1_000;

/** Whether everything but the peers is the same: then nothing of the host needs to be read for the change. */
function sameSite(a: HostInput, b: HostInput): boolean {
  const site = ({ peers: _, ...rest }: HostInput) => JSON.stringify(rest);
  return site(a) === site(b);
}

/** What a device needs that has just come (a bridge with its first container) is no repair. */
function isNewcomer(
  step: StepOutcome['step'],
  { before, observed }: { before: ObservedHost; observed: ObservedHost },
): boolean {
  const name = step.kind === 'link-set' ? step.name : step.kind === 'sysctl' ? step.path.split('/')[3] : undefined;
  return name !== undefined && observed.links.has(name) && !before.links.has(name);
}
