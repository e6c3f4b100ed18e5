/** Calls over one certificate to one port, some at a time, on HTTP/2 as Node speaks it. */
import type { ClientHttp2Session } from 'node:http2';
import type { Amount } from '#cluster-test/fuzz/amount.js';
import type { Chance } from '#cluster-test/fuzz/chance.js';
import { type FuzzedMethod, framed, headersFor, messageFor } from '#cluster-test/fuzz/messages.js';
import type { TlsMaterial } from '#tls/certificate/tls-files.js';
import { openSession } from '#tls/testing/http2-session.js';

const atOnce = 16;
/** Calls with one certificate in a row: fewer than the burst that an agent is allowed. */
const callsInTurn = 35;
/** Of a call that is not answered, and of a stream that goes on. */
const openMs = 250;

export type Caller = {
  /** HOST:PORT. */
  readonly to: string;
  /** Certificates that take turns: the rate of each is limited. */
  readonly materials: readonly TlsMaterial[];
  readonly methods: readonly FuzzedMethod[];
  /** One call of so many is cancelled as soon as it is written. Default: 30. */
  readonly cancelsOneOf?: number;
};

export class Calls implements Disposable {
  readonly #caller: Caller;
  readonly #chance: Chance;
  #session: ClientHttp2Session | undefined;
  #turn = 0;
  #calls = 0;
  #closed = false;
  /** By grpc-status, or what came in its place. */
  readonly outcomes = new Map<string, number>();

  constructor(caller: Caller, chance: Chance) {
    this.#caller = caller;
    this.#chance = chance;
  }

  async run(amount: Amount, check: () => void): Promise<void> {
    const worker = async (): Promise<void> => {
      while (amount.next()) {
        await this.#one();
        check();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  }

  /** A session that was ended by the other side is opened again. */
  #open(): ClientHttp2Session {
    const last = this.#session;
    if (last !== undefined && !last.closed && !last.destroyed && this.#calls++ < callsInTurn) return last;
    last?.close();
    this.#calls = 0;
    const { to, materials } = this.#caller;
    const material = materials[this.#turn++ % materials.length];
    if (material === undefined) throw new RangeError('no certificate to call with');
    this.#chance.own = material.principal.id;
    const session = openSession(to, material);
    session.setMaxListeners(0);
    if (this.#closed) session.destroy();
    this.#session = session;
    return session;
  }

  #one(): Promise<void> {
    const method = this.#chance.pick(this.#caller.methods);
    const headers = headersFor(this.#chance, method.path);
    const message = framed(this.#chance, messageFor(this.#chance, method));
    const breaksOff = this.#chance.below(this.#caller.cancelsOneOf ?? 30) === 0;
    return new Promise((resolve) => {
      const stream = this.#open().request(headers);
      const timer = setTimeout(() => over('open'), openMs);
      let ended = false;
      const over = (outcome: string): void => {
        if (ended) return;
        ended = true;
        clearTimeout(timer);
        this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1);
        stream.close();
        resolve();
      };
      stream.on('error', () => over('error'));
      stream.on('close', () => over('closed'));
      stream.on('response', (answer) => {
        const status = answer['grpc-status'];
        if (status !== undefined) over(String(status));
        else if (answer[':status'] !== 200) over(`http ${answer[':status']}`);
      });
      stream.on('trailers', (trailers) => over(String(trailers['grpc-status'])));
      stream.on('data', () => {
        if (method.streams) over('streams');
      });
      if (breaksOff) {
        stream.write(message.subarray(0, this.#chance.below(message.length)));
        stream.close();
      } else {
        stream.end(message);
      }
    });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#session?.destroy();
  }
}
