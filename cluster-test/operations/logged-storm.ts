/**
 * A real storm of registrations while operators do their work: clients as processes of their own, each of which writes
 * down what was acknowledged before it goes on, asks again now and then, and reads back from any master.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { StormClient } from '#cluster-test/faults/storm-client.js';
import type { StormCounts } from '#cluster-test/faults/storm-protocol.js';
import { acknowledgements, judge } from '#cluster-test/faults/verdict.js';
import { replicaView } from '#cluster-test/process/replica-view.js';

export type LoggedStormOptions = {
  /** API addresses of all masters that there will be. */
  readonly masters: readonly string[];
  readonly clients: number;
  /** Registrations at a time, of each client. */
  readonly workers: number;
  /** Between two of one worker, in ms. */
  readonly pauseMs: number;
  /** For the clients' logs. */
  readonly folder: string;
  readonly seed: number;
};

export type StormVerdict = {
  readonly acknowledged: number;
  /** Registrations acknowledged, agents that asked again, and reads, a second. */
  readonly answersPerSecond: number;
  readonly repeated: number;
  readonly reads: number;
  readonly longestWaitMs: number;
};

/** Agent numbers of one client: two have room in a /8 of /24s. */
const agentsPerClient = 30_000;

export class LoggedStorm implements AsyncDisposable {
  readonly #clients: readonly StormClient[];
  readonly #logFiles: readonly string[];
  readonly #begin = performance.now();

  private constructor(clients: readonly StormClient[], logFiles: readonly string[]) {
    this.#clients = clients;
    this.#logFiles = logFiles;
  }

  static async start({ masters, clients, workers, pauseMs, folder, seed }: LoggedStormOptions): Promise<LoggedStorm> {
    const all = Array.from({ length: clients }, () => new StormClient());
    const logFiles = all.map((_, at) => join(folder, `acknowledged-${at}.jsonl`));
    const storm = new LoggedStorm(all, logFiles);
    try {
      const plan = { masters, agentsMax: agentsPerClient, workers, pauseMs };
      await Promise.all(
        all.map((client, at) => {
          const own = { first: at * agentsPerClient, seed: seed + at, logFile: logFiles[at] ?? '' };
          return client.ask({ kind: 'go', plan: { ...plan, ...own } });
        }),
      );
    } catch (error) {
      await storm[Symbol.asyncDispose]();
      throw error;
    }
    return storm;
  }

  async acknowledged(): Promise<number> {
    return sum(await this.#counts(), ({ acknowledged }) => acknowledged);
  }

  /** Stops the storm, and fails unless each of these masters has all of it, once, and every client saw only what is right. */
  async verdict(masters: readonly string[]): Promise<StormVerdict> {
    await Promise.all(this.#clients.map((client) => client.ask({ kind: 'pause' })));
    const seconds = (performance.now() - this.#begin) / 1000;
    const counts = await this.#counts();
    assert.deepEqual(
      counts.flatMap(({ wrong }) => wrong),
      [],
      'what the clients saw',
    );
    const log = acknowledgements(this.#logFiles);
    const acknowledged = sum(counts, (one) => one.acknowledged);
    assert.equal(acknowledged, log.length, 'the log of the clients is whole');
    judge(await Promise.all(masters.map((master) => replicaView(master))), log);
    const repeated = sum(counts, (one) => one.repeated);
    const reads = sum(counts, (one) => one.reads);
    const longestWaitMs = Math.max(...counts.map((one) => one.longestWaitMs));
    return {
      acknowledged,
      repeated,
      reads,
      longestWaitMs,
      answersPerSecond: (acknowledged + repeated + reads) / seconds,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.kill()));
  }

  #counts(): Promise<StormCounts[]> {
    return Promise.all(this.#clients.map((client) => client.ask({ kind: 'counts' })));
  }
}

function sum(counts: readonly StormCounts[], of: (one: StormCounts) => number): number {
  return counts.reduce((all, one) => all + of(one), 0);
}
