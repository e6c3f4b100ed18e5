/** A watcher of real masters whose own master is killed: no gap, no repeat, no revision split. */
import assert from 'node:assert/strict';
import { MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { replicaView } from '#cluster-test/process/replica-view.js';
import type { sublet } from '#proto/sublet.js';

const reopenMs = 100;
const boundMs = 60_000;

/** Follows the watch through any end of a stream, at the next address, and keeps all that came. */
class Watcher implements Disposable {
  clusterId: string;
  revision: number;
  snapshots = 0;
  streams = 0;
  /** Of all changes that came, in order. */
  readonly changes: sublet.v1.Change.$Properties[] = [];
  /** Ids of the last whole snapshot. */
  snapshotIds: string[] = [];
  /** What broke a promise of the protocol. */
  readonly faults: string[] = [];
  readonly #clients: readonly MasterClient[];
  #at: number;
  #stopped = false;
  #staged: string[] | undefined;
  /** The branch that came with `revision`. */
  #branch = '';

  constructor(addresses: readonly string[], first: number, clusterId = '', revision = 0) {
    this.#clients = addresses.map((address) => new MasterClient({ masters: [address] }));
    this.#at = first;
    this.clusterId = clusterId;
    this.revision = revision;
    this.#open();
  }

  [Symbol.dispose](): void {
    this.#stopped = true;
    for (const client of this.#clients) client.close();
  }

  #open(): void {
    const client = this.#clients[this.#at % this.#clients.length];
    if (this.#stopped || client === undefined) return;
    this.streams += 1;
    this.#staged = undefined;
    const request = { clusterId: this.clusterId, fromRevision: this.revision, branch: this.#branch };
    const stream = client.serverStream(agentService.watch, request);
    stream.on('data', (message: sublet.v1.WatchResponse) => this.#take(message));
    // A killed master ends the stream with an error; that is what this is about.
    stream.on('error', () => {
      this.#at += 1;
      setTimeout(() => this.#open(), reopenMs);
    });
  }

  #take({ snapshotBegin, snapshotChunk, snapshotEnd, changes, progress }: sublet.v1.WatchResponse): void {
    if (snapshotBegin) {
      this.#staged = [];
      this.clusterId = snapshotBegin.clusterId ?? '';
    }
    if (snapshotChunk) this.#staged?.push(...(snapshotChunk.agents ?? []).map(({ agentId }) => agentId ?? ''));
    if (snapshotEnd) {
      this.snapshotIds = this.#staged ?? [];
      this.#staged = undefined;
      this.snapshots += 1;
      this.revision = snapshotEnd.revision ?? 0;
      this.#branch = snapshotEnd.branch ?? '';
    }
    if (changes) this.#takeChanges(changes);
    if (progress) this.#advance(progress);
  }

  #advance({ revision, branch }: sublet.v1.Progress.$Properties): void {
    if ((revision ?? 0) <= this.revision) return;
    this.revision = revision ?? 0;
    this.#branch = branch ?? '';
  }

  #takeChanges({ changes, revision, branch }: sublet.v1.Changes.$Properties): void {
    let last = this.revision;
    for (const [at, change] of (changes ?? []).entries()) {
      const own = change.revision ?? 0;
      // The first of a message is beyond everything before it: a repeat or a split revision would not be.
      if (at === 0 ? own <= last : own < last) this.faults.push(`revision ${own} after ${last}`);
      last = own;
      this.changes.push(change);
    }
    if ((revision ?? 0) < last) this.faults.push(`changes to ${last} called ${revision}`);
    this.revision = revision ?? 0;
    this.#branch = branch ?? '';
  }
}

describe('a watch across a leader change', function () {
  this.timeout(180_000);
  let masters: Masters;
  let registrar: PersistentRegistrar;
  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
    registrar = new PersistentRegistrar(masters.addresses);
  });
  after(async () => {
    registrar?.[Symbol.dispose]();
    await masters?.[Symbol.asyncDispose]();
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });

  let killed: MasterProcess;
  /** What the masters acknowledged: agent → revision. */
  const acknowledged = new Map<string, number>();

  async function register(number: number): Promise<void> {
    const { agent, revision } = await registrar.register(number);
    acknowledged.set(agent?.agentId ?? '', revision);
  }

  async function caughtUp(watcher: Watcher, revision: number): Promise<void> {
    await until(`the watcher at ${revision}`, boundMs, () => holds(watcher.revision >= revision));
  }

  it('goes on at another master without gap or repeat, and no revision is split', async () => {
    for (let number = 0; number < 20; number++) await register(number);
    killed = await masters.leader();
    using watcher = new Watcher(masters.addresses, masters.masters.indexOf(killed));
    await caughtUp(watcher, Math.max(...acknowledged.values()));
    assert.equal(watcher.snapshots, 1);
    assert.equal(watcher.snapshotIds.length, 20);
    assert.equal(watcher.changes.length, 0);
    const before = new Set(acknowledged.keys());

    const flow = (async () => {
      for (let number = 20; number < 420; number += 8) {
        await Promise.all(Array.from({ length: 8 }, (_, at) => register(number + at)));
        if (number === 180) await killed.child.kill();
      }
    })();
    await flow;
    await caughtUp(watcher, Math.max(...acknowledged.values()));

    assert.deepEqual(watcher.faults, []);
    assert.equal(watcher.snapshots, 1, 'it resumed by changes alone');
    assert.ok(watcher.streams >= 2);
    const seen = watcher.changes.flatMap(({ agentChanged, revision }) =>
      agentChanged ? [[agentChanged.agentId, revision] as const] : [],
    );
    assert.equal(seen.length, new Set(seen.map(([agentId]) => agentId)).size, 'each agent once');
    const wanted = [...acknowledged].filter(([agentId]) => !before.has(agentId));
    // A retried registration may be acknowledged at a later revision than the one that granted it.
    assert.deepEqual(seen.map(([agentId]) => agentId).toSorted(), wanted.map(([agentId]) => agentId).toSorted());
    const other = masters.masters.find((master) => master !== killed) ?? assert.fail();
    // The watcher may follow another one than this, which learns of a commit a moment later.
    await until(`${other.name} at ${watcher.revision}`, boundMs, async () =>
      holds((await masters.status(other)).appliedIndex >= watcher.revision),
    );
    const history = (await replicaView(other.api)).history.filter(({ what }) => what === 'register');
    assert.deepEqual(
      seen.map(([agentId, revision]) => [agentId, revision]),
      history.slice(-seen.length).map(({ who, revision }) => [who, revision]),
    );
  });

  it('begins with a snapshot when it is too far behind, and goes on with changes', async () => {
    masters.restart(killed);
    await masters.ready([killed]);
    const { clusterId } = await masters.status(killed);
    // A master that has just started has no events of before.
    using watcher = new Watcher([killed.api], 0, clusterId, 1);
    await caughtUp(watcher, Math.max(...acknowledged.values()));
    assert.equal(watcher.snapshots, 1);
    assert.deepEqual(watcher.snapshotIds.toSorted(), [...acknowledged.keys()].toSorted());
    await register(1_000);
    await caughtUp(watcher, Math.max(...acknowledged.values()));
    assert.deepEqual(
      watcher.changes.map(({ agentChanged }) => agentChanged?.agentId),
      ['agent-1000'],
    );
    assert.deepEqual(watcher.faults, []);
  });

  it('begins with a snapshot when its revision is of another cluster', async () => {
    const leader = await masters.leader();
    using watcher = new Watcher([leader.api], 0, 'another-cluster', Math.max(...acknowledged.values()));
    await until('a snapshot', boundMs, () => holds(watcher.snapshots === 1));
    assert.equal(watcher.snapshotIds.length, acknowledged.size);
    assert.equal(watcher.clusterId, 'test');
  });
});
