/**
 * The TLS side of the port for joining: the one listener of a master that takes callers without a certificate. It shows the
 * master's certificate with its authority, so that the caller can compare the pin, and leads to a server with one method.
 * Nothing that it takes reaches another port.
 */
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type TlsMaterial, tlsGroups, tlsVersion } from '#tls/certificate/tls-files.js';

export type JoinGateOptions = {
  readonly material: TlsMaterial;
  /** Calls `run` once, `delayMs` or more from now; the returned function cancels. */
  readonly timer: { after(delayMs: number, run: () => void): () => void };
  /** A connection that is closed before it is handed on, and why. */
  readonly refused: (address: string, message: string) => void;
};

/** From the acceptance of a connection to the end of its handshake. */
const handshakeMs = 5_000;
/** Handshakes that are under way at a time. */
export const joinHandshakesMax = 32;
/** Open connections of one address. */
export const joinsPerAddressMax = 16;
/** A connection is for one call, which waits for its turn to be signed. It ends then, whatever is sent. */
export const joinConnectionMs = 60_000;

export class JoinGate {
  readonly #options: JoinGateOptions;
  readonly #server: Server;
  /** By address. */
  readonly #open = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  /** By HOST:PORT: the connections whose handshake is under way, the oldest first. */
  readonly #shaking = new Map<string, Socket>();
  #serve: (socket: TLSSocket) => void = (socket) => socket.destroy();

  constructor(options: JoinGateOptions) {
    this.#options = options;
    this.#server = createServer({
      ...contextOf(options.material),
      ...{ requestCert: false, handshakeTimeout: handshakeMs, ALPNProtocols: ['h2'] },
    });
    this.#server.on('secureConnection', (socket) => {
      this.#shaking.delete(callerOf(socket));
      this.#serve(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      options.refused(hostOf(socket), error.message);
      socket.destroy();
    });
  }

  /** Has connections handed to `serve`, once their handshake is done. */
  onSecured(serve: (socket: TLSSocket) => void): void {
    this.#serve = serve;
  }

  /** What later handshakes are made with. */
  setMaterial(material: TlsMaterial): void {
    this.#server.setSecureContext(contextOf(material));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  take(socket: Socket): void {
    const host = hostOf(socket);
    const open = this.#open.get(host) ?? 0;
    const full = this.#shaking.size >= joinHandshakesMax && !this.#makeRoom(host);
    if (full || open >= joinsPerAddressMax) {
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      const why = full ? `${joinHandshakesMax} handshakes are under way` : `it has ${joinsPerAddressMax} connections`;
      this.#options.refused(host, why);
      return;
    }
    const caller = callerOf(socket);
    const cancel = this.#options.timer.after(joinConnectionMs, () => socket.destroy());
    this.#open.set(host, open + 1);
    this.#shaking.set(caller, socket);
    this.#sockets.add(socket);
    socket.once('close', () => {
      cancel();
      this.#shaking.delete(caller);
      this.#sockets.delete(socket);
      const left = (this.#open.get(host) ?? 1) - 1;
      if (left === 0) this.#open.delete(host);
      else this.#open.set(host, left);
    });
    this.#server.emit('connection', socket);
  }

  /**
   * Ends the oldest handshake of the address that has most of them under way, if it has more than `host`: a few addresses
   * that open handshakes and leave them keep no other one out. False: `host` has as many itself.
   */
  #makeRoom(host: string): boolean {
    const counts = new Map<string, number>();
    for (const socket of this.#shaking.values()) counts.set(hostOf(socket), (counts.get(hostOf(socket)) ?? 0) + 1);
    const [most, count] = [...counts].reduce((a, b) => (b[1] > a[1] ? b : a), [host, 0]);
    if (count <= (counts.get(host) ?? 0)) return false;
    const [oldest] = [...this.#shaking].filter(([, socket]) => hostOf(socket) === most);
    if (oldest === undefined) return false;
    const [caller, socket] = oldest;
    this.#shaking.delete(caller);
    this.#options.refused(most, `${joinHandshakesMax} handshakes are under way, ${count} of it`);
    socket.resetAndDestroy();
    return true;
  }
}

function hostOf({ remoteAddress = 'unknown' }: Socket): string {
  return remoteAddress;
}

function callerOf({ remoteAddress = 'unknown', remotePort = 0 }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** The chain ends with the authority, which clients elsewhere know already. */
function contextOf({ ca, cert, key }: TlsMaterial) {
  return {
    cert: Buffer.concat([cert, Buffer.from('\n'), ca]),
    key,
    minVersion: tlsVersion,
    ecdhCurve: tlsGroups,
  } as const;
}
