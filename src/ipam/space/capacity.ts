/**
 * How the numbers of held and free blocks develop while agents arrive and depart: the allocator of the plan reduced to
 * counts. An arrival takes one address of the VTEP subnet, else it is refused; and of each overlay one block in every family, or
 * none (rule 7). A departure frees what the agent held, and freed blocks are quarantined. The agent that has been there the
 * longest departs. Knows no clock: times are ms since the start.
 */

import { IntervalSet } from '#address/interval-set.js';
import { type Cidr, isCidr4 } from '#address/ip.js';
import { type BlockRange, blockRange, vtepRange } from '#ipam/space/space.js';

/** How many blocks are in each state. The first five add up to `total`; `free` is negative where more are taken than there are. */
export type BlockCounts = {
  readonly held: number;
  readonly reserved: number;
  readonly excluded: number;
  readonly quarantined: number;
  readonly free: number;
  readonly total: number;
};

export type CapacityStart = {
  /** How long a freed block is quarantined, ms. The blocks that are quarantined at the start are so for this long from then on. */
  readonly quarantineMs: number;
  readonly agents: number;
  /** Undefined: the VTEP subnet is not known, and admits every agent. */
  readonly vtep: BlockCounts | undefined;
  /** Of each overlay that allocates, its families. Where there are more agents than blocks held, the oldest agents hold them. */
  readonly overlays: readonly (readonly BlockCounts[])[];
};

/** Agents a day, each spread evenly. */
export type AgentFlow = { readonly arrivals: number; readonly departures: number };

/** Of one address space. */
export type SpaceForecast = {
  /** When no free block was left for the first time, ms since the start. Undefined: at no time. */
  readonly fullAt: number | undefined;
  /** How it is at the end. */
  readonly end: BlockCounts;
};

export type CapacityForecast = {
  readonly agents: number;
  /** Arrivals that were refused, as the VTEP subnet was full. */
  readonly refused: number;
  readonly vtep: SpaceForecast | undefined;
  /** In the order of the start, each with the arrivals that got no block of it. */
  readonly overlays: readonly { readonly without: number; readonly families: readonly SpaceForecast[] }[];
};

const dayMs = 86_400_000;

export class CapacityModel {
  readonly #quarantineMs: number;
  readonly #vtep: CountedOverlay | undefined;
  readonly #overlays: readonly CountedOverlay[];
  /** Agents are numbered as they arrive; those from #oldest up to #next are there. */
  #oldest = 0;
  #next: number;
  #refused = 0;

  constructor({ quarantineMs, agents, vtep, overlays }: CapacityStart) {
    this.#quarantineMs = quarantineMs;
    this.#next = agents;
    this.#vtep = vtep && new CountedOverlay([vtep], agents, quarantineMs);
    this.#overlays = overlays.map((families) => new CountedOverlay(families, agents, quarantineMs));
  }

