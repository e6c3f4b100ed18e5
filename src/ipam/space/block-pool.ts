/**
 * The blocks of one address space (an overlay in one family, or the VTEP subnet) and the state that each is in. Blocks
 * are known by number: first address divided by block size, so that a number stays the same when the space grows.
 * The cost of everything that a registration needs is O(log n) in what is held. What is not lettable (rule 6):
 * a block is *taken* if it was ever held, is reserved or is excluded; the lowest block not taken was never used.
 * Knows no clock: `time` is cluster time, and only what is freed remembers one.
 */
import { IntervalSet } from '#address/interval-set.js';
import { SortedMap } from '#address/sorted-map.js';
import type { AgentId } from '#ipam/identity.js';
import { assertInvariant, brokenPlan } from '#ipam/plan-invariant.js';
import type { NodeIp } from '#ipam/registration-fields.js';
import type { Beneficiary, BlockRun, BlockState, PoolUsage } from '#ipam/space/usage.js';

/** A block that was held and is not now; `until` is when its quarantine ends, and since when it is free. */
type Idle = { readonly until: number; readonly block: bigint };

export class BlockPool {
  /** The lettable blocks are [first, end). */
  #first: bigint;
  #end: bigint;
  readonly #held = new Map<bigint, AgentId>();
  /** Every block that was held and is not now, with the end of its quarantine. */
  readonly #freed = new Map<bigint, number>();
  /** Those of `freed` that any agent may get once their quarantine is over, longest free first. */
  readonly #idle = new SortedMap<Idle, true>(byTimeThenBlock);
  readonly #reserved = new SortedMap<bigint, Beneficiary>(ascending);
  readonly #reservedFor = new Map<Beneficiary, readonly bigint[]>();
  readonly #excluded = new IntervalSet();
  #heldAndExcluded = 0;
  /** Held or freed. */
  readonly #used = new IntervalSet();
  /** Used, reserved or excluded. */
  readonly #taken = new IntervalSet();

  constructor(first: bigint, end: bigint) {
    this.#first = first;
    this.#end = end;
  }

