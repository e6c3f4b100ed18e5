/**
 * The latest events, by revision, ready to be sent: each is encoded for a view when the first watcher of that view
 * needs it, and never again. A batch holds whole revisions only; watchers at the same place get the same batch. The
 * ring is bounded: a watcher before its base has to begin with a snapshot.
 */
import { deflateRawSync } from 'node:zlib';
import { toBuffer } from '#api/method.js';
import type { Event } from '#ipam/commands/event.js';
import type { AgentId } from '#ipam/identity.js';
import type { Network } from '#ipam/network.js';
import { viewAgent } from '#ipam/view/agent-view.js';
import type { PlanEncoding } from '#master/services/plan-encoding.js';
import { ByteStore } from '#master/watch/byte-store.js';
import { sublet } from '#proto/sublet.js';

const { Change, Changes, DeflatedChanges, WatchResponse } = sublet.v1;

export type EventRingOptions = {
  readonly encoding: PlanEncoding;
  /** Revisions kept. */
  readonly countMax: number;
  /** Bytes kept: those that are encoded, and an estimate for what they are made of. */
  readonly bytesMax: number;
  /** Bytes of one batch, unless a single revision has more. */
  readonly batchBytesMax: number;
  /** The branch of the history that a revision is of, as clients get it. */
  readonly branchAt: (revision: number) => string;
};

/** The events of one revision; `network` as it was right after it, if that has changed. */
export type Revision = {
  readonly revision: number;
  readonly events: readonly Event[];
  readonly network: Network | undefined;
  /** TTL of leases at this revision. */
  readonly reclaimMs: number | undefined;
};

/** Everything from after a watcher's place up to `upTo`; `bytes` undefined: none of it concerns the watcher. */
export type Batch = { readonly bytes: Buffer | undefined; readonly upTo: number };

/**
 * What a watcher gets of a change. `all`: agents as they are on record. `peers`: the same, without what concerns no peer.
 * `short`: peers in their short form, and compressed where they are many.
 */
export type WatchView = 'all' | 'peers' | 'short';

type Slot = {
  readonly revision: number;
  readonly of: Revision;
  /** Encoded `Change`s, by the view that they were first wanted for. */
  readonly encoded: Map<WatchView, readonly Uint8Array[]>;
  bytes: number;
};

type Touched = { readonly agents: readonly AgentId[]; readonly network: boolean };

/** What one event takes beside its encoded forms. */
const estimatedBytes = 1024;
/** What a batch that is kept takes beside its bytes. */
const batchCost = 256;
/** Shorter batches are not worth the time that inflating them takes. */
const deflateBytesMin = 256;
/** What the API allows a compressed batch to be before it is compressed. */
const deflateBytesMax = 1024 * 1024;

export class EventRing {
  readonly #options: EventRingOptions;
  /** Ascending by revision; the first `#start` are given up. */
  #slots: Slot[] = [];
  #start = 0;
  #bytes = 0;
  #base = 0;
  #head = 0;
  #batches = new Map<string, Batch>();
  #batchBytes = 0;
  readonly #store = new ByteStore();

  constructor(options: EventRingOptions) {
    this.#options = options;
  }

  /** A watcher that has seen this revision, or a later one, can go on from the ring. */
  get base(): number {
    return this.#base;
  }

  /** The last index that is known to be applied, whether it changed anything or not. */
  get head(): number {
    return this.#head;
  }

