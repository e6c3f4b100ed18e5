/**
 * The handshakes that are under way behind a listener: so many at a time, shared out by the network of their callers. Callers
 * that open handshakes and leave them keep no others out: theirs, the oldest first, make room.
 */

import type { Socket } from 'node:net';
import { clientNetwork } from '#address/client-network.js';
import { hostOf } from '#address/host-and-port.js';
import { NetworkShares } from '#address/network-shares.js';

/** From the acceptance of a connection to the end of its handshake. */
export const handshakeMs = 5_000;

export type HandshakesOptions = {
  /** Under way at a time: each costs half a millisecond of a processor. */
  readonly max: number;
  /** A handshake was ended. `from` is HOST:PORT. */
  readonly ended: (from: string, why: HandshakeEnd, message: string) => void;
};

export type HandshakeEnd =
  /** Too many were under way. */
  | 'crowded'
  /** Another one comes from the same HOST:PORT. */
  | 'same-address'
  /** The caller has closed the connection. */
  | 'hung-up';

export class Handshakes {
  readonly #options: HandshakesOptions;
  readonly #shares: NetworkShares<string>;
  /** By HOST:PORT of the caller. */
  readonly #sockets = new Map<string, Socket>();

  constructor(options: HandshakesOptions) {
    this.#options = options;
    this.#shares = new NetworkShares({ max: options.max, lead: 1, loses: 'oldest' });
  }

  /** Counts the handshake until it is over, or its connection is closed. False: it was closed at once. */
  begin(socket: Socket): boolean {
    const from = callerAddress(socket);
    if (this.#sockets.has(from)) {
      this.#end(socket, from, 'same-address', sameAddressText(from));
      return false;
    }
    const { max } = this.#options;
    const entered = this.#shares.enter(from, clientNetwork(hostOf(from)));
    if (entered.kind === 'full') {
      this.#end(socket, from, 'crowded', `${max} handshakes are under way, ${entered.held} of its network`);
      return false;
    }
    if (entered.instead !== undefined) {
      const { holder, network, held } = entered.instead;
      this.#end(this.#sockets.get(holder), holder, 'crowded', `${max} handshakes are under way, ${held} of ${network}`);
      this.#sockets.delete(holder);
    }
    this.#sockets.set(from, socket);
    socket.once('close', () => {
      if (this.#sockets.get(from) !== socket || !this.over(from)) return;
      this.#options.ended(from, 'hung-up', 'the caller has closed the connection during the handshake');
    });
    return true;
  }

  /** False: none of this HOST:PORT was under way. */
  over(from: string): boolean {
    this.#sockets.delete(from);
    return this.#shares.leave(from);
  }

  #end(socket: Socket | undefined, from: string, why: HandshakeEnd, message: string): void {
    socket?.on('error', () => undefined);
    socket?.resetAndDestroy();
    this.#options.ended(from, why, message);
  }
}

export function sameAddressText(from: string): string {
  return `another connection from ${from} is open: connect from another port`;
}

/** HOST:PORT as grpc-js writes the address of a caller: an IPv6 address has no brackets there. */
export function callerAddress({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Whether the other end of the socket is known: of one that is closed it is not, and its end has been reported by then. */
export function isConnected({ remoteAddress }: Socket): boolean {
  return remoteAddress !== undefined;
}