  /** Widens the space. Numbers stay as they are. */
  grow(first: bigint, end: bigint): void {
    assertInvariant(first <= this.#first && end >= this.#end, 'a pool never shrinks');
    this.#first = first;
    this.#end = end;
  }

  contains(block: bigint): boolean {
    return block >= this.#first && block < this.#end;
  }

  get heldCount(): number {
    return this.#held.size;
  }

  /** Every block that was held and is not now, ascending, with the end of its quarantine. */
  get freedBlocks(): readonly (readonly [bigint, number])[] {
    // Sorted, because a map remembers in which order blocks were freed, and a restored replica does not know.
    return [...this.#freed].sort(([a], [b]) => ascending(a, b));
  }

  get reservations(): Iterable<readonly [bigint, Beneficiary]> {
    return this.#reserved.entries();
  }

  /** Whether anything of it was ever held. */
  get everUsed(): boolean {
    return this.#held.size > 0 || this.#freed.size > 0;
  }

  wasUsed(block: bigint): boolean {
    return this.#used.has(block);
  }

  holder(block: bigint): AgentId | undefined {
    return this.#held.get(block);
  }

  reservation(block: bigint): Beneficiary | undefined {
    return this.#reserved.get(block);
  }

  /** When the quarantine of a freed block ends; undefined for one that was never used or is held. */
  quarantinedUntil(block: bigint): number | undefined {
    return this.#freed.get(block);
  }

  /** The lowest block that is reserved for the agent, or for the node address, and whose quarantine is over. */
  chooseReserved(beneficiary: Beneficiary, time: number): bigint | undefined {
    return this.#reservedFor.get(beneficiary)?.find((block) => this.state(block, time) === 'reserved');
  }

  /** The block to allocate next (rule 6): the lowest never used, else the one longest free; undefined: none. */
  choose(time: number): bigint | undefined {
    const fresh = this.#taken.firstGap(this.#first);
    if (fresh < this.#end) return fresh;
    const longestFree = this.#idle.first()?.[0];
    return longestFree !== undefined && longestFree.until <= time ? longestFree.block : undefined;
  }

  /**
   * Whether the agent, at this node address, may get this very block back, quarantined or not: no other agent holds it or
   * has a right to it.
   */
  mayReturn(block: bigint, agentId: AgentId, nodeIp: NodeIp): boolean {
    const keptFor = this.#reserved.get(block);
    const free = this.contains(block) && !this.#held.has(block) && !this.#excluded.has(block);
    return free && (keptFor === undefined || keptFor === agentId || keptFor === nodeIp);
  }

  hold(block: bigint, agentId: AgentId): void {
    if (!this.contains(block)) throw brokenPlan(`block ${block} is outside its pool`);
    if (this.#held.has(block)) throw brokenPlan(`block ${block} is held already: never in two hands`);
    this.#held.set(block, agentId);
    if (this.#excluded.has(block)) this.#heldAndExcluded += 1;
    const until = this.#freed.get(block);
    if (until === undefined) {
      this.#used.add(block);
      this.#taken.add(block);
    } else {
      this.#freed.delete(block);
      this.#idle.delete({ until, block });
    }
  }

  /** Ends the holding: the block is quarantined until `until`. */
  free(block: bigint, until: number): void {
    if (!this.#held.delete(block)) throw brokenPlan(`block ${block} is freed but not held`);
    if (this.#excluded.has(block)) this.#heldAndExcluded -= 1;
    this.quarantine(block, until);
  }

  /** Notes a block that was freed earlier (when the state is loaded). */
  quarantine(block: bigint, until: number): void {
    if (!this.contains(block) || this.#held.has(block)) throw brokenPlan(`block ${block} can't be quarantined`);
    this.#freed.set(block, until);
    this.#used.add(block);
    this.#taken.add(block);
    this.#offer(block);
  }

  /** Keeps the block for one agent or node address; the caller has made sure that no other agent has a right to it. */
  reserve(block: bigint, beneficiary: Beneficiary): void {
    assertInvariant(!this.#reserved.get(block) && !this.#excluded.has(block), 'a block is set aside once');
    this.#reserved.set(block, beneficiary);
    this.#reservedFor.set(beneficiary, [...(this.#reservedFor.get(beneficiary) ?? []), block].sort(ascending));
    this.#taken.add(block);
    this.#withdraw(block);
  }

  unreserve(block: bigint): void {
    const beneficiary = this.#reserved.get(block);
    assertInvariant(beneficiary !== undefined, 'a block that is not reserved can not be unreserved');
    this.#reserved.delete(block);
    const others = (this.#reservedFor.get(beneficiary) ?? []).filter((other) => other !== block);
    if (others.length === 0) this.#reservedFor.delete(beneficiary);
    else this.#reservedFor.set(beneficiary, others);
    if (!this.#used.has(block)) this.#taken.remove(block);
    this.#offer(block);
  }

  /** The lowest reservation in [start, end). */
  reservationIn(start: bigint, end: bigint): readonly [bigint, Beneficiary] | undefined {
    const next = this.#reserved.atOrAfter(start);
    return next !== undefined && next[0] < end ? next : undefined;
  }

  excludes(start: bigint, end: bigint = start + 1n): boolean {
    return this.#excluded.intersects(start, end);
  }

  /** Excludes [start, end), of which nothing is reserved or excluded, from allocation; a holder keeps its block. */
  exclude(start: bigint, end: bigint): void {
    assertInvariant(!this.excludes(start, end) && !this.reservationIn(start, end), 'a range is set aside once');
    this.#excluded.add(start, end);
    this.#taken.add(start, end);
    for (const block of this.#usedIn(start, end)) {
      if (this.#held.has(block)) this.#heldAndExcluded += 1;
      this.#withdraw(block);
    }
  }

  /** Ends the exclusion of [start, end). */
  unexclude(start: bigint, end: bigint): void {
    this.#excluded.remove(start, end);
    this.#taken.remove(start, end);
    for (const range of this.#used.within(start, end)) this.#taken.add(range.start, range.end);
    for (const block of this.#usedIn(start, end)) {
      if (this.#held.has(block)) this.#heldAndExcluded -= 1;
      this.#offer(block);
    }
  }

  /** How many blocks of [start, end) are held. */
  heldIn(start: bigint, end: bigint): number {
    let count = 0;
    for (const block of this.#usedIn(start, end)) if (this.#held.has(block)) count += 1;
    return count;
  }

  state(block: bigint, time: number): BlockState {
    if (this.#held.has(block)) return 'held';
    if (this.#excluded.has(block)) return 'excluded';
    if ((this.#freed.get(block) ?? Number.NEGATIVE_INFINITY) > time) return 'quarantined';
    return this.#reserved.get(block) === undefined ? 'free' : 'reserved';
  }

  /** Costs O(reserved + quarantined). */
  usage(time: number): PoolUsage {
    const total = this.#end - this.#first;
    const held = BigInt(this.#held.size);
    // An exclusion may cover what is in no pool, like the VTEP subnet's own address.
    let excluded = -BigInt(this.#heldAndExcluded);
    for (const range of this.#excluded.within(this.#first, this.#end)) excluded += range.end - range.start;
    let quarantined = 0n;
    for (const [idle] of this.#idle.entriesBackwards()) {
      if (idle.until <= time) break;
      quarantined += 1n;
    }
    let reserved = 0n;
    for (const [block] of this.#reserved.entries()) {
      const state = this.state(block, time);
      if (state === 'reserved') reserved += 1n;
      else if (state === 'quarantined') quarantined += 1n;
    }
    return { held, excluded, quarantined, reserved, free: total - held - excluded - quarantined - reserved, total };
  }

  /**
   * The blocks that are not held and not free, in runs, the first `limit` of them: those excluded (which may be held, too),
   * then the others by number. Costs O(n log n) in what was freed and is reserved.
   */
  setAside(time: number, limit: number): readonly BlockRun[] {
    const runs: { first: bigint; count: bigint; state: BlockRun['state'] }[] = [];
    for (const { start, end } of this.#excluded.within(this.#first, this.#end)) {
      if (runs.length === limit) return runs;
      runs.push({ first: start - this.#first, count: end - start, state: 'excluded' });
    }
    const blocks = [...this.#freed.keys()];
    for (const [block] of this.#reserved.entries()) if (!this.#freed.has(block)) blocks.push(block);
    for (const block of blocks.sort(ascending)) {
      const state = this.state(block, time);
      if (state !== 'quarantined' && state !== 'reserved') continue;
      const first = block - this.#first;
      const last = runs.at(-1);
      if (last?.state === state && last.first + last.count === first) last.count += 1n;
      else if (runs.length === limit) return runs;
      else runs.push({ first, count: 1n, state });
    }
    return runs;
  }

  /** The longest that a block is still quarantined after `time`, in ms; 0 when none is. */
  restLeft(time: number): number {
    let left = 0;
    for (const until of this.#freed.values()) left = Math.max(left, until - time);
    return left;
  }

  *#usedIn(start: bigint, end: bigint): Generator<bigint, void, undefined> {
    for (const range of this.#used.within(start, end)) {
      for (let block = range.start; block < range.end; block += 1n) yield block;
    }
  }

  /** Makes a freed block available to any agent, unless it is set aside. */
  #offer(block: bigint): void {
    const until = this.#freed.get(block);
    if (until === undefined || this.#excluded.has(block) || this.#reserved.get(block) !== undefined) return;
    this.#idle.set({ until, block }, true);
  }

  #withdraw(block: bigint): void {
    const until = this.#freed.get(block);
    if (until !== undefined) this.#idle.delete({ until, block });
  }
}

function ascending(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byTimeThenBlock(a: Idle, b: Idle): number {
  return a.until - b.until || ascending(a.block, b.block);
}