  /** An agent arrives. `time` never goes back. @returns whether it was admitted */
  arrive(time: number): boolean {
    if (this.#vtep?.hasFree(time) === false) {
      this.#refused += 1;
      return false;
    }
    const agent = this.#next;
    this.#next += 1;
    this.#vtep?.allocate(agent, time);
    for (const overlay of this.#overlays) overlay.allocate(agent, time);
    return true;
  }

  /** The oldest agent departs. @returns whether there was one */
  depart(time: number): boolean {
    if (this.#oldest === this.#next) return false;
    const agent = this.#oldest;
    this.#oldest += 1;
    const until = time + this.#quarantineMs;
    this.#vtep?.release(agent, until);
    for (const overlay of this.#overlays) overlay.release(agent, until);
    return true;
  }

  forecast(time: number): CapacityForecast {
    return {
      agents: this.#next - this.#oldest,
      refused: this.#refused,
      vtep: this.#vtep?.families(time)[0],
      overlays: this.#overlays.map((overlay) => ({ without: overlay.without, families: overlay.families(time) })),
    };
  }
}

/**
 * Runs the model: `newcomers` arrive at once, then agents come and go at the rates of `flow` for `days`. The first of each comes one
 * interval after the start; at the same time departures come first. Costs O(agents that come and go × spaces).
 */
export function forecastCapacity(
  start: CapacityStart,
  newcomers: number,
  flow: AgentFlow,
  days: number,
): CapacityForecast {
  const model = new CapacityModel(start);
  for (let count = 0; count < newcomers; count++) model.arrive(0);
  const end = days * dayMs;
  const at = (count: number, rate: number): number => (rate === 0 ? Number.POSITIVE_INFINITY : (count * dayMs) / rate);
  let arrivals = 1;
  let departures = 1;
  for (;;) {
    const arrival = at(arrivals, flow.arrivals);
    const departure = at(departures, flow.departures);
    if (Math.min(arrival, departure) > end) return model.forecast(end);
    if (departure <= arrival) {
      model.depart(departure);
      departures += 1;
    } else {
      model.arrive(arrival);
      arrivals += 1;
    }
  }
}

/** The families of an overlay, of which an agent has a block each, or none. The VTEP subnet is one with a single family. */
class CountedOverlay {
  readonly #pools: readonly CountedPool[];
  readonly #agentsAtStart: number;
  /** The numbers of the agents that arrived and got no block, ascending, from the one at #departed on. */
  readonly #missed: number[] = [];
  #departed = 0;

  constructor(families: readonly BlockCounts[], agents: number, quarantineMs: number) {
    this.#pools = families.map((counts) => new CountedPool(counts, quarantineMs));
    this.#agentsAtStart = agents;
  }

  get without(): number {
    return this.#missed.length;
  }

  hasFree(time: number): boolean {
    return this.#pools.every((pool) => pool.freeAt(time) > 0);
  }

  allocate(agent: number, time: number): void {
    if (this.hasFree(time)) for (const pool of this.#pools) pool.hold(time);
    else this.#missed.push(agent);
  }

  release(agent: number, until: number): void {
    if (this.#missed[this.#departed] === agent) {
      this.#departed += 1;
      return;
    }
    const isOld = agent < this.#agentsAtStart;
    for (const pool of this.#pools) if (!isOld || agent < pool.heldAtStart) pool.free(until);
  }

  families(time: number): readonly SpaceForecast[] {
    return this.#pools.map((pool) => ({ end: pool.counts(time), fullAt: pool.fullAt }));
  }
}

/** When so many blocks come out of quarantine. */
type Ending = { readonly until: number; readonly count: number };

class CountedPool {
  readonly #start: BlockCounts;
  #held: number;
  #free: number;
  /** In order of time, from the one at #ended on. */
  #endings: Ending[] = [];
  #ended = 0;
  #fullAt: number | undefined;

  constructor(start: BlockCounts, quarantineMs: number) {
    this.#start = start;
    this.#held = start.held;
    this.#free = start.free;
    if (start.quarantined > 0) this.#endings.push({ until: quarantineMs, count: start.quarantined });
    if (this.#free <= 0) this.#fullAt = 0;
  }

  get heldAtStart(): number {
    return this.#start.held;
  }

  get fullAt(): number | undefined {
    return this.#fullAt;
  }

  freeAt(time: number): number {
    for (let next = this.#endings[this.#ended]; next && next.until <= time; next = this.#endings[this.#ended]) {
      this.#free += next.count;
      this.#ended += 1;
    }
    // What has ended is dropped, by halves, so that each ending is copied once on average.
    if (this.#ended > 1_000 && this.#ended * 2 > this.#endings.length) {
      this.#endings = this.#endings.slice(this.#ended);
      this.#ended = 0;
    }
    return this.#free;
  }

  hold(time: number): void {
    this.#held += 1;
    this.#free -= 1;
    if (this.#free <= 0) this.#fullAt ??= time;
  }

  free(until: number): void {
    this.#held -= 1;
    this.#endings.push({ until, count: 1 });
  }

  counts(time: number): BlockCounts {
    const free = this.freeAt(time);
    const { reserved, excluded, total } = this.#start;
    const quarantined = this.#endings.slice(this.#ended).reduce((sum, { count }) => sum + count, 0);
    return { held: this.#held, reserved, excluded, quarantined, free, total };
  }
}

/** Of the ranges that operators set aside in one address space. */
export type SetAsideRanges = { readonly excluded: readonly Cidr[]; readonly reserved: readonly Cidr[] };

/**
 * The counts of an address space of which nothing was ever held: the pieces of this prefix of an overlay or, where `prefix` is
 * undefined, the addresses of the VTEP subnet (IPv4). The ranges may be those of another prefix: an exclusion counts each block that it
 * touches, a reservation one block.
 */
export function unusedCounts(subnet: Cidr, prefix: number | undefined, ranges: SetAsideRanges): BlockCounts {
  const length = prefix ?? 32;
  const { first, end } = prefix === undefined && isCidr4(subnet) ? vtepRange(subnet) : blockRange(subnet, length);
  const excluded = new IntervalSet();
  for (const range of ranges.excluded) {
    const touched = touchedBlocks(range, length);
    excluded.add(touched.first, touched.end);
  }
  let excludedCount = 0n;
  for (const range of excluded.within(first, end)) excludedCount += range.end - range.start;
  const reserved = new Set(ranges.reserved.map((range) => touchedBlocks(range, length).first));
  const reservedCount = [...reserved].filter((block) => block >= first && block < end && !excluded.has(block)).length;
  const total = end - first;
  return {
    held: 0,
    reserved: reservedCount,
    excluded: saturated(excludedCount),
    quarantined: 0,
    free: saturated(total - excludedCount - BigInt(reservedCount)),
    total: saturated(total),
  };
}

function touchedBlocks(range: Cidr, prefix: number): BlockRange {
  if (range.prefix <= prefix) return blockRange(range, prefix);
  const first = BigInt(range.address) >> BigInt((isCidr4(range) ? 32 : 128) - prefix);
  return { first, end: first + 1n };
}

/** As the API counts: the largest safe integer stands for all beyond. */
export function saturated(count: bigint): number {
  return Number(count < BigInt(Number.MAX_SAFE_INTEGER) ? count : Number.MAX_SAFE_INTEGER);
}
