/**
 * The network between machines: messages take a while, are lost, doubled and overtaken, and links are cut in one
 * direction or both. It carries anything; peers' messages and streamed snapshots have their own ways on top of it.
 */
import type { SimulatedProcess, World } from '#cluster-test/simulation/world/world.js';
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
import { decodeMessage, encodeMessage } from '#transport/message-codec.js';

/** How messages fare; all of them chances from 0 to 1, and ms. */
export type Weather = {
  readonly delayMs: number;
  readonly jitterMs: number;
  readonly loss: number;
  readonly duplication: number;
  /** A message is held up for up to `spikeMs`. */
  readonly spike: number;
  readonly spikeMs: number;
  /** Later messages may overtake earlier ones of the same link. */
  readonly reorders: boolean;
  /** The offer of a snapshot comes when its sender may long have given up. */
  readonly lateOffers: number;
};

export const fairWeather: Weather = {
  delayMs: 1,
  jitterMs: 2,
  loss: 0,
  duplication: 0,
  spike: 0,
  spikeMs: 0,
  reorders: false,
  lateOffers: 0,
};

/** Bytes in one chunk of a snapshot: small, so that there are several. */
const chunkBytes = 1024;
/** Without a next chunk for so long a transfer is given up. */
export const chunkTimeoutMs = 5_000;
const helloTimeoutMs = 1_000;
/** Of an offer that is late, at most; its sender waits for 10 s. */
export const lateOfferMaxMs = 20_000;

export class SimulatedNetwork {
  readonly world: World;
  weather: Weather = fairWeather;
  readonly #random: SeededRandom;
  readonly #offers: SeededRandom;
  readonly #cuts = new Set<string>();
  readonly #whenLost: (() => void)[] = [];
  /** Counts how often all connections broke. */
  #life = 0;
  readonly #lastArrivalMs = new Map<string, number>();
  readonly #peers = new Map<string, SimulatedPeers>();
  /** Sees every message of a peer when it leaves. */
  onSend: (from: string, message: PeerMessage) => void = () => {};
  /** Sees every message that a member takes from a peer. */
  onHeard: (from: string, to: string, session: string | undefined) => void = () => {};
  /** Sees every message of a peer, and every offer of a snapshot, when it arrives. */
  onArrival: (to: string, message: PeerMessage) => void = () => {};

  constructor(world: World) {
    this.world = world;
    this.#random = world.random('network');
    this.#offers = world.random('offers of snapshots');
  }

  cut(from: string, to: string): void {
    this.#cuts.add(`${from}>${to}`);
  }

  heal(): void {
    this.#cuts.clear();
  }

  /** Has `broken` called when all masters are lost: their streams break. */
  whenLost(broken: () => void): void {
    this.#whenLost.push(broken);
  }

