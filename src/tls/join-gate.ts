/**
 * The TLS side of the port for joining: the one listener of a master that takes callers without a certificate. It shows the
 * master's certificate with its authority, so that the caller can compare the pin, and leads to a server with one method.
 * Nothing that it takes reaches another port.
 */

import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { hostOf } from '#address/host-and-port.js';
import { type TlsMaterial, tlsGroups, tlsVersion } from '#tls/certificate/tls-files.js';
import { callerAddress, Handshakes, handshakeMs, isConnected } from '#tls/handshakes.js';

export type JoinGateOptions = {
  readonly material: TlsMaterial;
  /** Calls `run` once, `delayMs` or more from now; the returned function cancels. */
  readonly timer: { after(delayMs: number, run: () => void): () => void };
  /** A connection that is closed before it is handed on, and why. */
  readonly refused: (address: string, message: string) => void;
};

/** Handshakes that are under way at a time. */
export const joinHandshakesMax = 32;
/** A connection is for one call, which waits for its turn to be signed. It ends then, whatever is sent. */
export const joinConnectionMs = 60_000;

export class JoinGate {
  readonly #options: JoinGateOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #handshakes: Handshakes;
  #serve: (socket: TLSSocket) => void = (socket) => socket.destroy();

  constructor(options: JoinGateOptions) {
    this.#options = options;
    this.#handshakes = new Handshakes({
      max: joinHandshakesMax,
      ended: (from, _, message) => options.refused(hostOf(from), message),
    });
    this.#server = createServer({
      ...contextOf(options.material),
      requestCert: false,
      handshakeTimeout: handshakeMs,
      ALPNProtocols: ['h2'],
    });
    this.#server.on('secureConnection', (socket) => {
      this.#handshakes.over(callerAddress(socket));
      this.#serve(socket);
    });
    this.#server.on('tlsClientError', (error, socket) => {
      const from = callerAddress(socket);
      if (isConnected(socket)) {
        this.#handshakes.over(from);
        options.refused(hostOf(from), error.message);
      }
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
    if (!this.#handshakes.begin(socket)) return;
    const cancel = this.#options.timer.after(joinConnectionMs, () => socket.destroy());
    this.#sockets.add(socket);
    socket.once('close', () => {
      cancel();
      this.#sockets.delete(socket);
    });
    this.#server.emit('connection', socket);
  }
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
