/**
 * A plan as it must be after the commands that were applied to it, worked out beside it: what each answer and event says
 * is taken as what happened, is held against the rules, and must agree with what the plan then says of itself.
 */
import assert from 'node:assert/strict';
import { type Cidr, type Family, familyOf } from '#address/ip.js';
import { ipv4 } from '#address/ipv4.js';
import { ipv6 } from '#address/ipv6.js';
import type { AgentRecord } from '#ipam/agent-record.js';
import type { Action, Expire, Leave, Register, ReportStatus, ReturnOverlays } from '#ipam/commands/command.js';
import type { Ipam, Outcome } from '#ipam/ipam.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { NodeIp } from '#ipam/registration-fields.js';
import type { BlockState, PoolUsage } from '#ipam/space/usage.js';
import { BlockAccount, type Claimant, nodeKey } from '#ipam/testing/block-account.js';

/** In spaces of up to so many blocks each one is looked at after every command. */
const lookedAtMax = 4096n;

type Lease = Pick<AgentRecord, 'instanceId' | 'sequence' | 'epoch' | 'nodeIp' | 'reachable'>;

/** Commands that count only under the epoch of the lease. */
function isFenced(action: Action): action is Leave | Expire | ReportStatus | ReturnOverlays {
  return ['leave', 'expire', 'report-status', 'return-overlays'].includes(action.kind);
}

export class PlanAccount {
  readonly #vtep: BlockAccount;
  #quarantineMs: number;
  readonly #overlays = new Map<string, { readonly overlay: Overlay; readonly spaces: readonly BlockAccount[] }>();
  readonly #leases = new Map<string, Lease>();
  #adoption = false;
  /** What the commands have brought about, so that a spec can tell whether they come by everything. */
  readonly seen = new Set<string>();

  constructor(settings: Pick<NetworkSettings, 'vtepSubnet' | 'quarantineMs'>, overlays: readonly Overlay[]) {
    this.#vtep = new BlockAccount(undefined, settings.vtepSubnet, 32);
    this.#quarantineMs = settings.quarantineMs;
    for (const overlay of overlays) this.#putOverlay(overlay);
  }

  /** Takes in what came of a command. */
  take(action: Action, { result, events }: Outcome, time: number): void {
    this.#checkFencing(action, result);
    if (result.kind === 'refused') {
      if (action.kind !== 'register' || result.code !== 'resource-exhausted') return;
      this.#vtep.checkExhausted(claimantOf(action), time);
      this.seen.add('exhausted vtep');
      return;
    }
    if (action.kind === 'register' && result.kind === 'registered') this.#checkLet(action, result.agent.record, time);
    // What the old one held before the events is kept for the new one after them.
    if (action.kind === 'replace-agent') {
      for (const space of this.#spaces) space.reserveHeld(action.agentId, action.successor);
      this.seen.add('replaced');
    }
    for (const event of events) {
      if (event.kind === 'network-changed') {
        this.#vtep.span(event.network.vtepSubnet);
        this.#quarantineMs = event.network.quarantineMs;
      } else if (event.kind === 'overlay-changed') this.#putOverlay(event.overlay);
      else if (event.kind === 'overlay-removed') this.#overlays.delete(event.name);
      else if (event.kind === 'agent-removed') this.#settle(event.agentId, undefined, time);
      else this.#settle(event.agent.record.agentId, event.agent.record, time);
    }
    this.#setAside(action);
    if (action.kind === 'begin-adoption') this.#adoption = true;
    if (action.kind === 'end-adoption') this.#adoption = false;
  }

  #putOverlay(overlay: Overlay): void {
    const before = this.#overlays.get(overlay.name)?.spaces ?? [];
    const spaces = [overlay.v4, overlay.v6].flatMap((part) => {
      if (part === undefined) return [];
      const old = before.find(({ family }) => family === familyOf(part.subnet.address));
      old?.span(part.subnet);
      return [old ?? new BlockAccount(overlay.name, part.subnet, part.prefix)];
    });
    this.#overlays.set(overlay.name, { overlay, spaces });
  }

  get #spaces(): readonly BlockAccount[] {
    return [this.#vtep, ...[...this.#overlays.values()].flatMap(({ spaces }) => spaces)];
  }