  lost(): void {
    for (const broken of this.#whenLost.splice(0)) this.world.time.after(this.weather.delayMs, broken);
  }

  /** All masters were stopped together: what is under way, to them or from them, does not arrive. */
  stopped(): void {
    this.#life += 1;
    this.lost();
  }

  isCut(from: string, to: string): boolean {
    return this.#cuts.size > 0 && this.#cuts.has(`${from}>${to}`);
  }

  /** Has `arrive` called when the message arrives, if it does, or more than once. False: it surely never leaves. */
  carry(from: string, to: string, arrive: () => void): boolean {
    if (this.isCut(from, to)) return false;
    const { loss, duplication } = this.weather;
    if (loss > 0 && this.#random.chance(loss)) {
      this.world.count('messages lost');
      return true;
    }
    this.#deliver(from, to, arrive);
    if (duplication > 0 && this.#random.chance(duplication)) {
      this.world.count('messages doubled');
      this.#deliver(from, to, arrive);
    }
    return true;
  }

  /** As `carry`, for the offer of a snapshot, which can be late as nothing else is. */
  carryOffer(from: string, to: string, arrive: () => void): boolean {
    const { lateOffers } = this.weather;
    if (lateOffers === 0 || !this.#offers.chance(lateOffers)) return this.carry(from, to, arrive);
    if (this.isCut(from, to)) return false;
    this.world.count('snapshots offered late');
    const life = this.#life;
    this.world.time.after(this.#offers.below(lateOfferMaxMs), () => {
      if (life === this.#life) this.carry(from, to, arrive);
    });
    return true;
  }

  #deliver(from: string, to: string, arrive: () => void): void {
    const { delayMs, jitterMs, spike, spikeMs, reorders } = this.weather;
    let delay = delayMs + (jitterMs > 0 ? this.#random.below(jitterMs * 8 + 1) / 8 : 0);
    if (spike > 0 && this.#random.chance(spike)) {
      delay += this.#random.below(spikeMs);
      this.world.count('messages held up');
    }
    const link = `${from}>${to}`;
    const { time } = this.world;
    let atMs = time.now() + delay;
    if (!reorders) {
      atMs = Math.max(atMs, this.#lastArrivalMs.get(link) ?? 0);
      this.#lastArrivalMs.set(link, atMs);
    } else {
      if (atMs < (this.#lastArrivalMs.get(link) ?? 0)) this.world.count('messages that overtook');
      this.#lastArrivalMs.set(link, atMs);
    }
    const life = this.#life;
    time.after(atMs - time.now(), () => {
      if (life === this.#life && !this.isCut(from, to)) arrive();
    });
  }

  attach(address: string, peers: SimulatedPeers): void {
    this.#peers.set(address, peers);
  }

  detach(address: string, peers: SimulatedPeers): void {
    if (this.#peers.get(address) === peers) this.#peers.delete(address);
  }

  peersAt(address: string): SimulatedPeers | undefined {
    return this.#peers.get(address);
  }
}

/** One process's way to its peers. */
export class SimulatedPeers implements PeerNetwork {
  readonly #network: SimulatedNetwork;
  readonly #process: SimulatedProcess;
  /** HOST:PORT; the host part is the machine's name. */
  readonly #address: string;
  readonly #place = new PeerPlace();
  #lastFetchMs = 0;

  constructor(network: SimulatedNetwork, process: SimulatedProcess, address: string) {
    this.#network = network;
    this.#process = process;
    this.#address = address;
    process.onDeath(() => network.detach(address, this));
  }

  start(handler: PeerHandler): Promise<void> {
    this.#place.handler = handler;
    this.#network.attach(this.#address, this);
    return Promise.resolve();
  }

  setMembership(self: MemberId, membership: Membership): void {
    this.#place.setMembership(self, membership);
  }

  send(message: PeerMessage): void {
    const { world } = this.#network;
    if (!this.#process.alive) return;
    this.#network.onSend(this.#process.machine.name, message);
    const to = this.#place.addressOf(message.to);
    const caller = this.#place.callerOf(message);
    if (to === undefined || caller === undefined) return;
    const left = this.#network.carry(this.#address, to, () => {
      const receiver = this.#network.peersAt(to);
      if (receiver === undefined) {
        this.#process.run(() => this.#place.unreachable(message.to));
        return;
      }
      world.trace(message.kind, message.term, () => `${this.#address}>${to} ${describe(message)}`);
      this.#network.onArrival(receiver.#process.machine.name, message);
      const refused = (reason: string): void => {
        this.#network.carry(to, this.#address, () => this.#process.run(() => this.#place.refused(to, reason)));
      };
      receiver.#process.run(() => receiver.#take(onTheWire(message, caller), caller, refused));
    });
    if (!left) world.time.after(1, () => this.#process.run(() => this.#place.unreachable(message.to)));
  }

  announce(report: MemberReport): void {
    const from = this.#place.self;
    const { clusterId, members = [] } = this.#place.membership ?? {};
    if (from === undefined || !this.#process.alive) return;
    for (const { peer: to } of members) {
      if (to === this.#address) continue;
      this.#network.carry(this.#address, to, () => {
        const receiver = this.#network.peersAt(to);
        if (receiver === undefined) return;
        receiver.#process.run(() => {
          if (clusterId === receiver.#place.membership?.clusterId) receiver.#place.reported(from, report);
        });
      });
    }
  }

  hello(address: string, caller?: StoreClaim): Promise<MemberHello> {
    return new Promise((resolve, reject) => {
      const back = (hello: MemberHello): void => {
        this.#network.carry(address, this.#address, () => this.#process.run(() => resolve(hello)));
      };
      this.#network.carry(this.#address, address, () => {
        const asked = this.#network.peersAt(address);
        if (asked === undefined) return;
        asked.#process.run(() => {
          if (asked.#place.handler !== undefined) back(asked.#place.handler.hello(caller));
        });
      });
      this.#process.clock.after(helloTimeoutMs, () => reject(new Error(`${address} does not answer`)));
    });
  }

  stop(): Promise<void> {
    this.#network.detach(this.#address, this);
    this.#place.handler = undefined;
    return Promise.resolve();
  }

  /** Streams `source` to the receiver, which pulls; either end may die, and any chunk may be lost for good. */
  sendSnapshot(message: SnapshotMessage, source: SnapshotSource): Promise<void> {
    const to = this.#place.addressOf(message.to);
    if (to === undefined) return Promise.reject(new Error(`member ${message.to} is not known`));
    const { world } = this.#network;
    world.trace('snapshot', message.snapshot.index, () => `${this.#address}>${to}`);
    return new Promise((resolve, reject) => {
      const fail = (why: string): void => this.#process.run(() => reject(new Error(why)));
      const finish = (error: Error | undefined): void => {
        const sent = this.#network.carry(to, this.#address, () =>
          this.#process.run(() => (error === undefined ? resolve() : reject(error))),
        );
        if (!sent) world.time.after(chunkTimeoutMs, () => fail(`${to} is cut off`));
      };
      let begun = false;
      const left = this.#network.carryOffer(this.#address, to, () => {
        if (begun) return;
        begun = true;
        const receiver = this.#network.peersAt(to);
        if (receiver === undefined) {
          fail(`${to} does not listen`);
          return;
        }
        this.#network.onArrival(receiver.#process.machine.name, message);
        receiver.#process.onDeath(() => fail(`${to} is gone`));
        receiver.#process.run(() => {
          const chunks = this.#pull(source, receiver);
          receiver.#receive(message, source.meta, chunks).then(
            () => finish(undefined),
            (error: unknown) => finish(error instanceof Error ? error : new Error(String(error))),
          );
        });
      });
      if (!left) world.time.after(1, () => fail(`${to} is cut off`));
      // A lost request or answer would leave the sender waiting.
      this.#failWhenIdle(() => fail(`nothing was heard of the transfer to ${to}`));
    });
  }

  #failWhenIdle(fail: () => void): void {
    const { time } = this.#network.world;
    this.#lastFetchMs = time.now();
    const look = (): void => {
      const idleMs = time.now() - this.#lastFetchMs;
      if (idleMs >= 2 * chunkTimeoutMs) fail();
      else if (this.#process.alive) time.after(2 * chunkTimeoutMs - idleMs, look);
    };
    time.after(2 * chunkTimeoutMs, look);
  }

  /** Runs in the receiver; each chunk is fetched from the sender. */
  async *#pull(
    source: SnapshotSource,
    receiver: SimulatedPeers,
  ): AsyncGenerator<readonly StateRecord[], void, undefined> {
    const chunks = source.chunks(chunkBytes)[Symbol.asyncIterator]();
    for (;;) {
      const next = await this.#fetch(chunks, receiver);
      if (next.done === true) return;
      yield next.value;
    }
  }

  #fetch(
    chunks: AsyncIterator<readonly StateRecord[]>,
    receiver: SimulatedPeers,
  ): Promise<IteratorResult<readonly StateRecord[]>> {
    return new Promise((resolve, reject) => {
      const give = (next: IteratorResult<readonly StateRecord[]>): void => {
        this.#network.carry(this.#address, receiver.#address, () => receiver.#process.run(() => resolve(next)));
      };
      const giveUp = (why: string): void => receiver.#process.run(() => reject(new Error(why)));
      // A stream delivers each request once, whatever its packets suffer.
      let asked = false;
      this.#network.carry(receiver.#address, this.#address, () =>
        this.#process.run(() => {
          if (asked) return;
          asked = true;
          this.#lastFetchMs = this.#network.world.time.now();
          chunks.next().then(give, (error: unknown) => giveUp(String(error)));
        }),
      );
      this.#network.world.time.after(chunkTimeoutMs, () => giveUp('no chunk came'));
    });
  }

  /** A message arrives. */
  #take(message: PeerMessage, caller: MemoryCaller, refused: (reason: string) => void): void {
    this.#place.take(message, caller, refused, () =>
      this.#network.onHeard(caller.sender.name, this.#process.machine.name, caller.store?.session.nonces[0]),
    );
  }

  #receive(...args: Parameters<PeerHandler['receiveSnapshot']>): Promise<void> {
    const { clusterId } = args[1].membership;
    if (args[0].to !== this.#place.self || clusterId !== this.#place.membership?.clusterId) {
      return Promise.reject(new Error('the snapshot is for another member'));
    }
    return this.#place.handler?.receiveSnapshot(...args) ?? Promise.reject(new Error('it does not listen'));
  }
}

/** As it arrives over the real transport. Throws where that would end the connection: no member sends what the wire refuses. */
function onTheWire(message: PeerMessage, { sender }: MemoryCaller): PeerMessage {
  return decodeMessage(encodeMessage(message), sender.id, message.to);
}

function describe(message: PeerMessage): string {
  switch (message.kind) {
    case 'append':
      return `after ${message.index}/${message.logTerm} entries ${message.entries.length} commit ${message.commit}`;
    case 'append-response':
      return `${message.reject ? 'rejects' : 'has'} ${message.index}`;
    case 'vote':
    case 'pre-vote':
      return `last ${message.index}/${message.logTerm}${message.transfer ? ' transfer' : ''}`;
    case 'vote-response':
    case 'pre-vote-response':
      return message.reject ? 'no' : 'yes';
    case 'heartbeat':
      return `commit ${message.commit} round ${message.context}`;
    default:
      return '';
  }
}
