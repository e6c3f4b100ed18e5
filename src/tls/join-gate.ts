/**
 * The TLS side of the port for joining: the one listener of a master that takes callers without a certificate. It shows the
 * master's certificate with its authority, so that the caller can compare the pin, and leads to a server with one method.
 * Nothing that it takes reaches another port.
 */
import type { Socket } from 'node:net';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { type TlsMaterial, tlsGroups, tlsVersion } from '#tls/tls-files.js';

/** From the acceptance of a connection to the end of its handshake. */
const handshakeMs = 5_000;
/** Handshakes that are under way at a time. */
const handshakesMax = 64;
/** Open connections of one address. */
const perAddressMax = 16;
/** A connection is for one call, which waits for its turn to be signed. */
const connectionMs = 60_000;

export class JoinGate {
  readonly #server: Server;
  readonly #open = new Map<string, number>();
  readonly #sockets = new Set<Socket>();
  #shaking = 0;
  #refused = 0;
  #serve: (socket: TLSSocket) => void = (socket) => socket.destroy();

  constructor(material: TlsMaterial) {
    this.#server = createServer({
      ...contextOf(material),
      ...{ requestCert: false, handshakeTimeout: handshakeMs, ALPNProtocols: ['h2'] },
    });
    this.#server.on('secureConnection', (socket) => {
      socket.setTimeout(connectionMs, () => socket.destroy());
      this.#serve(socket);
    });
    this.#server.on('tlsClientError', (_, socket) => {
      this.#refused += 1;
      socket.destroy();
    });
  }

  /** Connections closed so far before they were handed on. */
  get refused(): number {
    return this.#refused;
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
    const { remoteAddress: address = 'unknown' } = socket;
    const open = this.#open.get(address) ?? 0;
    if (this.#shaking >= handshakesMax || open >= perAddressMax) {
      this.#refused += 1;
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    this.#open.set(address, open + 1);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#open.get(address) ?? 1) - 1;
      if (left === 0) this.#open.delete(address);
      else this.#open.set(address, left);
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
