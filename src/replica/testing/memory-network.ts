/**
 * The peers' network in memory and virtual time: messages take a while, may be lost, and links may be cut in one
 * direction. Like a TCP connection, a link keeps the order of what it delivers.
 */

import type { MemberId } from '#raft/log/entry.js';
import type { PeerMessage, SnapshotMessage } from '#raft/message.js';
import type { SnapshotSource } from '#replica/ports/log-store.js';
import type { MemberReport } from '#replica/ports/member-report.js';
import type { Membership } from '#replica/ports/membership.js';
import type { MemberHello, PeerHandler, PeerNetwork } from '#replica/ports/peer-network.js';
import type { StateRecord } from '#replica/ports/state-machine.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';
import { type MemoryCaller, PeerPlace } from '#replica/testing/peer-place.js';
import type { SeededRandom } from '#replica/testing/seeded-random.js';
import type { VirtualTime } from '#replica/testing/virtual-time.js';

/** Bytes in one chunk of a snapshot: small, so that tests see several. */
const chunkBytes = 256;

export class MemoryHub {
  readonly time: VirtualTime;
  readonly #random: SeededRandom;
  readonly #nodes = new Map<string, MemoryPeerNetwork>();
  readonly #cuts = new Set<string>();
  readonly #lastDeliveryMs = new Map<string, number>();
  readonly #transfers = new Set<{
    readonly from: string;
    readonly to: string;
    readonly abort: (reason: Error) => void;
  }>();
  /** One way, in ms: at least, and how much more at random. */
  delayMs = 1;
  jitterMs = 0;
  loss = 0;
  /** Each chunk of a snapshot takes so long. */
  chunkMs = 5;
  /** Sees every message that is sent, before its fate is decided. */
  onSend: (message: PeerMessage) => void = () => {};

  constructor(time: VirtualTime, random: SeededRandom) {
    this.time = time;
    this.#random = random;
  }

  /** Snapshots on their way. */
  get transfers(): number {
    return this.#transfers.size;
  }

  attach(peer: string, node: MemoryPeerNetwork): void {
    this.#nodes.set(peer, node);
  }

  detach(peer: string, node: MemoryPeerNetwork): void {
    if (this.#nodes.get(peer) !== node) return;
    this.#nodes.delete(peer);
    for (const transfer of [...this.#transfers]) {
      if (transfer.to === peer || transfer.from === peer) transfer.abort(new Error(`${peer} is gone`));
    }
  }

  /** Nothing passes from `from` to `to` any more. */
  cut(from: string, to: string): void {
    this.#cuts.add(link(from, to));
    for (const transfer of [...this.#transfers]) {
      if (transfer.from === from && transfer.to === to) transfer.abort(new Error(`the link to ${to} is cut`));
    }
  }

  isolate(peer: string, others: readonly string[]): void {
    for (const other of others) {
      this.cut(peer, other);
      this.cut(other, peer);
    }
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** Calls `deliver` with the receiver when the message arrives; false if it surely never does. */
  carry(from: string, to: string, deliver: (node: MemoryPeerNetwork) => void): boolean {
    if (!this.reachable(from, to)) return false;
    if (this.loss > 0 && this.#random.chance(this.loss)) return true;
    const delay = this.delayMs + (this.jitterMs > 0 ? this.#random.below(this.jitterMs + 1) : 0);
    const key = link(from, to);
    const atMs = Math.max(this.time.now() + delay, this.#lastDeliveryMs.get(key) ?? 0);
    this.#lastDeliveryMs.set(key, atMs);
    this.time.after(atMs - this.time.now(), () => {
      const node = this.#nodes.get(to);
      if (node !== undefined && !this.#cuts.has(key)) deliver(node);
    });
    return true;
  }

  reachable(from: string, to: string): boolean {
    return this.#nodes.has(to) && !this.#cuts.has(link(from, to));
  }

  /** Streams a snapshot; rejects when the link is cut or the receiver goes away meanwhile. */
  async transfer(from: string, to: string, message: SnapshotMessage, source: SnapshotSource): Promise<void> {
    const node = this.#nodes.get(to);
    if (node === undefined || !this.reachable(from, to)) throw new Error(`${to} can't be reached`);
    const key = link(from, to);
    await new Promise<void>((resolve, reject) => {
      const end = (settle: () => void) => {
        this.#transfers.delete(transfer);
        settle();
      };
      const transfer = { from, to, abort: (reason: Error) => end(() => reject(reason)) };
      this.#transfers.add(transfer);
      node.takeSnapshot(message, source.meta, this.#pull(source, key)).then(
        () => end(resolve),
        (error: unknown) => end(() => reject(error)),
      );
    });
  }

  async *#pull(source: SnapshotSource, key: string): AsyncIterable<readonly StateRecord[]> {
    for await (const chunk of source.chunks(chunkBytes)) {
      await this.time.sleep(this.chunkMs);
      if (this.#cuts.has(key)) throw new Error('the link is cut');
      yield chunk;
    }
  }
}

export class MemoryPeerNetwork implements PeerNetwork {
  readonly #hub: MemoryHub;
  readonly #peer: string;
  readonly #whenAwake: (run: () => void) => void;
  readonly #place = new PeerPlace();

  /** What arrives is handed over by `whenAwake`: not to a process that is stopped. */
  constructor(hub: MemoryHub, peer: string, whenAwake: (run: () => void) => void) {
    this.#hub = hub;
    this.#peer = peer;
    this.#whenAwake = whenAwake;
  }

  start(handler: PeerHandler): Promise<void> {
    this.#place.handler = handler;
    this.#hub.attach(this.#peer, this);
    return Promise.resolve();
  }

  setMembership(self: MemberId, membership: Membership): void {
    this.#place.setMembership(self, membership);
  }

  send(message: PeerMessage): void {
    this.#hub.onSend(message);
    const to = this.#place.addressOf(message.to);
    const caller = this.#place.callerOf(message);
    if (to === undefined || caller === undefined) return;
    const refused = (reason: string) => this.#whenAwake(() => this.#place.refused(to, reason));
    const sent = this.#hub.carry(this.#peer, to, (node) => node.take(message, caller, refused));
    if (!sent) this.#hub.time.after(1, () => this.#place.unreachable(message.to));
  }

  announce(report: MemberReport): void {
    const { clusterId, members = [] } = this.#place.membership ?? {};
    const from = this.#place.self;
    if (from === undefined) return;
    for (const { peer } of members) {
      if (peer === this.#peer) continue;
      this.#hub.carry(this.#peer, peer, (node) => {
        node.#whenAwake(() => {
          if (clusterId === node.#place.membership?.clusterId) node.#place.reported(from, report);
        });
      });
    }
  }

  async sendSnapshot(message: SnapshotMessage, source: SnapshotSource): Promise<void> {
    const to = this.#place.addressOf(message.to);
    if (to === undefined) throw new Error(`member ${message.to} is unknown`);
    await this.#hub.transfer(this.#peer, to, message, source);
  }

  hello(peer: string, caller?: StoreClaim): Promise<MemberHello> {
    return new Promise((resolve, reject) => {
      const asked = this.#hub.carry(this.#peer, peer, (node) => {
        const answer = node.#place.handler?.hello(caller);
        if (answer !== undefined) this.#hub.carry(peer, this.#peer, () => resolve(answer));
      });
      if (!asked) this.#hub.time.after(1, () => reject(new Error(`${peer} can't be reached`)));
      this.#hub.time.after(1000, () => reject(new Error(`${peer} did not answer within 1000 ms`)));
    });
  }

  stop(): Promise<void> {
    this.#hub.detach(this.#peer, this);
    return Promise.resolve();
  }

  /** A message arrives. */
  take(message: PeerMessage, caller: MemoryCaller, refused: (reason: string) => void): void {
    this.#whenAwake(() => this.#place.take(message, caller, refused));
  }

  takeSnapshot(...args: Parameters<PeerHandler['receiveSnapshot']>): Promise<void> {
    return this.#place.handler?.receiveSnapshot(...args) ?? Promise.reject(new Error('it does not listen'));
  }
}

function link(from: string, to: string): string {
  return `${from}>${to}`;
}
