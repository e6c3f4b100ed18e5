/**
 * Compares what agents and watchers have seen with this plan's history. What this log can't have produced proves that
 * the plan went back: stores that were put back from a copy. Reads the plan only; the leader proposes what follows from
 * it.
 */
import { cidr4 } from '#address/cidr4.js';
import type { AgentRecord } from '#ipam/agent-record.js';
import { parseBranch } from '#ipam/branch.js';
import type { HeldLease } from '#ipam/commands/command.js';
import type { AgentId } from '#ipam/identity.js';
import type { PlacedBlock, Plan } from '#ipam/plan.js';
import { formatBlock } from '#ipam/plan-writer.js';
import { exactBlock, type Space } from '#ipam/space/space.js';
import type { HistoryWord } from '#ipam/view/history.js';

/** What a caller has seen of a plan of this cluster id and incarnation. */
export type Testimony = {
  /** Undefined: a watcher. */
  readonly agentId: AgentId | undefined;
  /** Of its lease; 0: absent. */
  readonly epoch: number;
  /** A revision, and its branch; 0 and empty: absent. */
  readonly revision: number;
  readonly branch: string;
  /** What it runs on. */
  readonly held: HeldLease | undefined;
  /** Without `agentId`: the agent that watches, for the reason; undefined: it is not known. */
  readonly watcher?: AgentId | undefined;
};

/** `claimedEpoch` is 0 when the proof is no epoch. */
export type Proof = { readonly reason: string; readonly claimedEpoch: number };

/**
 * `confirmed`: the log granted it, or grants nothing by it: the record counts. `unconfirmed`: nothing shows that its lease
 * has ended, so what it runs on must not be replaced by something fresh.
 */
export type HeldStanding = 'confirmed' | 'unconfirmed';

export function proofIn(plan: Plan, testimony: Testimony, lastIndex: number): Proof | undefined {
  return (
    byEpoch(plan, testimony, lastIndex) ??
    byRevision(plan, testimony, lastIndex) ??
    byBranch(plan, testimony) ??
    byBlocks(plan, testimony)
  );
}

function byEpoch(plan: Plan, { agentId, epoch, watcher }: Testimony, lastIndex: number): Proof | undefined {
  const { epochBase } = plan.meta;
  const last = epochBase + lastIndex;
  if (epoch > last) {
    return {
      reason: `${who(agentId, watcher)} has epoch ${epoch}, and ${last} is the last that can have been granted`,
      claimedEpoch: epoch,
    };
  }
  if (agentId === undefined || epoch < epochBase) return undefined;
  const record = plan.agents.get(agentId) ?? plan.departed.get(agentId);
  if (record === undefined || epoch <= record.epoch) return undefined;
  return {
    reason: `${who(agentId)} has epoch ${epoch}, and ${record.epoch} is the last on record that was granted to it`,
    claimedEpoch: epoch,
  };
}

function byRevision(
  plan: Plan,
  { agentId, revision, branch, watcher }: Testimony,
  lastIndex: number,
): Proof | undefined {
  if (revision <= lastIndex || isKnownLost(plan, branch)) return undefined;
  const reason = `${who(agentId, watcher)} has seen revision ${revision}, and the log ends at ${lastIndex}`;
  return { reason, claimedEpoch: 0 };
}

function byBranch(plan: Plan, { agentId, revision, branch, epoch, watcher }: Testimony): Proof | undefined {
  const told = parseBranch(branch);
  if (told === undefined || isKnownLost(plan, branch)) return undefined;
  const here = plan.branches.at(revision);
  // Older than the branches on record: no proof either way.
  if (here === undefined) return undefined;
  if (here.index === told.index && here.value === told.value) return undefined;
  const other = `branch ${told.index}.${told.value} of the history`;
  const own = `${here.index}.${here.value}`;
  return {
    reason: `${who(agentId, watcher)} has seen revision ${revision} on ${other}, and this plan has branch ${own} there`,
    claimedEpoch: epoch,
  };
}

/** A branch from before the last proof: what was lost with it has been dealt with. */
function isKnownLost(plan: Plan, branch: string): boolean {
  const told = parseBranch(branch);
  return told !== undefined && told.epochBase < plan.meta.epochBase;
}

