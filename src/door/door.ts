/**
 * A listener with a bound on its connections. Sockets that it admits are handed to a server (gRPC, HTTP), which does
 * not listen by itself. At its bound it closes new connections at once, so descriptors are left for the store and the
 * peers. Work is done per connection, never per call.
 */

import { lookup } from 'node:dns/promises';
import { createServer, isIP, type Server, type Socket } from 'node:net';
import { clientNetwork } from '#address/client-network.js';
import { bareHostOf, portOf } from '#address/host-and-port.js';
import { NetworkShares } from '#address/network-shares.js';
import { ExpectedError } from '#errors/expected-error.js';
import { errorCode, errorText } from '#errors/unknown-error.js';
import type { Clock } from '#replica/ports/clock.js';

export type DoorNotice =
  /** The bound is reached: a connection was closed. Emitted once, until `room`. */
  | { readonly kind: 'full'; readonly setting: string; readonly connectionsMax: number }
  /** The bound is reached: a connection of this network was closed, which has so many. Emitted for each. */
  | { readonly kind: 'crowded'; readonly setting: string; readonly network: string; readonly held: number }
  /** After `full`: there is room again. */
  | { readonly kind: 'room'; readonly setting: string; readonly refused: number }
  /** The system gave no socket. */
  | { readonly kind: 'accept-failed'; readonly setting: string; readonly error: Error };

export type DoorOptions = {
  /** The setting that the address comes from, for messages. */
  readonly setting: string;
  /** HOST:PORT; an IPv6 host in brackets; port 0 takes any free one. A name is listened on at all its addresses. */
  readonly listen: string;
  readonly connectionsMax: number;
  /** At its bound, the network of callers that has most connections makes room for one that has fewer. Default: false. */
  readonly shared?: boolean;
  readonly accept: (socket: Socket) => void;
  /** The other end may close its half first, and still get its answer. */
  readonly halfOpen?: boolean;
  readonly notice: (notice: DoorNotice) => void;
  readonly clock: Clock;
  readonly resolve?: (host: string) => Promise<readonly string[]>;
};

/** A connection that has not sent a byte for so long is closed. */
const silentMs = 10_000;
/** When the bound is reached, one that has been silent for so long gives way. */
const silentGivesWayMs = 1_000;
const sweepMs = 1_000;
/**
 * `room` is emitted when no connection was closed for so long: clients that come back at once must not fill the log.
 */
const roomAfterMs = 10_000;
/** An error of the system that repeats is emitted once in so long. */
const errorEveryMs = 60_000;

/** The system knows no address of a name to listen at. */
export class UnknownNameError extends ExpectedError {
  override readonly name = 'UnknownNameError';
}

export class Door {
  readonly #options: DoorOptions;
  readonly #servers: Server[] = [];
  /** Connections that have not sent anything yet, with the time they came; oldest first. */
  readonly #silent = new Map<Socket, number>();
  readonly #shares: NetworkShares<Socket> | undefined;
  #connections = 0;
  #refused = 0;
  /** When the last connection was closed, as long as `room` was not emitted since. */
  #lastRefusal: number | undefined;
  #closed = false;
  #sweeping: (() => void) | undefined;
  #waitingForRoom: (() => void) | undefined;
  #errorTold: number | undefined;

  constructor(options: DoorOptions) {
    this.#options = options;
    // The connections of the joining port wait for their turn: a network's last one is closed for no other.
    if (options.shared) this.#shares = new NetworkShares({ max: options.connectionsMax, lead: 2, loses: 'newest' });
  }

  get setting(): string {
    return this.#options.setting;
  }

  get connections(): number {
    return this.#connections;
  }

  get connectionsMax(): number {
    return this.#options.connectionsMax;
  }

  /** Connections closed since the start because the bound was reached. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether the bound was reached, and connections were closed until just now. */
  get full(): boolean {
    return this.#lastRefusal !== undefined;
  }

