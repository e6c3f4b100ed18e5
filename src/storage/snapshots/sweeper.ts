/**
 * Deletes what the head no longer refers to: entries before the compaction point and state of old generations.
 * In small steps with pauses, so that no write waits long behind one; what a crash leaves undone is swept after
 * the next start. Nothing depends on it but disk space.
 */
import type { Clock } from '#replica/ports/clock.js';
import type { KeyRange, KeyValueOperation, KeyValueView } from '#storage/key-value.js';

/** Deletes per step: one synced batch of some 12 KiB. */
export const sweepStepKeys = 1000;
export const sweepPauseMs = 20;
/** Adjacent ranges are joined, so more than a few are a defect. */
const rangesMax = 256;

export class Sweeper {
  readonly #view: KeyValueView;
  readonly #write: (operations: readonly KeyValueOperation[]) => Promise<void>;
  readonly #fail: (error: unknown) => void;
  readonly #clock: Clock;
  #ranges: KeyRange[] = [];
  #cancel: (() => void) | undefined;
  #step: Promise<void> | undefined;
  #stopped = false;

  /** `fail` hears of a step that failed; no other follows. */
  constructor(
    view: KeyValueView,
    write: (operations: readonly KeyValueOperation[]) => Promise<void>,
    fail: (error: unknown) => void,
    clock: Clock,
  ) {
    this.#view = view;
    this.#write = write;
    this.#fail = fail;
    this.#clock = clock;
  }

  /** Nothing in `range` may ever be read or written again. */
  add(range: KeyRange): void {
    const before = this.#ranges.findIndex(({ to }) => Buffer.compare(to, range.from) === 0);
    const joined = this.#ranges[before];
    if (joined !== undefined) {
      this.#ranges[before] = { from: joined.from, to: range.to };
    } else {
      if (this.#ranges.length >= rangesMax) throw new RangeError(`more than ${rangesMax} key ranges wait to be swept`);
      this.#ranges.push(range);
    }
    this.#schedule();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#step;
  }

  #schedule(): void {
    if (this.#stopped || this.#cancel !== undefined || this.#step !== undefined || this.#ranges.length === 0) return;
    this.#cancel = this.#clock.after(sweepPauseMs, () => {
      this.#cancel = undefined;
      this.#step = this.#sweep().then(
        () => {
          this.#step = undefined;
          this.#schedule();
        },
        (error: unknown) => {
          this.#stopped = true;
          this.#fail(error);
        },
      );
    });
  }

  async #sweep(): Promise<void> {
    const range = this.#ranges.shift();
    if (range === undefined) return;
    const keys = await this.#view.keys(range, sweepStepKeys);
    const last = keys.at(-1);
    if (last === undefined) return;
    await this.#write(keys.map((key) => ({ type: 'del', key })));
    // Going on from the last key, not from the start, spares LevelDB the tombstones before it.
    if (keys.length === sweepStepKeys) this.#ranges.unshift({ from: last, to: range.to });
  }
}
