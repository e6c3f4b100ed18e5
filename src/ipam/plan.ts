/**
 * The state of the address plan in memory: what the records say, and the indexes that follow from them. Knows how to take
 * in each record; which changes are right is decided in the files named after commands, and written by `PlanWriter`.
 */
import { type Cidr, containsIp, type Family, familyOf, formatCidr, type Ip } from '#address/ip.js';
import { SortedMap } from '#address/sorted-map.js';
import type { AgentRecord, DepartedRecord, Holding } from '#ipam/agent-record.js';
import { Branches } from '#ipam/branch.js';
import type { Meta } from '#ipam/codec/record.js';
import { RecordHash } from '#ipam/codec/record-hash.js';
import type { AgentId } from '#ipam/identity.js';
import { Interning } from '#ipam/interning.js';
import type { JoinToken } from '#ipam/join-token.js';
import type { Network, NetworkSettings, Overlay } from '#ipam/network.js';
import { assertInvariant } from '#ipam/plan-invariant.js';
import type { Revocation } from '#ipam/revocation.js';
import { blockOf, grownSpace, overlaySpace, type Space, vtepSpace } from '#ipam/space/space.js';
import type { Exclusion } from '#ipam/space/usage.js';
import type { AgentThen } from '#ipam/view/agent-view.js';
import { History } from '#ipam/view/history.js';

/** An overlay and the spaces of its families. */
export type OverlayEntry = {
  readonly overlay: Overlay;
  readonly v4: Space | undefined;
  readonly v6: Space | undefined;
};

/** A block with the space that it belongs to. */
export type PlacedBlock = { readonly space: Space; readonly block: bigint };

type Holder = { readonly vtepIp: AgentRecord['vtepIp']; readonly holdings: readonly Holding[] };
type RestEnd = { readonly until: number; readonly agentId: AgentId };

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

export class Plan {
  readonly hash = new RecordHash();
  readonly interning = new Interning();
  readonly history = new History();
  readonly branches = new Branches();
  meta: Meta = { revision: 0, adoption: false, adoptedAt: 0, epochBase: 0, adoptionReason: '' };
  /** Of `meta`, once it was written: every command replaces it. */
  metaBytes: Uint8Array | undefined;
  settings: NetworkSettings | undefined;
  /** The same object until settings or overlays change. */
  network: Network | undefined;
  vtep: Space | undefined;
  readonly overlays = new Map<string, OverlayEntry>();
  /** In ascending order of name. */
  overlayEntries: readonly OverlayEntry[] = [];
  /** The VTEP subnet first, then by overlay and family. */
  spaces: readonly Space[] = [];
  readonly removed = new SortedMap<string, true>(byText);
  readonly agents = new SortedMap<AgentId, AgentRecord>(byText);
  readonly departed = new Map<AgentId, DepartedRecord>();
  readonly departedByEnd = new SortedMap<RestEnd, true>((a, b) => a.until - b.until || byText(a.agentId, b.agentId));
  /** By space and network; see `exclusionKey`. */
  readonly exclusions = new SortedMap<string, Exclusion>(byText);
  /** By id. */
  readonly tokens = new SortedMap<string, JoinToken>(byText);
  /** By identity. */
  readonly revocations = new SortedMap<string, Revocation>(byText);
  revocationsChangedAt = 0;
  reservationCount = 0;
  /** Underlay address → the agent that is reached there. */
  readonly #nodes = new Map<Ip, AgentId>();
  /** Underlay address → the agents that departed from it and have not lost it since, in ascending order. */
  readonly #departedNodes = new Map<Ip, readonly AgentId[]>();
  /** How many agents said that their underlay address is of the family. */
  readonly #families = { 4: 0, 6: 0 };

  overlayList(): readonly Overlay[] {
    return this.overlayEntries.map(({ overlay }) => overlay);
  }

  /** The agent and the network as it is now. */
  asItIs(record: AgentRecord): AgentThen {
    assertInvariant(this.network !== undefined, 'there are agents but no network');
    return { record, network: this.network };
  }

  /** The space of an overlay (undefined: of the VTEP addresses) in a family. */
  space(overlay: string | undefined, family: Family): Space | undefined {
    if (overlay === undefined) return family === 4 ? this.vtep : undefined;
    const entry = this.overlays.get(overlay);
    return family === 4 ? entry?.v4 : entry?.v6;
  }

  /** The space whose subnet contains the address. */
  spaceAround(address: Ip): Space | undefined {
    for (const space of this.spaces) if (containsIp(space.subnet, address)) return space;
    return undefined;
  }

  /** The agent that is reached at this underlay address. */
  nodeHolder(address: Ip): AgentRecord | undefined {
    const agentId = this.#nodes.get(address);
    return agentId === undefined ? undefined : this.agents.get(agentId);
  }