/** A block that the log has never granted, or granted to another one that has held it since before that epoch. */
function byBlocks(plan: Plan, { agentId, epoch, held }: Testimony): Proof | undefined {
  const { epochBase, adoption } = plan.meta;
  if (agentId === undefined || held === undefined || adoption || epoch === 0 || epoch < epochBase) return undefined;
  const granted = epoch - epochBase;
  for (const placed of blocksIn(plan, held)) {
    const { space, block } = placed;
    const holder = space.pool.holder(block);
    if (holder === agentId) continue;
    const what = `${who(agentId)} runs on ${formatBlock(placed)} by epoch ${epoch}`;
    if (holder === undefined && !space.pool.wasUsed(block) && !wasForgotten(plan, space, granted)) {
      return { reason: `${what}, and this plan has never granted it`, claimedEpoch: epoch };
    }
    if (holder === undefined) continue;
    const since = heldSince(plan, holder, placed);
    if (since !== undefined && since < granted) {
      return { reason: `${what}, and agent "${holder}" has held it since before that`, claimedEpoch: epoch };
    }
  }
  return undefined;
}

/**
 * Whether it is unknown which blocks of the space were granted at that index: an overlay of the name was removed since.
 */
function wasForgotten(plan: Plan, { overlay }: Space, granted: number): boolean {
  if (overlay === undefined) return false;
  if (granted < plan.history.wholeSince) return true;
  return lastOf(plan, ['remove-overlay'], (subjects) => subjects.includes(overlay)) >= granted;
}

/** The index at which the block was granted to its present holder; undefined: the history does not go back so far. */
function heldSince(plan: Plan, holder: AgentId, placed: PlacedBlock): number | undefined {
  const text = formatBlock(placed);
  const found = plan.history
    .find({ after: 0, limit: Number.MAX_SAFE_INTEGER, agentId: holder, what: new Set(['register']) })
    .findLast(({ subjects }) => subjects.includes(text));
  return found?.revision;
}

function lastOf(plan: Plan, what: readonly HistoryWord[], test: (subjects: readonly string[]) => boolean): number {
  const found = plan.history.find({ after: 0, limit: Number.MAX_SAFE_INTEGER, what: new Set(what) });
  return found.findLast(({ subjects, who: name }) => test([...subjects, name]))?.revision ?? 0;
}

export function standingOf(plan: Plan, { agentId, epoch, revision, branch, held }: Testimony): HeldStanding {
  if (agentId === undefined || held === undefined) return 'confirmed';
  const record = plan.agents.get(agentId);
  const foreign = blocksIn(plan, held).filter(({ space, block }) => space.pool.holder(block) !== agentId);
  if (foreign.length === 0) return 'confirmed';
  // It was refused the blocks that it runs on, and says so again.
  if (record?.problems.some(({ reason }) => reason === 'held-by-another') === true) return 'unconfirmed';
  const here = plan.branches.at(revision);
  const told = parseBranch(branch);
  const onBranch = told !== undefined && told.index === here?.index && told.value === here.value;
  if (onBranch || endedHere(plan, agentId, epoch)) return 'confirmed';
  return 'unconfirmed';
}

/** Whether this log has ended a lease of the agent since that epoch. */
function endedHere(plan: Plan, agentId: AgentId, epoch: number): boolean {
  const { epochBase } = plan.meta;
  const departed: Pick<AgentRecord, 'epoch'> | undefined = plan.departed.get(agentId);
  if (epoch >= epochBase && departed !== undefined && epoch <= departed.epoch) return true;
  if (epoch < epochBase) return false;
  const ended: readonly HistoryWord[] = ['leave', 'release', 'expire', 'replace-agent'];
  return lastOf(plan, ended, (subjects) => subjects.includes(agentId)) >= Math.max(1, epoch - epochBase);
}

export function hasBlocksOf(plan: Plan, held: HeldLease): boolean {
  return blocksIn(plan, held).length > 0;
}

/** The blocks of this network that the agent says it runs on. */
function blocksIn(plan: Plan, { vtepIp, subnets }: HeldLease): readonly PlacedBlock[] {
  const blocks: PlacedBlock[] = [];
  const add = (space: Space | undefined, network: Parameters<typeof exactBlock>[1] | undefined): void => {
    const block = space === undefined || network === undefined ? undefined : exactBlock(space, network);
    if (space !== undefined && block !== undefined) blocks.push({ space, block });
  };
  add(plan.vtep, vtepIp === undefined ? undefined : cidr4(vtepIp, 32));
  for (const { overlay, subnet, subnet6 } of subnets) {
    add(plan.space(overlay, 4), subnet);
    add(plan.space(overlay, 6), subnet6);
  }
  return blocks;
}

function who(agentId: AgentId | undefined, watcher?: AgentId): string {
  if (agentId !== undefined) return `agent "${agentId}"`;
  return watcher === undefined ? 'a watcher' : `the watch of agent "${watcher}"`;
}
