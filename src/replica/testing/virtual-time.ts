/**
 * Time that a test owns: a queue of events, worked off one by one in order of time and, at equal times, of arrival.
 * Between two events all promises settle, so a run depends on its inputs alone.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Clock } from '#replica/ports/clock.js';

type Event = { readonly atMs: number; readonly order: number; readonly run: () => void; cancelled: boolean };

/** The shortest delay above none, ms: a power of two, so that it is never lost in rounding before 2^43 ms. */
const grainMs = 2 ** -10;
/** Events worked off at one instant before that is held to be a loop without end. */
const eventsAtInstantMax = 10_000;

/** What is worked off asks for more at the same instant again and again. */
export class TimeStandsStill extends Error {
  override readonly name = 'TimeStandsStill';
}

export class VirtualTime implements Clock {
  /** A binary heap by time, then order. */
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #orders = 0;
  #events = 0;
  #atInstant = 0;

  now(): number {
    return this.#nowMs;
  }

  /** Events worked off so far. */
  get events(): number {
    return this.#events;
  }

  /**
   * Runs once `delayMs` have passed; a delay of none, at this instant still. Any other takes a grain at least: the rest
   * of 10^-11 ms that a subtraction leaves would not move the time, and a wait for it would never end.
   */
  after(delayMs: number, run: () => void): () => void {
    const delay = delayMs > 0 ? Math.max(grainMs, delayMs) : 0;
    const event: Event = { atMs: this.#nowMs + delay, order: this.#orders, run, cancelled: false };
    this.#orders += 1;
    this.#push(event);
    return () => {
      event.cancelled = true;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  /** Works off all events of the next `durationMs`. */
  async runFor(durationMs: number): Promise<void> {
    const endMs = this.#nowMs + durationMs;
    await nextTurn();
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= endMs; next = this.#heap[0]) await this.#step();
    this.#nowMs = endMs;
  }

  /** Works off events until `condition` holds. @throws Error when `withinMs` have passed before */
  async runUntil(condition: () => boolean, withinMs: number, what = 'the condition'): Promise<void> {
    const endMs = this.#nowMs + withinMs;
    await nextTurn();
    while (!condition()) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > endMs) throw new Error(`${what} did not hold within ${withinMs} ms`);
      await this.#step();
    }
  }

  /** Works off events until `promise` is settled, and gives its outcome. */
  async until<Value>(promise: Promise<Value>, withinMs: number): Promise<Value> {
    let settled = false;
    const done = () => {
      settled = true;
    };
    promise.then(done, done);
    await this.runUntil(() => settled, withinMs, 'the promise to be settled');
    return promise;
  }

  /**
   * Works off events until `goOn`, asked before each, says no; false when there were none left. For long runs of code
   * whose promises are settled by these events alone: they settle without a turn of the event loop in between.
   */
  work(goOn: () => boolean): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        try {
          if (!goOn()) {
            resolve(true);
            return;
          }
          if (!this.#runNext()) {
            resolve(false);
            return;
          }
        } catch (error) {
          reject(error);
          return;
        }
        // A tick that a microtask asks for comes after every microtask, those that others add included.
        queueMicrotask(after);
      };
      const after = (): void => process.nextTick(turn);
      turn();
    });
  }

  #runNext(): boolean {
    for (let event = this.#pop(); event !== undefined; event = this.#pop()) {
      if (event.cancelled) continue;
      this.#run(event);
      return true;
    }
    return false;
  }

  async #step(): Promise<void> {
    const event = this.#pop();
    if (event === undefined || event.cancelled) return;
    this.#run(event);
    await nextTurn();
  }

  #run({ atMs, run }: Event): void {
    this.#atInstant = atMs > this.#nowMs ? 1 : this.#atInstant + 1;
    if (this.#atInstant > eventsAtInstantMax) {
      throw new TimeStandsStill(`more than ${eventsAtInstantMax} events at ${this.#nowMs} ms`);
    }
    this.#nowMs = Math.max(this.#nowMs, atMs);
    this.#events += 1;
    run();
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || before(above, event)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      const left = heap[2 * at + 1];
      const right = heap[2 * at + 2];
      const child = right !== undefined && left !== undefined && before(right, left) ? 2 * at + 2 : 2 * at + 1;
      const below = heap[child];
      if (below === undefined || before(last, below)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

function before(one: Event, other: Event): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