  /** Listens; resolves with the port. @throws what the system says of the address */
  async open(): Promise<number> {
    const { listen } = this.#options;
    const host = bareHostOf(listen);
    let port = portOf(listen);
    const hosts = isIP(host) === 0 ? await this.#addresses(host) : [host];
    const failures: unknown[] = [];
    for (const one of hosts) {
      try {
        port = await this.#listen(one, port);
      } catch (error) {
        // `localhost` has an IPv6 address also where the system has none.
        if (!isAbsent(error)) {
          this.close();
          throw error;
        }
        failures.push(error);
      }
    }
    if (this.#servers.length === 0) throw failures[0];
    return port;
  }

  /** Takes no more connections. Those that are open are left to the server that has them. */
  close(): void {
    this.#closed = true;
    for (const server of this.#servers) server.close();
    this.#sweeping?.();
    this.#sweeping = undefined;
    this.#waitingForRoom?.();
  }

  /** @throws UnknownNameError for a name that is not known */
  async #addresses(host: string): Promise<readonly string[]> {
    const { resolve = addressesOf, setting } = this.#options;
    try {
      return await resolve(host);
    } catch (error) {
      const why = errorText(error);
      throw new UnknownNameError(
        `${setting}: the name ${host} is not known on this machine (${why}): add it to /etc/hosts or DNS, or set ${setting} to an address`,
        { cause: error },
      );
    }
  }

  #listen(host: string, port: number): Promise<number> {
    const { halfOpen = false } = this.#options;
    const server = createServer({ allowHalfOpen: halfOpen, noDelay: true }, (socket) => this.admit(socket));
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        server.on('error', (error) => this.#failed(error));
        this.#servers.push(server);
        const address = server.address();
        resolve(address !== null && typeof address === 'object' ? address.port : port);
      });
    });
  }

  /** What a listener does with each socket. */
  admit(socket: Socket): void {
    const { connectionsMax, accept, clock } = this.#options;
    if (this.#closed || !this.#hasRoom(socket)) {
      this.#refuse(socket);
      return;
    }
    this.#connections += 1;
    this.#silent.set(socket, clock.now());
    socket.once('close', () => this.#left(socket));
    accept(socket);
    if (this.#connections >= connectionsMax) this.#makeRoom();
    this.#sweepLater();
  }

  #hasRoom(socket: Socket): boolean {
    if (this.#shares === undefined) return this.#connections < this.#options.connectionsMax;
    const network = clientNetwork(socket.remoteAddress ?? '');
    const entered = this.#shares.enter(socket, network);
    if (entered.kind === 'full') {
      this.#crowded(network, entered.held);
      return false;
    }
    if (entered.instead === undefined) return true;
    const { holder, network: of, held } = entered.instead;
    this.#connections -= 1;
    this.#close(holder);
    this.#crowded(of, held);
    return true;
  }

  #crowded(network: string, held: number): void {
    const { setting, notice } = this.#options;
    if (held > 0) notice({ kind: 'crowded', setting, network, held });
  }

  #close(socket: Socket): void {
    socket.on('error', () => undefined);
    socket.resetAndDestroy();
    this.#refused += 1;
  }

  #refuse(socket: Socket): void {
    this.#close(socket);
    if (this.#closed) return;
    const { setting, connectionsMax, notice, clock } = this.#options;
    const reported = this.full;
    this.#lastRefusal = clock.now();
    if (reported) return;
    notice({ kind: 'full', setting, connectionsMax });
    this.#waitForRoom(roomAfterMs);
  }

  #waitForRoom(delayMs: number): void {
    const { setting, notice, clock } = this.#options;
    this.#waitingForRoom = clock.after(delayMs, () => {
      const leftMs = (this.#lastRefusal ?? 0) + roomAfterMs - clock.now();
      if (leftMs > 0) {
        this.#waitForRoom(leftMs);
        return;
      }
      this.#lastRefusal = undefined;
      this.#waitingForRoom = undefined;
      notice({ kind: 'room', setting, refused: this.#refused });
    });
  }

  #left(socket: Socket): void {
    this.#silent.delete(socket);
    // One that has made room has left before.
    if (this.#shares?.leave(socket) === false) return;
    this.#connections -= 1;
  }

  /** The bound is reached: one that has said nothing gives way to the next that comes. */
  #makeRoom(): void {
    const [oldest] = this.#stillSilent();
    if (oldest === undefined) return;
    const [socket, since] = oldest;
    if (this.#options.clock.now() - since >= silentGivesWayMs) socket.destroy();
  }

  #sweepLater(): void {
    if (this.#sweeping !== undefined || this.#closed || this.#silent.size === 0) return;
    this.#sweeping = this.#options.clock.after(sweepMs, () => {
      this.#sweeping = undefined;
      this.#sweep();
      this.#sweepLater();
    });
  }

  #sweep(): void {
    const now = this.#options.clock.now();
    for (const [socket, since] of this.#stillSilent()) if (now - since >= silentMs) socket.destroy();
    if (this.#connections >= this.#options.connectionsMax) this.#makeRoom();
  }

  /** Oldest first. Those that have sent something since are forgotten. */
  *#stillSilent(): Iterable<readonly [Socket, number]> {
    for (const [socket, since] of this.#silent) {
      if (socket.bytesRead > 0) this.#silent.delete(socket);
      else yield [socket, since];
    }
  }

  #failed(error: Error): void {
    const { setting, notice, clock } = this.#options;
    const now = clock.now();
    if (this.#errorTold !== undefined && now - this.#errorTold < errorEveryMs) return;
    this.#errorTold = now;
    notice({ kind: 'accept-failed', setting, error });
  }
}

/** All addresses of a name, as the system resolves it. */
export async function addressesOf(host: string): Promise<readonly string[]> {
  return [...new Set((await lookup(host, { all: true })).map(({ address }) => address))];
}

/** Whether the machine lacks the address, or its whole family. */
function isAbsent(error: unknown): boolean {
  return ['EADDRNOTAVAIL', 'EAFNOSUPPORT'].includes(errorCode(error));
}
