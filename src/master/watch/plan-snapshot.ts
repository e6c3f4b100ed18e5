/**
 * The whole plan as watchers get it when they begin: encoded once for all that begin at about the same time, and
 * brought up to date by the events since. It is made in slices, so that a large plan does not hold up the master;
 * what changes meanwhile is put right at the end, so it stands for exactly one revision.
 */
import { deflateRawSync } from 'node:zlib';
import { toBuffer } from '#api/method.js';
import type { AgentId } from '#ipam/identity.js';
import type { Network } from '#ipam/network.js';
import type { FullAgent } from '#ipam/view/full-agent.js';
import type { IpamMachine } from '#master/ipam-machine.js';
import type { OwnIncarnation } from '#master/leader/incarnation-check.js';
import type { PlanEncoding } from '#master/services/plan-encoding.js';
import type { EventRing } from '#master/watch/event-ring.js';
import { sublet } from '#proto/sublet.js';
import type { Clock } from '#replica/ports/clock.js';

const { SnapshotChunk, WatchResponse } = sublet.v1;

/** How agents stand in a snapshot: as `Agent`, or as `Peer` in compressed chunks. */
export type AgentForm = 'whole' | 'short';

/** Messages to be sent in order: begin, chunks, end. */
export type PlanSnapshot = {
  readonly revision: number;
  readonly messages: readonly Buffer[];
  readonly bytes: number;
  /** Undefined: there was none yet. */
  readonly network: Network | undefined;
};

export type PlanSnapshotsOptions = {
  readonly machine: IpamMachine;
  readonly ring: EventRing;
  readonly encoding: PlanEncoding;
  readonly plan: OwnIncarnation;
  readonly clock: Clock;
  readonly form: AgentForm;
  /** Bytes of one message before it is compressed, at most. */
  readonly chunkBytesMax: number;
};

/** Agents encoded without a break. */
const sliceAgents = 500;
/** A plan that changes under every attempt is encoded in one go at the last. */
const attemptsMax = 3;
/** The events that may follow a snapshot before it is made anew: half of its own size, but at least this. */
const staleBytesMin = 256 * 1024;
/** How long an unused one is kept, in ms: a large one is tens of megabytes. */
const keepMs = 60_000;

export class PlanSnapshots {
  readonly #options: PlanSnapshotsOptions;
  #current: PlanSnapshot | undefined;
  #making: Promise<PlanSnapshot> | undefined;
  #cancelDrop: (() => void) | undefined;

  constructor(options: PlanSnapshotsOptions) {
    this.#options = options;
  }

  /** The snapshot to begin with: after it come the events after its revision, which the ring still has. */
  async get(): Promise<PlanSnapshot> {
    this.#keep();
    const current = this.#current;
    if (current !== undefined && this.#fresh(current)) return current;
    this.#making ??= this.#make().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  stop(): void {
    this.#cancelDrop?.();
    this.#current = undefined;
  }

  #fresh({ revision, bytes, network }: PlanSnapshot): boolean {
    const { ring, machine } = this.#options;
    // One from before there was a network is of no use to agents, whatever events follow it.
    if (network === undefined && machine.network !== undefined) return false;
    return revision >= ring.base && ring.bytesAfter(revision) <= Math.max(staleBytesMin, bytes / 2);
  }