  #space(overlay: string | undefined, family: Family): BlockAccount {
    const space = this.#spaces.find((other) => other.overlay === overlay && other.family === family);
    assert.ok(space, `something was done in IPv${family} of ${overlay}, which is not there`);
    return space;
  }

  /** A command of another epoch, or a request older than one that was answered, changes nothing (rule 3). */
  #checkFencing(action: Action, result: Outcome['result']): void {
    if (isFenced(action)) {
      if (this.#leases.get(action.agentId)?.epoch === action.epoch) return;
      assert.ok(result.kind === 'refused' || !result.changed, `${action.kind} of a stale epoch counted`);
      this.seen.add(`fenced ${action.kind}`);
    }
    if (action.kind !== 'register') return;
    const lease = this.#leases.get(action.agentId);
    if (lease?.instanceId !== action.instanceId || action.sequence >= lease.sequence) return;
    assert.equal(result.kind, 'refused', 'a late request was answered');
    this.seen.add('fenced register');
  }

  /** Compares an agent's allocation, and the problems that it was sent, with the blocks as they were before. */
  #checkLet(action: Register, record: AgentRecord, time: number): void {
    const { agentId } = record;
    const claimant = claimantOf(action);
    for (const space of this.#spaces) {
      const block = blockIn(space, record);
      if (block !== undefined && block !== space.heldBy(agentId)) {
        space.checkGiven(block, claimant, time, this.#adoption);
        const state = space.state(block, time);
        this.seen.add(`gave ${state}${space.owner(block) === claimant.node ? ' for a node' : ''}`);
      }
      const problem = record.problems.find((one) => one.overlay === space.overlay && one.family === space.family);
      if (problem?.reason !== 'exhausted') continue;
      space.checkExhausted(claimant, time);
      this.seen.add('exhausted overlay');
    }
    if (!action.networkConfig.allocateSubnet) return;
    for (const { overlay, spaces } of this.#overlays.values()) {
      if (!overlay.enabled || record.problems.some((problem) => problem.overlay === overlay.name)) continue;
      for (const space of spaces) {
        if (space.family === 6 && !action.networkConfig.enableIpv6) continue;
        assert.ok(
          blockIn(space, record) !== undefined,
          `${agentId} got nothing of ${space.name} and no problem was reported`,
        );
      }
    }
  }

  #settle(agentId: string, record: AgentRecord | undefined, time: number): void {
    for (const space of this.#spaces) {
      space.settle(agentId, record && blockIn(space, record), time + this.#quarantineMs);
    }
    if (record === undefined) this.#leases.delete(agentId);
    else this.#leases.set(agentId, record);
  }

  #reachedAt(nodeIp: NodeIp): string | undefined {
    return [...this.#leases].find(([, lease]) => lease.reachable && lease.nodeIp === nodeIp)?.[0];
  }

  #setAside(action: Action): void {
    const at = ({ overlay, subnet }: { readonly overlay: string | undefined; readonly subnet: Cidr }) =>
      this.#space(overlay, familyOf(subnet.address));
    if (action.kind === 'reserve') {
      const { subnet, agentId, nodeIp } = action;
      if (nodeIp === undefined) at(action).reserve(subnet, agentId, agentId);
      else at(action).reserve(subnet, nodeKey(nodeIp), this.#reachedAt(nodeIp));
    }
    if (action.kind === 'unreserve') at(action).unreserve(action.subnet);
    if (action.kind === 'exclude') at(action).exclude(action.subnet);
    if (action.kind === 'unexclude') at(action).unexclude(action.subnet);
  }

  /** Compares with what a replica says: the five counts of every space, and in small ones every block. */
  compare(ipam: Ipam, time: number): void {
    const usage = ipam.usage(time);
    assert.ok(usage);
    const told = new Map<string, PoolUsage | undefined>([['vtep IPv4', usage.vtep]]);
    for (const { overlay, v4, v6 } of usage.overlays) {
      if (v4 !== undefined) told.set(`${overlay.name} IPv4`, v4);
      if (v6 !== undefined) told.set(`${overlay.name} IPv6`, v6);
    }
    assert.equal(told.size, this.#spaces.length);
    for (const space of this.#spaces) {
      const counted = space.count(time);
      const { held, reserved, excluded, quarantined, free, total } = counted;
      assert.equal(held + reserved + excluded + quarantined + free, total);
      assert.deepEqual(told.get(space.name), counted, `${space.name} is not as it was counted`);
      if (total <= lookedAtMax) this.#compareBlocks(ipam, space, counted, time);
    }
  }

  #compareBlocks(ipam: Ipam, space: BlockAccount, counted: PoolUsage, time: number): void {
    const states: Record<BlockState, bigint> = { held: 0n, excluded: 0n, quarantined: 0n, reserved: 0n, free: 0n };
    for (let block = space.first; block < space.end; block += 1n) {
      const address = space.address(block);
      const found = ipam.lookup(space.family === 4 ? ipv4(Number(address)) : ipv6(address), time);
      assert.ok(found.kind === 'vtep' || found.kind === 'overlay');
      const state = space.state(block, time);
      states[state] += 1n;
      const owner = found.agentId ?? (found.reservedNode === undefined ? undefined : nodeKey(found.reservedNode));
      if (found.state !== state || owner !== space.owner(block)) {
        const is = `${found.state} (${owner ?? 'no agent'})`;
        assert.fail(`${space.name}: block ${block} is ${is}, not ${state} (${space.owner(block) ?? 'no agent'})`);
      }
    }
    assert.deepEqual({ ...states, total: space.total }, counted);
    for (const [state, count] of Object.entries(states)) {
      if (count > 0n) this.seen.add(`${state} IPv${space.family}`);
    }
  }
}

function claimantOf({ agentId, nodeIp }: Register): Claimant {
  return { agentId, node: nodeKey(nodeIp) };
}

function blockIn(space: BlockAccount, record: AgentRecord): bigint | undefined {
  if (space.overlay === undefined) return space.blockAt(record.vtepIp);
  const holding = record.holdings.find(({ overlay }) => overlay === space.overlay);
  const address = space.family === 4 ? holding?.block4 : holding?.block6;
  return address === undefined ? undefined : space.blockAt(address);
}
