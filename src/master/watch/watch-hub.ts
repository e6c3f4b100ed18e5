/**
 * All watch streams of this master. Per watcher we keep only a log position and one message in flight: what it gets
 * next is looked up when it has taken the last, in the ring that all share. One that falls behind the ring begins again
 * with a snapshot; one that does not read is ended.
 */

import { toBuffer } from '#api/method.js';
import { RefusedError } from '#api/refusal.js';
import type { AgentId } from '#ipam/identity.js';
import type { PlanOutcome } from '#master/ipam-machine.js';
import type { EventRing, WatchView } from '#master/watch/event-ring.js';
import type { AgentForm, PlanSnapshot, PlanSnapshots } from '#master/watch/plan-snapshot.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';
import type { Applied } from '#replica/ports/replicated-log.js';
import { formatDuration } from '#text/duration.js';

const { WatchResponse } = sublet.v1;

/** Where a watcher's messages go. */
export type WatchSink = {
  /** Sends one message and calls `sent` when it can take the next; not called again before that. */
  send(message: Buffer, sent: () => void): void;
  /** Ends the watch; nothing is sent any more. */
  end(refused: RefusedError): void;
};

export type WatchHubOptions = {
  readonly ring: EventRing;
  /** By the form that agents have in it. */
  readonly snapshots: Readonly<Record<AgentForm, PlanSnapshots>>;
  readonly clusterId: string;
  readonly clock: Clock;
  /** How far this master has applied, as the log says. */
  readonly appliedIndex: () => number;
  /** Whether the history has this branch at that revision, which is applied here. */
  readonly hasBranch: (branch: string, revision: number) => boolean;
  /** The branch that a revision is of, as watchers get it. */
  readonly branchAt: (revision: number) => string;
  /** Resolves with whether the log ends before that revision; false while it is unknown. */
  readonly isBeyond: (revision: number) => Promise<boolean>;
  /** A watcher that testifies has seen what this history does not have. */
  readonly untrue: (start: WatchStart) => void;
  readonly report: (error: unknown) => void;
};

export type WatchStart = {
  /** The cluster that `fromRevision` is of; another one, or none, begins with a snapshot. */
  readonly clusterId: string;
  /** The last revision seen; 0: none. */
  readonly fromRevision: number;
  /** The branch of that revision; another branch, or none, begins with a snapshot. */
  readonly branch: string;
  readonly view: WatchView;
  /** Whether what it has seen is reported when this history does not have it: a caller that only reads must not change anything. */
  readonly testifies: boolean;
  /** The agent that watches; undefined: it is none, or is not known. */
  readonly agentId?: AgentId | undefined;
};

type Watcher = {
  readonly sink: WatchSink;
  readonly view: WatchView;
  readonly start: WatchStart;
  /** Everything up to here has been sent, or does not concern it. Ahead of what is applied here: it waits. */
  place: number;
  /** The last revision that the watcher got, in any message. */
  told: number;
  /** `ahead`: it has seen a revision that is not applied here yet, so its branch can't be compared. */
  phase: 'ahead' | 'events' | 'wants-snapshot' | 'snapshot';
  snapshot: { readonly of: PlanSnapshot; next: number } | undefined;
  /** Snapshots begun without an event between. */
  snapshotsInARow: number;
  busySince: number | undefined;
  waitsSince: number;
};

/**
 * A round sends one batch to every watcher, which takes about this long for each. The next round waits for as many times
 * that as the last one had changes: single changes go out at once, and a master that gets more than it has time to send one
 * by one gathers them.
 */
const roundMsPerWatcher = 0.02;
const gatheredMax = 20;
const flushMinMs = 5;
const flushMaxMs = 500;
/** Watchers served without a break. */
const sliceWatchers = 500;
const tickMs = 1_000;
/** An idle watcher gets the log's position, so that it can resume near its end. */
const progressMs = 10_000;
/** A message that is not taken for so long means a watcher that does not read. */
const stalledMs = 30_000;
/** How long a watcher waits for this master to catch up with what it has seen elsewhere. */
const aheadMs = 60_000;
const snapshotsInARowMax = 3;
/** Different snapshots being sent at a time; each may be tens of megabytes. */
const snapshotsHeldMax = 3;

