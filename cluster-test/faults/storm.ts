/**
 * A steady storm of registrations from one process. Each acknowledgement is written to a log before the next step; now
 * and then an agent asks again, which must give what it was granted, and what was acknowledged is read back from any
 * master, which must know it. A worker never gives a number up: what was decided is known exactly.
 */
import { appendFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { status } from '@grpc/grpc-js';
import { MasterClient } from '#api/master-client.js';
import { operatorService } from '#api/services.js';
import { type Acknowledgement, holdingOf, sameHolding } from '#cluster-test/faults/holding.js';
import type { StormCounts, StormPlan } from '#cluster-test/faults/storm-protocol.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { SeededRandom } from '#replica/testing/seeded-random.js';

/** A cut link swallows calls: so long is one waited for before the next master is asked. */
const answerTimeoutMs = 2_000;
/** With 100 ms between rounds, more than a minute of no leader at all. */
const roundsMax = 600;
const shareOfRepeats = 0.2;
const shareOfReads = 0.2;
const askAgainAtOnce = 32;
const wrongMax = 20;

export class Storm {
  readonly #plan: StormPlan;
  readonly #random: SeededRandom;
  readonly #registrar: PersistentRegistrar;
  readonly #readers: readonly MasterClient[];
  readonly #acknowledged: Acknowledgement[] = [];
  readonly #wrong: string[] = [];
  #running: Promise<void> = Promise.resolve();
  #goesOn = false;
  #next = 0;
  #repeated = 0;
  #reads = 0;
  #longestWaitMs = 0;

  constructor(plan: StormPlan) {
    this.#plan = plan;
    this.#random = new SeededRandom(plan.seed);
    // A master short of disk space refuses until it is freed; the storm waits for that.
    const persistence = { timeoutMs: answerTimeoutMs, triesMax: roundsMax, again: [status.RESOURCE_EXHAUSTED] };
    this.#registrar = new PersistentRegistrar(plan.masters, persistence);
    this.#readers = plan.masters.map((master) => new MasterClient({ masters: [master], timeoutMs: answerTimeoutMs }));
    this.resume();
  }

  resume(): void {
    if (this.#goesOn) return;
    this.#goesOn = true;
    this.#running = Promise.all(Array.from({ length: this.#plan.workers }, () => this.#work())).then(() => undefined);
  }

  /** Resolves when nothing is in flight any more. */
  async pause(): Promise<void> {
    this.#goesOn = false;
    await this.#running;
  }

  get counts(): StormCounts {
    const newest = this.#acknowledged.at(-1);
    return {
      acknowledged: this.#acknowledged.length,
      repeated: this.#repeated,
      reads: this.#reads,
      revision: newest?.revision ?? 0,
      newestAgent: newest?.agentId ?? '',
      longestWaitMs: this.#longestWaitMs,
      wrong: this.#wrong,
    };
  }

  /** Every agent of the log asks once more. */
  async askAllAgain(): Promise<void> {
    const all = [...this.#acknowledged];
    const ask = async (): Promise<void> => {
      for (let one = all.pop(); one !== undefined; one = all.pop()) await this.#repeat(one);
    };
    await Promise.all(Array.from({ length: askAgainAtOnce }, ask));
  }

  async #work(): Promise<void> {
    while (this.#goesOn) {
      try {
        const earlier = this.#random.chance(shareOfRepeats) ? this.#any() : undefined;
        if (earlier !== undefined) await this.#repeat(earlier);
        else await this.#register(this.#nextNumber());
        if (this.#random.chance(shareOfReads)) await this.#read();
      } catch (error) {
        this.#say(error instanceof Error ? error.message : String(error));
      }
      await delay(this.#plan.pauseMs);
    }
  }

  /** @throws Error when there are none left: a storm that changes nothing any more would prove nothing */
  #nextNumber(): number {
    const { first, agentsMax } = this.#plan;
    if (this.#next >= agentsMax) throw new Error(`all ${agentsMax} agents of this client are registered`);
    return first + this.#next++;
  }

  async #register(number: number): Promise<void> {
    const begin = performance.now();
    const { agent, revision } = await this.#registrar.register(number);
    this.#longestWaitMs = Math.max(this.#longestWaitMs, performance.now() - begin);
    const one = { number, agentId: agent?.agentId ?? '', holding: holdingOf(agent), revision };
    appendFileSync(this.#plan.logFile, `${JSON.stringify(one)}\n`);
    this.#acknowledged.push(one);
  }

  async #repeat({ number, agentId, holding }: Acknowledgement): Promise<void> {
    const { agent } = await this.#registrar.register(number);
    const again = holdingOf(agent);
    if (sameHolding(again, holding)) this.#repeated += 1;
    else this.#say(`${agentId} was let ${JSON.stringify(holding)}, and asking again ${JSON.stringify(again)}`);
  }

  /** Reads, linearizably and from any master, an agent that is newly acknowledged. A master that can't answer is not wrong. */
  async #read(): Promise<void> {
    const reader = this.#readers[this.#random.below(this.#readers.length)];
    const wanted = this.#acknowledged.at(-1);
    if (reader === undefined || wanted === undefined) return;
    const answer = await reader
      .call(operatorService.getAgent, { agentId: wanted.agentId }, { idempotent: true })
      .catch((error) => ({ agent: undefined, revision: 0, error }));
    if ('error' in answer) {
      if (answer.error?.code === status.NOT_FOUND) this.#say(`a read from ${reader.current} misses ${wanted.agentId}`);
      return;
    }
    this.#reads += 1;
    const isSame = sameHolding(holdingOf(answer.agent), wanted.holding);
    if (!isSame || answer.revision < wanted.revision) {
      this.#say(`a stale read of ${wanted.agentId} from ${reader.current} at revision ${answer.revision}`);
    }
  }

  #any(): Acknowledgement | undefined {
    return this.#acknowledged[this.#random.below(Math.max(1, this.#acknowledged.length))];
  }

  #say(wrong: string): void {
    if (this.#wrong.length < wrongMax) this.#wrong.push(wrong);
  }
}