  #keep(): void {
    this.#cancelDrop?.();
    this.#cancelDrop = this.#options.clock.after(keepMs, () => {
      this.#current = undefined;
    });
  }

  async #make(): Promise<PlanSnapshot> {
    for (let attempt = 1; ; attempt++) {
      const snapshot = await this.#attempt(attempt < attemptsMax ? sliceAgents : Number.POSITIVE_INFINITY);
      if (snapshot === undefined) continue;
      this.#current = snapshot;
      return snapshot;
    }
  }

  /** Undefined: something changed on the way that concerns every agent. */
  async #attempt(slice: number): Promise<PlanSnapshot | undefined> {
    const { ring, machine } = this.#options;
    const begin = ring.head;
    const encoded = new Map<AgentId, Uint8Array>();
    let last: AgentId | undefined;
    for (;;) {
      const { ipam } = machine;
      const some = ipam.agentsAfter(last, Math.min(slice, ipam.agentCount + 1));
      for (const agent of some) encoded.set(agent.agentId, this.#encode(agent));
      last = some.at(-1)?.agentId;
      if (some.length < slice) break;
      await this.#breathe();
      // The plan was replaced as a whole, or too much has changed to be put right.
      if (begin < ring.base) return undefined;
    }
    // Without a break from here on: the agents and the revision belong together.
    const packed = this.#bringUpToDate(encoded, begin) ? this.#pack(encoded) : undefined;
    return packed === undefined ? undefined : await this.#message(packed);
  }

  /** False: what changed since `begin` concerns every agent. */
  #bringUpToDate(encoded: Map<AgentId, Uint8Array>, begin: number): boolean {
    const { ring, machine } = this.#options;
    const { ipam } = machine;
    const touched = ring.touchedAfter(begin);
    if (touched.network) return false;
    for (const agentId of touched.agents) {
      const agent = ipam.agent(agentId);
      if (agent === undefined) encoded.delete(agentId);
      else encoded.set(agentId, this.#encode(agent));
    }
    return true;
  }

  #encode(agent: FullAgent): Uint8Array {
    const { form, encoding, machine } = this.#options;
    return form === 'short' ? encoding.peer(agent) : encoding.agent(agent, machine.network?.reclaimMs);
  }

  #breathe(): Promise<void> {
    return new Promise((resolve) => this.#options.clock.after(0, resolve));
  }

  #pack(agents: ReadonlyMap<AgentId, Uint8Array>): Packed {
    const { ring, machine, encoding, chunkBytesMax, form } = this.#options;
    const revision = ring.head;
    const { network, ipam } = machine;
    const chunks: Uint8Array[] = [];
    let chunk = new ChunkWriter();
    if (network !== undefined) chunk.add(networkField, encoding.network(network));
    for (const agent of agents.values()) {
      if (chunk.bytes + agent.length + fieldOverhead > chunkBytesMax - fieldOverhead) {
        chunks.push(chunk.finish());
        chunk = new ChunkWriter();
      }
      chunk.add(form === 'short' ? peerField : agentField, agent);
    }
    chunks.push(chunk.finish());
    return { revision, branch: ipam.branchAt(revision), network, chunks };
  }

  /** Compressed, where that is wanted, with a break before each chunk: one of 1 MiB takes about 15 ms. */
  async #message({ revision, branch, network, chunks }: Packed): Promise<PlanSnapshot> {
    const { plan, form } = this.#options;
    const { clusterId, incarnation } = plan;
    const snapshotBegin = { clusterId, revision, incarnation, branch };
    const messages = [toBuffer(WatchResponse.encode({ snapshotBegin }).finish())];
    for (const chunk of chunks) {
      if (form === 'short') await this.#breathe();
      const [field, bytes] = form === 'short' ? [deflatedField, deflateRawSync(chunk)] : [chunkField, chunk];
      messages.push(toBuffer(WatchResponse.encode({}).uint32(field).bytes(bytes).finish()));
    }
    messages.push(toBuffer(WatchResponse.encode({ snapshotEnd: { revision, branch } }).finish()));
    return { revision, messages, bytes: messages.reduce((sum, { length }) => sum + length, 0), network };
  }
}

/** What a snapshot is made of: encoded `SnapshotChunk`s. */
type Packed = Pick<PlanSnapshot, 'revision' | 'network'> & {
  readonly branch: string;
  readonly chunks: readonly Uint8Array[];
};

/** Tag and length of a field below 2^28 bytes. */
const fieldOverhead = 5;
const networkField = (1 << 3) | 2;
const agentField = (2 << 3) | 2;
const peerField = (3 << 3) | 2;
const chunkField = (2 << 3) | 2;
const deflatedField = (6 << 3) | 2;

/** A `SnapshotChunk` of parts that are encoded already. */
class ChunkWriter {
  readonly #writer = SnapshotChunk.encode({});
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  finish(): Uint8Array {
    return this.#writer.finish();
  }

  add(field: number, bytes: Uint8Array): void {
    this.#writer.uint32(field).bytes(bytes);
    this.#bytes += bytes.length + fieldOverhead;
  }
}