export class WatchHub {
  readonly #options: WatchHubOptions;
  readonly #watchers = new Set<Watcher>();
  #cancelFlush: (() => void) | undefined;
  /** Changes since the last round began, and those that it had. */
  #gathering = 0;
  #gathered = 0;
  #roundAt = Number.NEGATIVE_INFINITY;
  #cancelTick: () => void;
  #progressAt: number;
  #progress: { readonly revision: number; readonly message: Buffer } | undefined;
  #stopped = false;
  #snapshotsServed = 0;
  #messagesSent = 0;

  constructor(options: WatchHubOptions) {
    this.#options = options;
    this.#progressAt = options.clock.now();
    this.#cancelTick = options.clock.after(tickMs, () => this.#tick());
  }

  get size(): number {
    return this.#watchers.size;
  }

  get snapshotsServed(): number {
    return this.#snapshotsServed;
  }

  get messagesSent(): number {
    return this.#messagesSent;
  }

  /** Begins a watch. The returned function ends it from the watcher's side. */
  watch(start: WatchStart, sink: WatchSink): () => void {
    const { clock } = this.#options;
    const phase = this.#phaseOf(start);
    const resumes = phase !== 'wants-snapshot';
    const watcher: Watcher = {
      sink,
      view: start.view,
      start,
      place: resumes ? start.fromRevision : 0,
      told: resumes ? start.fromRevision : 0,
      phase,
      snapshot: undefined,
      snapshotsInARow: 0,
      busySince: undefined,
      waitsSince: clock.now(),
    };
    if (this.#stopped) {
      sink.end(new RefusedError('unavailable', 'this master is stopping'));
      return () => undefined;
    }
    this.#watchers.add(watcher);
    if (phase === 'ahead') void this.#lookAhead(watcher);
    this.#serve(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #phaseOf(start: WatchStart): 'ahead' | 'events' | 'wants-snapshot' {
    const { ring, clusterId, hasBranch, untrue } = this.#options;
    const { fromRevision, branch } = start;
    if (fromRevision === 0 || start.clusterId !== clusterId) return 'wants-snapshot';
    if (fromRevision > ring.head) return 'ahead';
    if (hasBranch(branch, fromRevision)) return fromRevision >= ring.base ? 'events' : 'wants-snapshot';
    if (branch !== '' && start.testifies) untrue(start);
    return 'wants-snapshot';
  }

  /** Asks whether the log has the revision that the watcher has seen. */
  async #lookAhead(watcher: Watcher): Promise<void> {
    const { isBeyond, untrue, report } = this.#options;
    try {
      const beyond = await isBeyond(watcher.place);
      if (!this.#watchers.has(watcher) || watcher.phase !== 'ahead') return;
      if (beyond) {
        if (watcher.start.testifies) untrue(watcher.start);
        this.#rewind(watcher);
      }
      this.#serve(watcher);
    } catch (error) {
      report(error);
    }
  }