  /**
   * The agents that departed from this underlay address and have not lost it since: those with quarantined blocks, and
   * some that are about to be forgotten.
   */
  departedFrom(address: Ip): readonly DepartedRecord[] {
    const agentIds = this.#departedNodes.get(address) ?? [];
    return agentIds.map((agentId) => this.departed.get(agentId)).filter((departed) => departed !== undefined);
  }

  /** How many agents, not counting this one, have an underlay address of the family. */
  othersOfFamily(family: Family, except: AgentRecord | undefined): number {
    const own = except !== undefined && familyOf(except.nodeIp) === family ? 1 : 0;
    return this.#families[family] - own;
  }

  /** Every block that someone holds, with its space: the VTEP address, then by overlay and family. */
  blocksOf(holder: Holder): readonly PlacedBlock[] {
    assertInvariant(this.vtep !== undefined, 'there are agents but no network');
    const blocks: PlacedBlock[] = [{ space: this.vtep, block: blockOf(this.vtep, holder.vtepIp) }];
    for (const { overlay, block4, block6 } of holder.holdings) {
      const entry = this.overlays.get(overlay);
      if (block4 !== undefined) blocks.push(placed(entry?.v4, block4));
      if (block6 !== undefined) blocks.push(placed(entry?.v6, block6));
    }
    return blocks;
  }

  setSettings(settings: NetworkSettings): void {
    this.settings = settings;
    this.vtep = this.vtep === undefined ? vtepSpace(settings.vtepSubnet) : grownSpace(this.vtep, settings.vtepSubnet);
    this.#listSpaces();
  }

  setOverlay(overlay: Overlay): void {
    const { name, v4, v6 } = overlay;
    const old = this.overlays.get(name);
    this.overlays.set(name, {
      overlay,
      v4: v4 && (old?.v4 ? grownSpace(old.v4, v4.subnet) : overlaySpace(name, v4.subnet, v4.prefix)),
      v6: v6 && (old?.v6 ? grownSpace(old.v6, v6.subnet) : overlaySpace(name, v6.subnet, v6.prefix)),
    });
    this.#listSpaces();
  }

  deleteOverlay(name: string): void {
    this.overlays.delete(name);
    this.#listSpaces();
  }

  #listSpaces(): void {
    this.overlayEntries = [...this.overlays.values()].sort((a, b) => byText(a.overlay.name, b.overlay.name));
    const spaces = [this.vtep, ...this.overlayEntries.flatMap(({ v4, v6 }) => [v4, v6])];
    this.spaces = spaces.filter((space) => space !== undefined);
    this.network = this.settings && { ...this.settings, overlays: this.overlayList() };
  }

  /** Takes in one agent's new state; its blocks are the pools' business. */
  setAgent(old: AgentRecord | undefined, next: AgentRecord | undefined): void {
    if (old !== undefined) {
      this.#families[familyOf(old.nodeIp)] -= 1;
      if (old.reachable) this.#nodes.delete(old.nodeIp);
      if (next === undefined) this.agents.delete(old.agentId);
    }
    if (next === undefined) return;
    this.#families[familyOf(next.nodeIp)] += 1;
    if (next.reachable) {
      assertInvariant(!this.#nodes.has(next.nodeIp), 'a node address is in two hands');
      this.#nodes.set(next.nodeIp, next.agentId);
    }
    this.agents.set(next.agentId, next);
  }

  setDeparted(old: DepartedRecord | undefined, next: DepartedRecord | undefined): void {
    if (old !== undefined) {
      this.departed.delete(old.agentId);
      this.departedByEnd.delete({ until: old.until, agentId: old.agentId });
      const others = this.#departedNodes.get(old.nodeIp)?.filter((agentId) => agentId !== old.agentId);
      if (others?.length) this.#departedNodes.set(old.nodeIp, others);
      else this.#departedNodes.delete(old.nodeIp);
    }
    if (next === undefined) return;
    this.departed.set(next.agentId, next);
    this.departedByEnd.set({ until: next.until, agentId: next.agentId }, true);
    if (next.nodeIpLost) return;
    const others = this.#departedNodes.get(next.nodeIp) ?? [];
    this.#departedNodes.set(next.nodeIp, [...others, next.agentId].sort(byText));
  }
}

/** Names an exclusion within the plan. */
export function exclusionKey(overlay: string | undefined, subnet: Cidr): string {
  return `${overlay ?? ''} ${formatCidr(subnet)}`;
}

function placed(space: Space | undefined, address: Ip): PlacedBlock {
  assertInvariant(space !== undefined, 'a block of an overlay that is not there is held');
  return { space, block: blockOf(space, address) };
}
