/**
 * A bounded number of places that callers take, shared out by the network that they come from (`client-network.ts`): once
 * all are taken, the network that holds most of them makes room for one that holds fewer.
 */

export type SharesOptions = {
  /** Places in all. */
  readonly max: number;
  /**
   * A network makes room for one that holds so many fewer. 1: also a network that holds one place, for one that holds none;
   * 2: never.
   */
  readonly lead: 1 | 2;
  /** Which of its holders loses its place. */
  readonly loses: 'oldest' | 'newest';
};

/** How a place was found: `instead` of another holder, whose network held so many. */
export type Entered<Holder> =
  | { readonly kind: 'taken'; readonly instead?: Displaced<Holder> }
  | { readonly kind: 'full'; readonly held: number };

export type Displaced<Holder> = { readonly holder: Holder; readonly network: string; readonly held: number };

export class NetworkShares<Holder> {
  readonly #options: SharesOptions;
  /** By network, that which began to hold a place first before others; each with its holders, the oldest first. */
  readonly #networks = new Map<string, Set<Holder>>();
  readonly #networkOf = new Map<Holder, string>();

  constructor(options: SharesOptions) {
    this.#options = options;
  }

  /** Places that are taken. */
  get size(): number {
    return this.#networkOf.size;
  }

  /** Places that the network holds. */
  heldBy(network: string): number {
    return this.#networks.get(network)?.size ?? 0;
  }

  has(holder: Holder): boolean {
    return this.#networkOf.has(holder);
  }

  /** Takes a place, unless there is none to be had. A holder that is displaced has left. */
  enter(holder: Holder, network: string): Entered<Holder> {
    const instead = this.size < this.#options.max ? undefined : this.#displaced(network);
    if (this.size >= this.#options.max && instead === undefined) return { kind: 'full', held: this.heldBy(network) };
    if (instead !== undefined) this.leave(instead.holder);
    const holders = this.#networks.get(network) ?? new Set();
    this.#networks.set(network, holders.add(holder));
    this.#networkOf.set(holder, network);
    return instead === undefined ? { kind: 'taken' } : { kind: 'taken', instead };
  }

  /** False: it held no place. */
  leave(holder: Holder): boolean {
    const network = this.#networkOf.get(holder);
    if (network === undefined) return false;
    this.#networkOf.delete(holder);
    const holders = this.#networks.get(network);
    holders?.delete(holder);
    if (holders?.size === 0) this.#networks.delete(network);
    return true;
  }

  /** Of the network that holds most. Undefined: it holds too few to make room for `network`. */
  #displaced(network: string): Displaced<Holder> | undefined {
    let most: readonly [string, Set<Holder>] | undefined;
    for (const each of this.#networks) if (most === undefined || each[1].size > most[1].size) most = each;
    if (most === undefined) return undefined;
    const [of, holders] = most;
    const { lead, loses } = this.#options;
    if (holders.size < this.heldBy(network) + lead) return undefined;
    const inOrder = [...holders];
    const holder = loses === 'oldest' ? inOrder[0] : inOrder.at(-1);
    return holder === undefined ? undefined : { holder, network: of, held: holders.size };
  }
}
