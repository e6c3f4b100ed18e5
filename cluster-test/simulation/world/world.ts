/**
 * The simulated world: one time, chance by name from one seed, the trace of all that happened, and machines with clocks
 * of their own on which processes live and die. Nothing here knows what the processes do.
 */
import type { Clock } from '#replica/ports/clock.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** A promise that the simulated system made was broken, or it did what no client asked for. */
export class Violation extends Error {
  override readonly name = 'Violation';
  /** Which invariant: a word or two, the same for each seed that breaks it. */
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`);
    this.invariant = invariant;
  }
}

declare global {
  /** The wall clock of the machine whose event is worked off: for the one deliberate bug that looks at it. */
  var subletLocalClock: (() => number) | undefined;
}

export class World {
  readonly time = new VirtualTime();
  readonly seed: number;
  /** The first one found; the run ends with it. */
  violation: Violation | undefined;
  /** The process whose event is being worked off. */
  current: SimulatedProcess | undefined;
  readonly #streams = new Map<string, SeededRandom>();
  readonly #log: ((line: string) => void) | undefined;
  readonly #counts = new Map<string, number>();
  #hash = 0x811c9dc5;
  #lines = 0;

  /** `log` gets each line of the trace. */
  constructor(seed: number, log?: (line: string) => void) {
    this.seed = seed;
    this.#log = log;
    globalThis.subletLocalClock = () => this.current?.machine.wallNow() ?? 0;
  }

  /** Chance for one purpose: what one draws does not disturb the others, so that a fault can be left out alone. */
  random(purpose: string): SeededRandom {
    const known = this.#streams.get(purpose);
    if (known !== undefined) return known;
    const stream = new SeededRandom(mix(this.seed, purpose));
    this.#streams.set(purpose, stream);
    return stream;
  }

  /** Adds what happened to the trace. `detail` is called only when it is written. */
  trace(what: string, number: number, detail?: () => string): void {
    let hash = this.#hash;
    for (let at = 0; at < what.length; at += 1) hash = Math.imul(hash ^ what.charCodeAt(at), 0x01000193);
    hash = Math.imul(hash ^ (number | 0), 0x01000193);
    this.#hash = Math.imul(hash ^ Math.floor(this.time.now() * 1024), 0x01000193);
    this.#lines += 1;
    this.#log?.(`${this.time.now().toFixed(3)} ${what} ${number}${detail === undefined ? '' : ` ${detail()}`}`);
  }

  /** 8 hexadecimal digits over every line of the trace. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Counts something that the report tells of. */
  count(what: string, by = 1): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + by);
  }

  get counts(): ReadonlyMap<string, number> {
    return this.#counts;
  }

  fail(invariant: string, message: string): void {
    this.violation ??= new Violation(invariant, message);
    this.#log?.(`VIOLATION ${invariant}: ${message}`);
  }

  check(holds: boolean, invariant: string, message: () => string): void {
    if (!holds) this.fail(invariant, message());
  }
}

/** A machine: its monotonic clock runs at `rate` of the true time, its wall clock can be set, and it can be asleep. */
export class Machine implements Clock {
  readonly world: World;
  readonly name: string;
  readonly rate: number;
  /** Added to the wall clock, in ms. */
  wallOffsetMs: number;
  /** How long it has been asleep since boot, in ms: part of the boot clock, not of the monotonic one. */
  sleptMs = 0;
  #leaptMs = 0;
  /** When its clocks leapt last, ms of the world. */
  lastLeapMs = Number.NEGATIVE_INFINITY;
  /** Timers that are armed: a leap brings them nearer. */
  readonly #timers = new Set<() => void>();

  constructor(world: World, name: string, rate: number) {
    this.world = world;
    this.name = name;
    this.rate = rate;
    this.wallOffsetMs = 1_700_000_000_000;
  }

  now(): number {
    return this.world.time.now() * this.rate - this.sleptMs + this.#leaptMs;
  }

  wallNow(): number {
    return Math.floor(this.world.time.now() * this.rate + this.wallOffsetMs);
  }

  /** Since boot, time asleep included. */
  bootNow(): number {
    return this.now() + this.sleptMs;
  }

  after(delayMs: number, run: () => void): () => void {
    return this.world.time.after(delayMs / this.rate, run);
  }

  /** Monotonic and boot clock go on `byMs` later, as a virtual machine's do that was moved. They never go back. */
  leap(byMs: number): void {
    this.#leaptMs += byMs;
    this.lastLeapMs = this.world.time.now();
    for (const armAgain of [...this.#timers]) armAgain();
  }

  /** Has `armAgain` called at each leap, until what is returned is called. */
  atLeap(armAgain: () => void): () => void {
    this.#timers.add(armAgain);
    return () => this.#timers.delete(armAgain);
  }
}

/** A process on a machine: what is meant for it waits while it is paused, and is dropped once it is dead. */
export class SimulatedProcess {
  readonly machine: Machine;
  readonly name: string;
  #alive = true;
  #paused = false;
  #waiting: (() => void)[] = [];
  readonly #onDeath: (() => void)[] = [];

  constructor(machine: Machine, name: string) {
    this.machine = machine;
    this.name = name;
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** The process's view of time. */
  readonly clock: Clock = {
    now: () => this.machine.now(),
    // Node's timers take 1 ms at least; without that, a rest of 10^-12 ms would be waited for without end.
    after: (delayMs, run) => this.#after(this.machine.now() + Math.max(1, delayMs), run),
  };

  defer(run: () => void): void {
    this.machine.world.time.after(0, () => this.run(run));
  }

  /** Has the process do something now, or when it goes on. */
  run(action: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) {
      this.#waiting.push(action);
      return;
    }
    this.machine.world.current = this;
    action();
  }

  /** A timer stands still while its machine sleeps. */
  #after(dueMs: number, run: () => void): () => void {
    let over = false;
    let cancel = (): void => {};
    const arm = (): void => {
      cancel();
      if (!this.#alive) {
        end();
        return;
      }
      cancel = this.machine.after(Math.max(0, dueMs - this.machine.now()), () => {
        if (this.#alive) this.run(fire);
        else end();
      });
    };
    const fire = (): void => {
      if (over) return;
      // Half a microsecond: what rounding may leave.
      if (dueMs - this.machine.now() > 0.0005) {
        arm();
        return;
      }
      end();
      run();
    };
    const forget = this.machine.atLeap(arm);
    const end = (): void => {
      over = true;
      forget();
    };
    arm();
    return () => {
      end();
      cancel();
    };
  }

  pause(): void {
    this.#paused = true;
  }

  /** What came meanwhile is worked off at once, in order, each as an event of its own. */
  resume(): void {
    if (!this.#paused || !this.#alive) return;
    this.#paused = false;
    for (const action of this.#waiting.splice(0)) this.machine.world.time.after(0, () => this.run(action));
  }

  onDeath(action: () => void): void {
    this.#onDeath.push(action);
  }

  /** `kill -9`. */
  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#waiting = [];
    for (const action of this.#onDeath.splice(0)) action();
  }
}

function mix(seed: number, purpose: string): number {
  let hash = 0x811c9dc5 ^ seed;
  for (let at = 0; at < purpose.length; at += 1) hash = Math.imul(hash ^ purpose.charCodeAt(at), 0x01000193);
  return Math.imul(hash ^ (seed << 7), 0x85ebca6b) >>> 0;
}
