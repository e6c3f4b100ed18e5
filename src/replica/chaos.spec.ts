import assert from 'node:assert/strict';
import { type LogWrite, StoreError } from '#replica/ports/log-store.js';
import { defaultReplicaLimits } from '#replica/replica-options.js';
import type { WriteFate } from '#replica/testing/memory-log-store.js';
import { TestCluster, type TestMember } from '#replica/testing/test-cluster.js';

const limits = {
  ...defaultReplicaLimits,
  compaction: { entriesKept: 15, entriesKeptForPeersMax: 200, compactionStep: 5 },
  flushAfterMs: 200,
};

/** One run of a cluster under random faults; everything in it follows from the seed. */
class Chaos {
  readonly cluster: TestCluster;
  readonly acknowledged: string[] = [];
  /** What was applied where, by index: the same everywhere, for ever. */
  readonly #applied = new Map<number, string>();
  readonly violations: string[] = [];
  readonly #ended = new Set<TestMember>();
  readonly counts = { crashes: 0, cuts: 0, hangs: 0, failures: 0, pauses: 0, transfers: 0, snapshots: 0 };
  #proposed = 0;

  constructor(seed: number) {
    this.cluster = new TestCluster({
      seed,
      limits,
      names: seed % 2 === 0 ? ['a', 'b', 'c'] : ['a', 'b', 'c', 'd', 'e'],
    });
    const { hub, random } = this.cluster;
    hub.jitterMs = random.below(30);
    hub.loss = random.below(3) * 0.02;
    hub.chunkMs = 1 + random.below(20);
    for (const member of this.cluster.members) this.#boot(member);
  }

  async run(rounds: number): Promise<void> {
    const { cluster } = this;
    await cluster.time.runFor(3000);
    for (let round = 0; round < rounds; round += 1) {
      this.#fault();
      for (let nth = cluster.random.below(8); nth > 0; nth -= 1) this.#propose();
      await cluster.time.runFor(20 + cluster.random.below(600));
      this.#countSnapshots();
    }
    await this.#heal();
    this.#checkEnd();
  }

