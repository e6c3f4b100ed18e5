/**
 * The requests of a connection, one at a time. A client may send several before it has an answer (pipelining, RFC 9112,
 * 9.3.2): Node.js reads thousands of them at once, and makes no difference between an answer that waits for its turn and
 * one that is under way. It reports no end of one that never had its turn, so nothing may be begun for it.
 */
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** Requests of a connection that wait: the next one may be here before the last answer is known to be sent. */
export const waitingMax = 8;

type Waiting = { readonly response: ServerResponse; readonly begin: () => void };

export class Turns {
  /** Of connections with a request under way: those that wait, in order. */
  readonly #waiting = new WeakMap<Socket, Waiting[]>();

  /** Calls `begin` when it is the turn of a request; never once its connection is closed, or has sent too many. */
  take(socket: Socket, response: ServerResponse, begin: () => void): void {
    if (socket.destroyed) return;
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) {
      this.#waiting.set(socket, []);
      this.#begin(socket, { response, begin });
    } else if (waiting.length < waitingMax) waiting.push({ response, begin });
    else socket.destroy();
  }

  #begin(socket: Socket, { response, begin }: Waiting): void {
    response.once('close', () => this.#next(socket));
    begin();
  }

  #next(socket: Socket): void {
    const next = socket.destroyed ? undefined : this.#waiting.get(socket)?.shift();
    if (next === undefined) this.#waiting.delete(socket);
    else this.#begin(socket, next);
  }
}
