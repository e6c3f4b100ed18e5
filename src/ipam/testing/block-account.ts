/**
 * The state of every block, kept from outside: from the commands, from the plan's answers and events, and from cluster
 * time alone. Shares no code with the pools, and is simple rather than fast, so that the two can be compared.
 */
import assert from 'node:assert/strict';
import { type Cidr, type Family, formatIp, type Ip, isCidr4 } from '#address/ip.js';
import type { BlockState, PoolUsage } from '#ipam/space/usage.js';

type Range = { readonly start: bigint; readonly end: bigint };
type Rest = { readonly until: number; readonly last: string };

/** An agent, and its node address as `nodeKey` names it. */
export type Claimant = { readonly agentId: string; readonly node: string };

/** Names a node address among what blocks are reserved for; no agent id has a space. */
export function nodeKey(nodeIp: Ip): string {
  return `node ${formatIp(nodeIp)}`;
}

/** One address space: an overlay in one family, or (`overlay` undefined) the VTEP subnet. */
export class BlockAccount {
  readonly overlay: string | undefined;
  readonly family: Family;
  /** Length of a block's prefix. */
  readonly prefix: number;
  first = 0n;
  end = 0n;
  readonly #held = new Map<bigint, string>();
  readonly #freed = new Map<bigint, Rest>();
  readonly #reserved = new Map<bigint, string>();
  readonly #excluded = new Map<string, Range>();

  constructor(overlay: string | undefined, subnet: Cidr, prefix: number) {
    this.overlay = overlay;
    this.family = isCidr4(subnet) ? 4 : 6;
    this.prefix = prefix;
    this.span(subnet);
  }

  /** Sets the subnet of the blocks, at first and when it has grown. */
  span(subnet: Cidr): void {
    const { start, end } = this.#rangeOf(subnet);
    // The VTEP subnet's own address and its broadcast address are never allocated.
    this.first = this.overlay === undefined ? start + 1n : start;
    this.end = this.overlay === undefined ? end - 1n : end;
  }

  get name(): string {
    return `${this.overlay ?? 'vtep'} IPv${this.family}`;
  }

  get total(): bigint {
    return this.end - this.first;
  }

  address(block: bigint): bigint {
    return block << this.#shift;
  }

  blockAt(address: number | bigint): bigint {
    return BigInt(address) >> this.#shift;
  }

