/** A spec's side of a storm client: a process, in a host's namespace or on this machine, that it gives commands to. */
import { type ChildProcess, fork } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StormAnswers, StormCommand, StormReply } from '#cluster-test/faults/storm-protocol.js';
import { atEnd, type Netns } from '#cluster-test/host/netns.js';

const main = join(dirname(fileURLToPath(import.meta.url)), 'storm-client-main.js');

export class StormClient {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #nextId = 1;

  /** Without a `host` it runs beside the test. */
  constructor(host?: Netns) {
    const [program = '', ...words] = [...(host?.enter ?? []), process.execPath];
    this.#process = fork(main, [], { execPath: program, execArgv: words });
    const forget = atEnd(() => this.#process.kill('SIGKILL'));
    this.#process.once('close', () => {
      forget();
      for (const { reject } of this.#waiting.values()) reject(new Error('the storm client ended'));
    });
    this.#process.on('message', (reply: StormReply) => this.#hear(reply));
  }

  ask<Command extends StormCommand>(command: Command): Promise<StormAnswers[Command['kind']]> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, command }, (error) => {
        if (error !== null) reject(error);
      });
    });
  }

  async kill(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const closed = new Promise((resolve) => this.#process.once('close', resolve));
    this.#process.kill('SIGKILL');
    await closed;
  }

  #hear(reply: StormReply): void {
    const waiting = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    // The answer is of the type that the command has; both sides are this test's own.
    if (reply.kind === 'answer') waiting?.resolve(reply.value as never);
    else waiting?.reject(new Error(reply.error));
  }
}
