/**
 * Reads the packet filters of this host: those of iptables that the site uses, those of the other iptables, and
 * everything in nftables, where firewalld and others keep tables that iptables does not show. Changes nothing.
 */
import { readFile } from 'node:fs/promises';
import type { Family } from '#address/ip.js';
import type { FilterTable, ObservedFilters } from '#host/filter/filter-table.js';
import { iptablesTables } from '#host/filter/iptables-rules.js';
import { nftTables } from '#host/filter/nft-rules.js';
import type { IptablesFlavour } from '#host/input.js';
import { iptablesCommand, type SavedTables, saveTables, traitsOf } from '#host/observe/observe-firewall.js';
import type { Readable } from '#host/observe/observed.js';
import { type NftRuleset, readNft } from '#host/tools/nft-ruleset.js';
import type { Runner } from '#host/tools/runner.js';

export type FilterReaderOptions = {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Reads a file of the host's /proc. */
  readonly readText: (path: string) => Promise<string>;
};

/** Reading nftables may take one part in this many of the time: some hosts have 100,000 rules. */
const readShare = 20;

export class FilterReader {
  readonly #run: Runner;
  readonly #now: () => number;
  readonly #readText: (path: string) => Promise<string>;
  #nft: Readable<NftRuleset> = { kind: 'unasked' };
  #nextAtMs = Number.NEGATIVE_INFINITY;

  constructor(run: Runner, { now, readText }: Partial<FilterReaderOptions> = {}) {
    this.#run = run;
    this.#now = now ?? (() => performance.now());
    this.#readText = readText ?? ((path) => readFile(path, 'utf8'));
  }

  /** `saves` is what the site's iptables prints. */
  async read(flavour: IptablesFlavour, saves: SavedTables): Promise<ObservedFilters> {
    const { isNft } = await traitsOf(this.#run, flavour);
    const other = isNft ? 'iptables-legacy' : 'iptables-nft';
    const [nft, otherSaves] = await Promise.all([this.#readNft(), this.#otherSaves(other)]);
    const own = tablesOf(saves, flavour);
    const others = tablesOf(otherSaves, other);
    const [ofNft, legacy] = isNft ? [own, others] : [others, own];
    const shown = nft.kind === 'read' ? nftTables(nft.value, ofNft) : ofNft;
    return { tables: [...legacy, ...shown], unread: nft.kind === 'unreadable' ? [nft.error] : [] };
  }

  async #readNft(): Promise<Readable<NftRuleset>> {
    const startMs = this.#now();
    if (startMs < this.#nextAtMs) return this.#nft;
    this.#nft = await readNft(this.#run);
    const endMs = this.#now();
    this.#nextAtMs = endMs + (endMs - startMs) * (readShare - 1);
    return this.#nft;
  }

  /** The other iptables is asked only where it has tables: asking the older kind could make them. */
  async #otherSaves(other: IptablesFlavour): Promise<SavedTables> {
    const unasked = { 4: { kind: 'unasked' }, 6: { kind: 'unasked' } } as const;
    if (other === 'iptables-legacy' && !(await this.#hasLegacyTables())) return unasked;
    return saveTables(this.#run, other);
  }

  async #hasLegacyTables(): Promise<boolean> {
    const names = ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'];
    // Not there: the kernel has no tables of that kind.
    const contents = await Promise.all(names.map((name) => this.#readText(name).catch(() => '')));
    return contents.some((content) => content.trim() !== '');
  }
}

function tablesOf(saves: SavedTables, flavour: IptablesFlavour): FilterTable[] {
  return ([4, 6] as const).flatMap((family: Family) => {
    const saved = saves[family];
    return saved.kind === 'read' ? iptablesTables(saved.value, iptablesCommand(flavour, family), family) : [];
  });
}