  get #shift(): bigint {
    return BigInt((this.family === 4 ? 32 : 128) - this.prefix);
  }

  #rangeOf(subnet: Cidr): Range {
    const start = this.blockAt(subnet.address);
    return { start, end: start + 2n ** BigInt(this.prefix - subnet.prefix) };
  }

  /** What the agent holds here. */
  heldBy(agentId: string): bigint | undefined {
    for (const [block, holder] of this.#held) if (holder === agentId) return block;
    return undefined;
  }

  /**
   * The agent holds this block now, and nothing else here; `until` is the end of the quarantine of what it gave back.
   */
  settle(agentId: string, block: bigint | undefined, until: number): void {
    const before = this.heldBy(agentId);
    if (before === block) return;
    if (before !== undefined) {
      this.#held.delete(before);
      this.#freed.set(before, { until, last: agentId });
    }
    if (block === undefined) return;
    const holder = this.#held.get(block);
    assert.equal(holder, undefined, `${this.name}: block ${block} went to ${agentId} while ${holder} held it`);
    this.#held.set(block, agentId);
    this.#freed.delete(block);
  }

  /**
   * Whether the agent may be given a block that it does not hold: in adoption a block that no other agent has a right
   * to; else one that is reserved for it or its node address, one that is quarantined after it held it, or the one that
   * any agent would get.
   */
  checkGiven(block: bigint, claimant: Claimant, time: number, adoption: boolean): void {
    const { agentId, node } = claimant;
    const where = `${this.name}: block ${block}, given to ${agentId},`;
    assert.ok(block >= this.first && block < this.end, `${where} is outside`);
    assert.equal(this.#held.get(block), undefined, `${where} is held`);
    assert.ok(!this.#isExcluded(block), `${where} is excluded`);
    const keptFor = this.#reserved.get(block) ?? agentId;
    assert.ok([agentId, node].includes(keptFor), `${where} is reserved for ${keptFor}`);
    if (adoption) return;
    const own = this.#ownReserved(claimant, time);
    if (own !== undefined) {
      assert.equal(block, own, `${where} is not the one reserved for it`);
      return;
    }
    const rest = this.#freed.get(block);
    if (rest !== undefined && rest.until > time) {
      assert.equal(rest.last, agentId, `${where} is quarantined after ${rest.last} had it`);
      return;
    }
    assert.equal(block, this.#next(time), `${where} is not the next one`);
  }

  /** Whether it is true that there is nothing for the agent here. */
  checkExhausted(claimant: Claimant, time: number): void {
    const { agentId } = claimant;
    assert.equal(this.#ownReserved(claimant, time), undefined, `${this.name} has a block reserved for ${agentId}`);
    assert.equal(this.#next(time), undefined, `${this.name} has a block for ${agentId}`);
  }

  /** The lowest block that is kept for the agent and could be had, else the lowest for its node address. */
  #ownReserved({ agentId, node }: Claimant, time: number): bigint | undefined {
    const keptFor = (whom: string): bigint | undefined =>
      lowest(
        [...this.#reserved]
          .filter(([block, of]) => of === whom && this.state(block, time) === 'reserved')
          .map(([block]) => block),
      );
    return keptFor(agentId) ?? keptFor(node);
  }

  /** The lowest never used; else the one longest free. */
  #next(time: number): bigint | undefined {
    const ranges = [...this.#excluded.values()];
    let fresh = this.first;
    for (;;) {
      const barrier = ranges.find(({ start, end }) => start <= fresh && fresh < end);
      if (barrier !== undefined) fresh = barrier.end;
      else if (this.#held.has(fresh) || this.#freed.has(fresh) || this.#reserved.has(fresh)) fresh += 1n;
      else break;
    }
    if (fresh < this.end) return fresh;
    const free = [...this.#freed].filter(([block]) => this.state(block, time) === 'free');
    const since = Math.min(...free.map(([, { until }]) => until));
    return lowest(free.filter(([, { until }]) => until === since).map(([block]) => block));
  }

  /** What one agent holds is kept for another one from now on. */
  reserveHeld(agentId: string, successor: string): void {
    const block = this.heldBy(agentId);
    if (block !== undefined) this.#reserved.set(block, successor);
  }

  /** `whom`: an agent id, or `nodeKey`; `agentId`: the agent that this is, if there is one. */
  reserve(subnet: Cidr, whom: string, agentId: string | undefined): void {
    const block = this.blockAt(subnet.address);
    assert.equal(this.#reserved.get(block) ?? whom, whom, `${this.name}: block ${block} is reserved twice`);
    // Nothing changes, though another agent may hold the block by now: one that has moved away from the node.
    if (this.#reserved.has(block)) return;
    assert.ok(!this.#isExcluded(block), `${this.name}: block ${block} is reserved though excluded`);
    assert.equal(this.#held.get(block) ?? agentId, agentId, `${this.name}: block ${block} is reserved though held`);
    this.#reserved.set(block, whom);
  }

  unreserve(subnet: Cidr): void {
    assert.ok(this.#reserved.delete(this.blockAt(subnet.address)), `${this.name}: no such reservation`);
  }

  exclude(subnet: Cidr): void {
    const key = `${subnet.address}/${subnet.prefix}`;
    if (this.#excluded.has(key)) return;
    const { start, end } = this.#rangeOf(subnet);
    for (const other of this.#excluded.values()) {
      assert.ok(end <= other.start || other.end <= start, `${this.name}: two exclusions overlap`);
    }
    for (const block of this.#reserved.keys()) {
      assert.ok(block < start || block >= end, `${this.name}: set aside twice`);
    }
    this.#excluded.set(key, { start, end });
  }

  unexclude(subnet: Cidr): void {
    assert.ok(this.#excluded.delete(`${subnet.address}/${subnet.prefix}`), `${this.name}: no such exclusion`);
  }

  #isExcluded(block: bigint): boolean {
    for (const { start, end } of this.#excluded.values()) if (start <= block && block < end) return true;
    return false;
  }

  /** A held block is held, also if it is excluded; a quarantined one is not yet reserved or free. */
  state(block: bigint, time: number): BlockState {
    if (this.#held.has(block)) return 'held';
    if (this.#isExcluded(block)) return 'excluded';
    const rest = this.#freed.get(block);
    if (rest !== undefined && rest.until > time) return 'quarantined';
    return this.#reserved.has(block) ? 'reserved' : 'free';
  }

  /** The holder of the block, or the agent that it is kept for. */
  owner(block: bigint): string | undefined {
    return this.#held.get(block) ?? this.#reserved.get(block);
  }

  /**
   * Counts by walking over the space from one block that something is known of to the next; what lies between is excluded
   * or free as its first block is.
   */
  count(time: number): PoolUsage {
    const counts = { held: 0n, reserved: 0n, excluded: 0n, quarantined: 0n, free: 0n };
    const ranges = [...this.#excluded.values()];
    const known = [...this.#held.keys(), ...this.#freed.keys(), ...this.#reserved.keys()];
    const edges = [
      this.first,
      ...known.flatMap((block) => [block, block + 1n]),
      ...ranges.flatMap(({ start, end }) => [start, end]),
    ].filter((edge) => edge >= this.first && edge < this.end);
    const walk = [...new Set(edges)].sort((a, b) => (a < b ? -1 : 1));
    for (const [at, start] of walk.entries()) counts[this.state(start, time)] += (walk[at + 1] ?? this.end) - start;
    return { ...counts, total: this.total };
  }
}

function lowest(blocks: readonly bigint[]): bigint | undefined {
  return blocks.reduce<bigint | undefined>(
    (least, block) => (least === undefined || block < least ? block : least),
    undefined,
  );
}