  get count(): number {
    return this.#slots.length - this.#start;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Forgets everything: the state was replaced by one whose last change was at `base`, applied up to `head`. */
  reset(base: number, head: number): void {
    this.#slots = [];
    this.#start = 0;
    this.#bytes = 0;
    this.#base = base;
    this.#head = Math.max(base, head);
    this.#forgetBatches();
  }

  /** The command at this index was applied, and changed nothing. */
  pass(index: number): void {
    this.#head = index;
    this.#forgetBatches();
  }

  append(revision: Revision): void {
    if (revision.revision <= this.#head) {
      throw new RangeError(`revision ${revision.revision} after ${this.#head}: the log goes forward only`);
    }
    const bytes = revision.events.length * estimatedBytes;
    this.#slots.push({ revision: revision.revision, of: revision, encoded: new Map(), bytes });
    this.#head = revision.revision;
    this.#bytes += bytes;
    this.#forgetBatches();
    this.#trim();
  }

  /** What comes after `place`, which is not before the base; undefined: nothing does. */
  after(place: number, view: WatchView): Batch | undefined {
    if (place < this.#base) throw new RangeError(`place ${place} is before the ring's base ${this.#base}`);
    if (place >= this.#head) return undefined;
    const key = `${place} ${view}`;
    const known = this.#batches.get(key);
    if (known !== undefined) return known;
    const batch = this.#makeBatch(place, view);
    // Watchers that begin at many places have one made for each.
    if (this.#batchBytes > this.#options.bytesMax) this.#forgetBatches();
    this.#batchBytes += batchCost + (batch.bytes?.length ?? 0);
    this.#batches.set(key, batch);
    return batch;
  }

  /** Bytes of the batches that are kept for the next watcher at the same place. */
  get batchBytes(): number {
    return this.#batchBytes;
  }

  #forgetBatches(): void {
    if (this.#batches.size === 0) return;
    this.#batches.clear();
    this.#batchBytes = 0;
  }

  /** Bytes of the events after `place`, encoded or estimated. */
  bytesAfter(place: number): number {
    let bytes = 0;
    for (let at = this.#firstAfter(place); at < this.#slots.length; at++) bytes += this.#slots[at]?.bytes ?? 0;
    return bytes;
  }

  /** What the events after `place` concern: these agents, and whether what all of them share. */
  touchedAfter(place: number): { readonly agents: ReadonlySet<AgentId>; readonly network: boolean } {
    const slots = this.#slots.slice(this.#firstAfter(place));
    const touches = slots.map(({ of }) => touched(of));
    return {
      agents: new Set(touches.flatMap(({ agents }) => agents)),
      network: touches.some(({ network }) => network),
    };
  }

  #makeBatch(place: number, view: WatchView): Batch {
    const changes: Uint8Array[] = [];
    let bytes = 0;
    let upTo = place;
    let at = this.#firstAfter(place);
    for (; at < this.#slots.length; at++) {
      const slot = this.#slots[at];
      if (slot === undefined) break;
      const encoded = this.#encoded(slot, view);
      const more = encoded.reduce((sum, { length }) => sum + length, 0);
      if (bytes > 0 && bytes + more > this.#options.batchBytesMax) break;
      changes.push(...encoded);
      bytes += more;
      upTo = slot.revision;
    }
    // What was applied after the last event changed nothing, so a reader that has all events is as far as the head.
    if (at === this.#slots.length) upTo = this.#head;
    if (changes.length === 0) return { bytes: undefined, upTo };
    const branch = this.#options.branchAt(upTo);
    const deflated = view === 'short' && bytes >= deflateBytesMin ? deflatedMessage(changes, upTo, branch) : undefined;
    return { bytes: deflated ?? changesMessage(changes, upTo, branch), upTo };
  }

  #encoded(slot: Slot, view: WatchView): readonly Uint8Array[] {
    const known = slot.encoded.get(view);
    if (known !== undefined) return known;
    // The two views of agents differ by the changes of states alone.
    const other = view === 'all' ? 'peers' : view === 'peers' ? 'all' : undefined;
    const twin = other !== undefined && !slot.of.events.some(statusOnly) ? slot.encoded.get(other) : undefined;
    const encoded =
      twin ?? encodeRevision(slot.of, view, this.#options.encoding).map((bytes) => this.#store.keep(bytes));
    slot.encoded.set(view, encoded);
    const bytes = twin === undefined ? encoded.reduce((sum, { length }) => sum + length, 0) : 0;
    slot.bytes += bytes;
    this.#bytes += bytes;
    return encoded;
  }

  #trim(): void {
    const { countMax, bytesMax } = this.#options;
    while (this.count > countMax || (this.#bytes > bytesMax && this.count > 1)) {
      const slot = this.#slots[this.#start];
      if (slot === undefined) break;
      this.#base = slot.revision;
      this.#bytes -= slot.bytes;
      this.#start += 1;
    }
    // Moving the rest down costs as much as it holds, so it waits until half of the array is given up.
    if (this.#start > 1024 && this.#start * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#start);
      this.#start = 0;
    }
  }

  /** Position of the first slot whose revision is above `place`. */
  #firstAfter(place: number): number {
    let low = this.#start;
    let high = this.#slots.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#slots[middle]?.revision ?? Number.POSITIVE_INFINITY) <= place) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function touched({ events, network }: Revision): Touched {
  const agents = events.flatMap((event) => {
    if (event.kind === 'agent-changed') return event.agent.record.agentId;
    return event.kind === 'agent-removed' ? event.agentId : [];
  });
  return { agents, network: network !== undefined };
}

const agentChangedField = (2 << 3) | 2;
const networkChangedField = (4 << 3) | 2;
const peerChangedField = (5 << 3) | 2;

function statusOnly(event: Event): boolean {
  return event.kind === 'agent-changed' && event.statusOnly === true;
}

function encodeRevision(source: Revision, view: WatchView, encoding: PlanEncoding): readonly Uint8Array[] {
  const { revision, events, network, reclaimMs } = source;
  const changes: Uint8Array[] = [];
  // Overlays and settings travel as the whole network, once, however many of them one command has changed.
  if (network !== undefined) {
    changes.push(Change.encode({ revision }).uint32(networkChangedField).bytes(encoding.network(network)).finish());
  }
  for (const event of events) {
    switch (event.kind) {
      case 'agent-changed': {
        if (view !== 'all' && statusOnly(event)) break;
        const agent = viewAgent(event.agent);
        const change = Change.encode({ revision });
        if (view === 'short') change.uint32(peerChangedField).bytes(encoding.peer(agent));
        else change.uint32(agentChangedField).bytes(encoding.agent(agent, reclaimMs));
        changes.push(change.finish());
        break;
      }
      case 'agent-removed':
        changes.push(Change.encode({ revision, agentRemoved: event.agentId }).finish());
        break;
      default: // With the network, above.
    }
  }
  return changes;
}

const changesField = (4 << 3) | 2;
const changeField = (1 << 3) | 2;
const deflatedChangesField = (7 << 3) | 2;

/** `WatchResponse{changes{changes, revision, branch}}`, of changes that are encoded already. */
function changesMessage(changes: readonly Uint8Array[], revision: number, branch: string): Buffer {
  const inner = Changes.encode({ revision, branch });
  for (const change of changes) inner.uint32(changeField).bytes(change);
  return toBuffer(WatchResponse.encode({}).uint32(changesField).bytes(inner.finish()).finish());
}

/** `WatchResponse{deflated_changes}`; undefined: one revision alone is longer than that may be. */
function deflatedMessage(changes: readonly Uint8Array[], revision: number, branch: string): Buffer | undefined {
  const list = Changes.encode({});
  for (const change of changes) list.uint32(changeField).bytes(change);
  const bytes = list.finish();
  if (bytes.length > deflateBytesMax) return undefined;
  const inner = DeflatedChanges.encode({ changes: deflateRawSync(bytes), revision, branch });
  return toBuffer(WatchResponse.encode({}).uint32(deflatedChangesField).bytes(inner.finish()).finish());
}