  #boot(member: TestMember): void {
    this.cluster.restart(member);
    this.#ended.delete(member);
    const { disk } = member;
    disk.fate = (write) => this.#fate(write);
    member.replica.onApplied(({ index, time, output }) => {
      const line = `${time} ${output}`;
      const known = this.#applied.get(index) ?? line;
      this.#applied.set(index, known);
      if (known !== line) this.violations.push(`${index} is ${known} elsewhere, ${line} on ${member.name}`);
    });
    member.process?.started.catch((error: unknown) => {
      this.#ended.add(member);
      if (!(error instanceof StoreError)) this.violations.push(`${member.name} does not start: ${error}`);
    });
  }

  #fate(_write: LogWrite): WriteFate {
    const { random } = this.cluster;
    return { kind: 'ok', afterMs: random.chance(0.02) ? random.below(1500) : random.below(8) };
  }

  #fault(): void {
    const { cluster } = this;
    const { random, hub, members } = cluster;
    const member = members[random.below(members.length)];
    const other = members[random.below(members.length)];
    if (member === undefined || other === undefined) return;
    switch (random.below(12)) {
      case 0:
      case 1:
        this.counts.crashes += 1;
        cluster.crash(member);
        return;
      case 2:
      case 3:
      case 4: {
        // As a supervisor does with a process that ended.
        for (const one of members.filter((each) => this.#isDown(each))) this.#boot(one);
        return;
      }
      case 5:
        this.counts.cuts += 1;
        hub.cut(member.peer, other.peer);
        return;
      case 6:
        this.counts.cuts += 1;
        hub.isolate(
          member.peer,
          members.map(({ peer }) => peer),
        );
        return;
      case 7:
        hub.heal();
        return;
      case 8:
        this.counts.hangs += 1;
        this.#sicken(member, { kind: 'hang' });
        return;
      case 9:
        this.counts.failures += 1;
        this.#sicken(member, { kind: 'fail', afterMs: random.below(10), stored: random.chance(0.5) });
        return;
      case 10:
        this.counts.pauses += 1;
        cluster.pause(member, random.below(3000));
        return;
      default:
        this.counts.transfers += 1;
        member.process?.replica.transferLeadership();
    }
  }

  /** The next write has this fate, those after it an ordinary one. */
  #sicken(member: TestMember, fate: WriteFate): void {
    member.disk.release();
    member.disk.fate = (write) => {
      member.disk.fate = (later) => this.#fate(later);
      return member.running ? fate : this.#fate(write);
    };
  }

  /** Crashed, or stopped by itself because its disk failed. */
  #isDown(member: TestMember): boolean {
    const fatal = member.events.findIndex(({ kind }) => kind === 'fatal');
    if (fatal >= 0) member.events.splice(fatal, 1);
    return fatal >= 0 || !member.running || this.#ended.has(member);
  }

  #propose(): void {
    const leader = this.cluster.members.find(({ process }) => process?.replica.status().role === 'leader');
    if (leader === undefined) return;
    this.#proposed += 1;
    const text = `command ${this.#proposed}`;
    this.cluster.propose(leader, text).then(
      () => this.acknowledged.push(text),
      () => {},
    );
  }

  #countSnapshots(): void {
    const installed = this.cluster.members.reduce((sum, { events }) => {
      return sum + events.filter(({ kind }) => kind === 'snapshot-installed').length;
    }, 0);
    this.counts.snapshots = installed;
  }

  async #heal(): Promise<void> {
    const { cluster } = this;
    const { hub, members } = cluster;
    hub.heal();
    hub.loss = 0;
    for (const member of members) {
      member.disk.release();
      if (this.#isDown(member)) this.#boot(member);
      member.events.length = 0;
      member.disk.fate = () => ({ kind: 'ok', afterMs: 1 });
    }
    // The first one found to lead may have been replaced without knowing yet.
    await cluster.time.runFor(5000);
    const leader = await cluster.leader(30_000);
    await cluster.commit(leader, 'the end');
    await cluster.converged(60_000);
  }

  #checkEnd(): void {
    const { members, promises } = this.cluster;
    this.violations.push(...promises.violations);
    const [first] = members;
    for (const { name, ledger, events } of members) {
      if (ledger.text !== first?.ledger.text) this.violations.push(`${name} and ${first?.name} differ`);
      for (const event of events) if (event.kind === 'fatal') this.violations.push(`${name}: ${event.error.stack}`);
    }
    const lines = new Set(first?.ledger.records.values());
    for (const text of this.acknowledged) {
      if (!lines.has(text)) this.violations.push(`${text} was acknowledged and is lost`);
    }
    if (lines.size !== first?.ledger.records.size) this.violations.push('a command was applied twice');
  }
}

describe('chaos', () => {
  // Every seed runs to the end within these bounds; a failing one is named and can be put into `fixed`.
  const fixed = [1, 2, 3, 4];
  const fresh = Array.from({ length: 8 }, () => Math.floor(Math.random() * 1e9));
  let promises = 0;
  let acknowledged = 0;
  after(() => {
    // Of the seeds that are always the same: fresh ones may all be unlucky.
    assert.ok(promises > 300 && acknowledged > 150, `${promises} promises and ${acknowledged} answers`);
  });
  for (const seed of [...fixed, ...fresh]) {
    it(`seed ${seed}: nothing acknowledged is lost, no promise is broken, all end up the same`, async () => {
      const chaos = new Chaos(seed);
      await chaos.run(60);
      assert.deepEqual(chaos.violations, [], JSON.stringify(chaos.counts));
      if (!fixed.includes(seed)) return;
      promises += chaos.cluster.promises.promises;
      acknowledged += chaos.acknowledged.length;
    });
  }

  it('the same seed is the same run', async () => {
    const runs = await Promise.all(
      [1, 2].map(async () => {
        const chaos = new Chaos(77);
        await chaos.run(30);
        const { time, members } = chaos.cluster;
        return [time.events, time.now(), chaos.acknowledged, members[0]?.ledger.lines];
      }),
    );
    assert.deepEqual(runs[0], runs[1]);
  });
});