  /** The watcher begins anew: what it has seen is no revision of this history. */
  #rewind(watcher: Watcher): void {
    watcher.phase = 'wants-snapshot';
    watcher.place = 0;
    watcher.told = 0;
  }

  /** To be called for each applied command, in order. */
  applied({ index, output }: Applied<PlanOutcome>, reclaimMs: number | undefined): void {
    const { ring } = this.#options;
    if (output.events.length === 0) {
      ring.pass(index);
      return;
    }
    ring.append({ revision: index, events: output.events, network: output.network, reclaimMs });
    this.#gathering += 1;
    this.#scheduleFlush();
  }

  /** The state was replaced by the one at `index`, which changed last at `revision`. */
  restored(revision: number, index: number): void {
    this.#options.ring.reset(revision, index);
    this.#scheduleFlush();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTick();
    this.#cancelFlush?.();
    for (const snapshots of Object.values(this.#options.snapshots)) snapshots.stop();
    for (const watcher of [...this.#watchers]) {
      this.#end(watcher, new RefusedError('unavailable', 'this master is stopping'));
    }
  }

  #scheduleFlush(): void {
    if (this.#cancelFlush !== undefined || this.#watchers.size === 0) return;
    this.#cancelFlush = this.#options.clock.after(this.#flushDelay(), () => {
      this.#roundAt = this.#options.clock.now();
      this.#gathered = this.#gathering;
      this.#gathering = 0;
      this.#inSlices((watcher) => this.#serve(watcher));
    });
  }

  #flushDelay(): number {
    const recent = this.#options.clock.now() - this.#roundAt <= 2 * flushMaxMs;
    const gathered = recent ? Math.min(gatheredMax, Math.max(1, this.#gathered)) : 1;
    return Math.min(flushMaxMs, Math.max(flushMinMs, this.#watchers.size * roundMsPerWatcher * gathered));
  }

  /** Does something with every watcher, with breaks; a flush that falls due meanwhile is scheduled at the end. */
  #inSlices(act: (watcher: Watcher) => void): void {
    const watchers = [...this.#watchers];
    let at = 0;
    this.#cancelFlush ??= () => undefined;
    const slice = (): void => {
      for (const watcher of watchers.slice(at, at + sliceWatchers)) if (this.#watchers.has(watcher)) act(watcher);
      at += sliceWatchers;
      if (at < watchers.length && !this.#stopped) {
        this.#cancelFlush = this.#options.clock.after(0, slice);
        return;
      }
      this.#cancelFlush = undefined;
      if (this.#anyBehind()) this.#scheduleFlush();
    };
    slice();
  }

  #anyBehind(): boolean {
    const { head } = this.#options.ring;
    for (const { busySince, place, phase } of this.#watchers) {
      if (
        busySince === undefined &&
        (phase === 'events' || phase === 'ahead') &&
        place < head &&
        this.#options.ring.count > 0
      ) {
        return true;
      }
    }
    return false;
  }

  /** Sends the watcher what comes next, if it can take it and there is something. */
  #serve(watcher: Watcher): void {
    if (watcher.busySince !== undefined) return;
    if (watcher.phase === 'ahead') this.#catchUp(watcher);
    if (watcher.phase === 'ahead') return;
    if (watcher.phase === 'snapshot') this.#serveSnapshot(watcher);
    else if (watcher.phase === 'events') this.#serveEvents(watcher);
    else void this.#beginSnapshot(watcher);
  }

  /** What the watcher has seen may be applied here by now. */
  #catchUp(watcher: Watcher): void {
    const phase = this.#phaseOf(watcher.start);
    if (phase === 'wants-snapshot') this.#rewind(watcher);
    else watcher.phase = phase;
  }

  #serveEvents(watcher: Watcher): void {
    const { ring } = this.#options;
    if (watcher.place < ring.base) {
      watcher.phase = 'wants-snapshot';
      void this.#beginSnapshot(watcher);
      return;
    }
    const batch = ring.after(watcher.place, watcher.view);
    if (batch === undefined) return;
    watcher.place = batch.upTo;
    if (batch.bytes === undefined) return;
    watcher.told = batch.upTo;
    watcher.snapshotsInARow = 0;
    this.#send(watcher, batch.bytes);
  }

  #serveSnapshot(watcher: Watcher): void {
    const { snapshot } = watcher;
    const message = snapshot?.of.messages[snapshot.next];
    if (snapshot === undefined || message === undefined) {
      // What came since goes out with the next round, in a batch that many have in common.
      watcher.phase = 'events';
      watcher.snapshot = undefined;
      this.#scheduleFlushFor(watcher);
      return;
    }
    snapshot.next += 1;
    this.#send(watcher, message);
  }

  async #beginSnapshot(watcher: Watcher): Promise<void> {
    if (watcher.snapshotsInARow >= snapshotsInARowMax) {
      this.#end(
        watcher,
        new RefusedError(
          'too-slow',
          `watch: after ${snapshotsInARowMax} snapshots the watcher was still behind the events that are kept`,
        ),
      );
      return;
    }
    watcher.snapshotsInARow += 1;
    // Marks the watcher as taken care of while the snapshot is made.
    watcher.busySince = this.#options.clock.now();
    try {
      const of = await this.#options.snapshots[watcher.view === 'short' ? 'short' : 'whole'].get();
      if (!this.#watchers.has(watcher)) return;
      this.#snapshotsServed += 1;
      watcher.busySince = undefined;
      watcher.phase = 'snapshot';
      watcher.snapshot = { of, next: 0 };
      watcher.place = of.revision;
      watcher.told = of.revision;
      this.#letGoOfOldSnapshots();
      this.#serve(watcher);
    } catch (error) {
      this.#options.report(error);
      this.#end(
        watcher,
        new RefusedError('internal', 'watch: the snapshot could not be made; the log of the master has the details'),
      );
    }
  }

  /** The watchers that have read the least of the oldest snapshot make room. */
  #letGoOfOldSnapshots(): void {
    const held = new Set<PlanSnapshot>();
    for (const { snapshot } of this.#watchers) if (snapshot !== undefined) held.add(snapshot.of);
    if (held.size <= snapshotsHeldMax) return;
    const oldest = [...held].reduce((a, b) => (a.revision <= b.revision ? a : b));
    for (const watcher of [...this.#watchers]) {
      if (watcher.snapshot?.of !== oldest) continue;
      this.#end(
        watcher,
        new RefusedError('too-slow', `watch: the snapshot of revision ${oldest.revision} was read too slowly`),
      );
    }
  }

  #send(watcher: Watcher, message: Buffer): void {
    watcher.busySince = this.#options.clock.now();
    this.#messagesSent += 1;
    watcher.sink.send(message, () => {
      watcher.busySince = undefined;
      if (!this.#watchers.has(watcher)) return;
      // A snapshot, or what has come meanwhile, goes on at once; new events wait for the flush, for company.
      if (watcher.phase === 'snapshot') this.#serve(watcher);
      else this.#scheduleFlushFor(watcher);
    });
  }

  #scheduleFlushFor(watcher: Watcher): void {
    if (watcher.place < this.#options.ring.head || watcher.place < this.#options.ring.base) this.#scheduleFlush();
  }

  #end(watcher: Watcher, refused: RefusedError): void {
    if (this.#watchers.delete(watcher)) watcher.sink.end(refused);
  }

  #tick(): void {
    const { clock, appliedIndex } = this.#options;
    this.#cancelTick = clock.after(tickMs, () => this.#tick());
    const now = clock.now();
    const applied = appliedIndex();
    for (const watcher of [...this.#watchers]) {
      const { busySince, place } = watcher;
      if (place <= applied) watcher.waitsSince = now;
      if (watcher.phase !== 'wants-snapshot' && busySince !== undefined && now - busySince > stalledMs) {
        this.#end(watcher, new RefusedError('too-slow', `watch: nothing was read for ${formatDuration(stalledMs)}`));
      } else if (now - watcher.waitsSince > aheadMs) {
        this.#end(
          watcher,
          new RefusedError(
            'unavailable',
            `watch: from_revision ${place} is ahead of this master, which has applied ${applied}; ask another one`,
          ),
        );
      }
    }
    if (now - this.#progressAt < progressMs) return;
    this.#progressAt = now;
    if (this.#cancelFlush === undefined) this.#inSlices((watcher) => this.#sendProgress(watcher));
  }

  #sendProgress(watcher: Watcher): void {
    const { head } = this.#options.ring;
    this.#serve(watcher);
    if (watcher.busySince !== undefined || watcher.phase !== 'events' || watcher.told >= head) return;
    watcher.told = head;
    this.#send(watcher, this.#progressMessage(head));
  }

  #progressMessage(revision: number): Buffer {
    if (this.#progress?.revision !== revision) {
      const progress = { revision, branch: this.#options.branchAt(revision) };
      this.#progress = { revision, message: toBuffer(WatchResponse.encode({ progress }).finish()) };
    }
    return this.#progress.message;
  }
}
