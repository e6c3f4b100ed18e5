/**
 * A set of whole numbers kept as sorted, disjoint, non-adjacent ranges: what is taken of an address space, by block
 * number. Ranges are half-open, [start, end). Bigints, because an IPv6 overlay has up to 2^118 blocks. One range costs
 * the same whatever its length; every operation is O(log n) in the number of ranges (plus those it swallows).
 */
import { SortedMap } from '#address/sorted-map.js';

/** From `start` up to but without `end`; never empty. */
export type Range = { readonly start: bigint; readonly end: bigint };

export class IntervalSet {
  /** End of each range by its start. */
  readonly #ranges = new SortedMap<bigint, bigint>((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  #total = 0n;

  /** How many numbers are in the set. */
  get size(): bigint {
    return this.#total;
  }

  /** How many ranges it takes to say so. */
  get rangeCount(): number {
    return this.#ranges.size;
  }

  has(value: bigint): boolean {
    const at = this.#ranges.atOrBefore(value);
    return at !== undefined && value < at[1];
  }

  /** Whether any number of [start, end) is in the set. */
  intersects(start: bigint, end: bigint = start + 1n): boolean {
    if (start >= end) return false;
    if (this.has(start)) return true;
    const next = this.#ranges.atOrAfter(start);
    return next !== undefined && next[0] < end;
  }

  /** Puts [start, end) in; what is in already stays. An empty range changes nothing. */
  add(start: bigint, end: bigint = start + 1n): void {
    if (start >= end) return;
    const before = this.#ranges.atOrBefore(start);
    // A range that ends where this one starts is joined with it.
    const joined = before !== undefined && before[1] >= start;
    if (joined && before[1] >= end) return;
    const from = joined ? before[0] : start;
    if (joined) this.#total -= before[1] - before[0];
    let to = end;
    for (let next = this.#ranges.atOrAfter(from + 1n); next !== undefined && next[0] <= to; ) {
      this.#take(next);
      if (next[1] > to) to = next[1];
      next = this.#ranges.atOrAfter(from + 1n);
    }
    this.#put(from, to);
  }

  /** Takes [start, end) out; what is not in stays out. */
  remove(start: bigint, end: bigint = start + 1n): void {
    if (start >= end) return;
    const before = this.#ranges.atOrBefore(start);
    if (before !== undefined && before[1] > start) this.#cut(before, start, end);
    for (let next = this.#ranges.atOrAfter(start); next !== undefined && next[0] < end; ) {
      this.#cut(next, start, end);
      next = this.#ranges.atOrAfter(start);
      // What `cut` leaves begins at `end` or later.
    }
  }

  /** The lowest number at or above `from` that is not in the set. There always is one. */
  firstGap(from: bigint): bigint {
    const at = this.#ranges.atOrBefore(from);
    // Ranges are never adjacent, so the end of one is always a gap.
    return at !== undefined && from < at[1] ? at[1] : from;
  }

  /** The parts of the set that lie in [start, end), lowest first. */
  *within(start: bigint, end: bigint): Generator<Range, void, undefined> {
    const before = this.#ranges.atOrBefore(start);
    if (before !== undefined && before[0] < start && before[1] > start) {
      yield { start, end: before[1] < end ? before[1] : end };
    }
    for (const [from, to] of this.#ranges.entries(start)) {
      if (from >= end) return;
      yield { start: from, end: to < end ? to : end };
    }
  }

  /** Every range, lowest first. */
  *[Symbol.iterator](): Generator<Range, void, undefined> {
    for (const [start, end] of this.#ranges.entries()) yield { start, end };
  }

  #cut(range: readonly [bigint, bigint], start: bigint, end: bigint): void {
    const [first, last] = range;
    this.#take(range);
    if (first < start) this.#put(first, start);
    if (last > end) this.#put(end, last);
  }

  #put(start: bigint, end: bigint): void {
    this.#ranges.set(start, end);
    this.#total += end - start;
  }

  #take([start, end]: readonly [bigint, bigint]): void {
    this.#ranges.delete(start);
    this.#total -= end - start;
  }
}
