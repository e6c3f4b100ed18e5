/**
 * The plan as the page knows it: agents and network from the watch, and what is set aside from `/ui/blocks`. Messages of a
 * snapshot are collected and take the place of everything at its end, as a watcher has to do.
 */
import { addressNumber, type BlockSpace, blockAt, blockSpace, type MapFamily } from '#page/plan/subnet.js';
import type { Chunk, MapAgent, MapNetwork, MapOverlay, WatchMessage } from '#page/plan/wire.js';

/** In the order of their letters in the legend. */
export const cellStates = ['free', 'held', 'reserved', 'excluded', 'quarantined'] as const;
export type CellState = (typeof cellStates)[number];

/** As `/ui/blocks` gives them: first block, how many, and `e`, `q` or `r`. */
export type AsideRun = readonly [first: number, count: number, state: string];
type Aside = Exclude<CellState, 'free' | 'held'>;

const asideStates: Readonly<Record<string, Aside>> = { e: 'excluded', q: 'quarantined', r: 'reserved' };

/** One overlay in one family. */
export class BlockMap {
  readonly overlay: string;
  readonly family: MapFamily;
  readonly space: BlockSpace;
  /** By block: the id of the agent that holds it. */
  readonly holders = new Map<number, string>();
  #aside: readonly AsideRun[] = [];
  #asideAt: Int32Array = new Int32Array(0);

  constructor(overlay: string, family: MapFamily, space: BlockSpace) {
    this.overlay = overlay;
    this.family = family;
    this.space = space;
  }

  get aside(): readonly AsideRun[] {
    return this.#aside;
  }

  /** Runs in any order; no two overlap. */
  setAside(runs: readonly AsideRun[]): void {
    this.#aside = [...runs].sort(([a], [b]) => a - b);
    this.#asideAt = Int32Array.from(this.#aside, ([first]) => Math.min(first, 2 ** 31 - 1));
  }

  stateOf(block: number): CellState {
    if (this.holders.has(block)) return 'held';
    let [low, high] = [0, this.#asideAt.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#asideAt[middle] ?? 0) <= block) low = middle + 1;
      else high = middle;
    }
    const run = this.#aside[low - 1];
    return run !== undefined && block < run[0] + run[1] ? (asideStates[run[2]] ?? 'free') : 'free';
  }

  /** Each run that is not free, held ones last: they cover an exclusion. */
  *runs(): Generator<readonly [first: number, count: number, state: CellState], void, undefined> {
    const { count } = this.space;
    for (const [first, many, letter] of this.#aside) {
      const state = asideStates[letter];
      if (state !== undefined && first < count) yield [first, Math.min(many, count - first), state];
    }
    for (const block of this.holders.keys()) yield [block, 1, 'held'];
  }
}

export class PlanModel {
  agents = new Map<string, MapAgent>();
  network: MapNetwork | undefined;
  maps: readonly BlockMap[] = [];
  clusterId = '';
  revision = 0;
  branch = '';
  /** A snapshot was taken over. */
  isLoaded = false;
  #collected: { readonly clusterId: string; network: MapNetwork | undefined; readonly peers: MapAgent[] } | undefined;

  /** Agents that a snapshot on its way has brought so far. */
  get arriving(): number {
    return this.#collected?.peers.length ?? 0;
  }

  /** True: something is to be shown anew. `inflated` is the content of a compressed chunk. */
  take(message: WatchMessage, inflated?: Chunk): boolean {
    switch (message.kind) {
      case 'begin':
        this.#collected = { clusterId: message.clusterId, network: undefined, peers: [] };
        return false;
      case 'chunk':
        this.#collect(message.chunk);
        return true;
      case 'deflated':
        if (inflated !== undefined) this.#collect(inflated);
        return true;
      case 'end':
        this.#replace();
        this.#moveTo(message);
        return true;
      case 'changes':
        for (const change of message.changes) {
          if (change.kind === 'network') this.#setNetwork(change.network);
          else if (change.kind === 'removed') this.#remove(change.agentId);
          else this.#add(change.peer);
        }
        this.#moveTo(message);
        return true;
      case 'progress':
        this.#moveTo(message);
        return false;
      case 'unknown':
        return false;
    }
  }

  map(overlay: string, family: MapFamily): BlockMap | undefined {
    return this.maps.find((each) => each.overlay === overlay && each.family === family);
  }

  #moveTo({ revision, branch }: { readonly revision: number; readonly branch: string }): void {
    this.revision = revision;
    this.branch = branch;
  }

  #collect({ network, peers }: Chunk): void {
    if (this.#collected === undefined) return;
    this.#collected.network ??= network;
    for (const peer of peers) this.#collected.peers.push(peer);
  }

  #replace(): void {
    if (this.#collected === undefined) return;
    const { clusterId, network, peers } = this.#collected;
    this.#collected = undefined;
    this.clusterId = clusterId;
    this.agents = new Map();
    this.maps = [];
    this.isLoaded = true;
    if (network !== undefined) this.#setNetwork(network);
    for (const peer of peers) this.#add(peer);
  }

  /** Maps that stay the same space keep what they know. */
  #setNetwork(network: MapNetwork): void {
    this.network = network;
    const kept = this.maps;
    this.maps = network.overlays
      .flatMap((overlay) => mapsOf(overlay))
      .map((made) => {
        const same = kept.find((old) => old.overlay === made.overlay && old.family === made.family);
        return same !== undefined && sameSpace(same.space, made.space) ? same : made;
      });
    for (const made of this.maps) {
      if (kept.includes(made)) continue;
      for (const peer of this.agents.values()) this.#hold(peer, made, true);
    }
  }

  #add(peer: MapAgent): void {
    this.#remove(peer.agentId);
    this.agents.set(peer.agentId, peer);
    for (const map of this.maps) this.#hold(peer, map, true);
  }

  #remove(agentId: string): void {
    const peer = this.agents.get(agentId);
    if (peer === undefined) return;
    for (const map of this.maps) this.#hold(peer, map, false);
    this.agents.delete(agentId);
  }

  #hold(peer: MapAgent, map: BlockMap, holds: boolean): void {
    for (const { name, subnet, subnet6 } of peer.overlays) {
      const bytes = map.family === 'v4' ? subnet : subnet6;
      if (name !== map.overlay || bytes.length === 0) continue;
      const block = blockAt(map.space, addressNumber(bytes, bytes.length - 1));
      if (block === undefined) continue;
      if (holds) map.holders.set(block, peer.agentId);
      else if (map.holders.get(block) === peer.agentId) map.holders.delete(block);
    }
  }
}

function mapsOf({ name, subnet, prefix, subnet6, prefix6 }: MapOverlay): readonly BlockMap[] {
  return [
    ...(subnet === '' ? [] : [new BlockMap(name, 'v4', blockSpace(subnet, prefix))]),
    ...(subnet6 === '' ? [] : [new BlockMap(name, 'v6', blockSpace(subnet6, prefix6))]),
  ];
}

function sameSpace(a: BlockSpace, b: BlockSpace): boolean {
  return a.prefix === b.prefix && a.subnet.prefix === b.subnet.prefix && a.subnet.address === b.subnet.address;
}
