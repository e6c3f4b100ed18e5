/** A follower that was away for longer than the log is kept gets a streamed snapshot, while registrations go on. */
import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { metric } from '#cluster-test/bench/metrics.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters } from '#cluster-test/process/masters.js';
import { PersistentRegistrar } from '#cluster-test/process/persistent-registrar.js';
import { replicaView } from '#cluster-test/process/replica-view.js';

/** Enough for a snapshot of several chunks. */
const agents = 4_000;
const atOnce = 128;
const boundMs = 60_000;
const killsMax = 6;
/** Until a leader notices that a connection broke; after that it had sent all before the kill. */
const noticedMs = 10_000;

/** Bytes of all files below. A file that is deleted while it is looked for counts as none. */
function bytesOf(folder: string): number {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((sum, bytes) => sum + bytes, 0);
}

describe('a follower that was away past the compaction point', function () {
  this.timeout(240_000);
  let masters: Masters;
  let registrar: PersistentRegistrar;
  let leader: MasterProcess;
  let away: MasterProcess;
  let registered = 0;
  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig(), flags: ['--retain-entries', '50'] });
    registrar = new PersistentRegistrar(masters.addresses);
    leader = await masters.leader();
    away = masters.masters.find((master) => master !== leader) ?? leader;
  });
  after(async () => {
    registrar?.[Symbol.dispose]();
    await masters?.[Symbol.asyncDispose]();
  });
  afterEach(function () {
    showOnFailure(this, masters?.masters);
  });

  async function register(count: number): Promise<void> {
    const end = registered + count;
    const worker = async (): Promise<void> => {
      while (registered < end) await registrar.register(registered++);
    };
    await Promise.all(Array.from({ length: Math.min(atOnce, count) }, worker));
  }

  /** Registers a few agents now and then until `done`; gives how many. */
  async function goOnRegistering(done: () => boolean): Promise<number> {
    const begin = registered;
    do await register(8);
    while (!done());
    return registered - begin;
  }

  /** Said by whichever master led then. */
  const failedSnapshots = (): number =>
    masters.masters.flatMap(({ child }) => child.output.split('a snapshot to a member failed').slice(1)).length;

  it('lacks entries that no master keeps any more', async () => {
    await register(100);
    await away.child.kill();
    const has = (await masters.status(leader)).appliedIndex;
    await register(agents);
    await until('the log compacted', boundMs, async () =>
      holds((await metric(leader.http, 'sublet_raft_first_index')) > has + 1),
    );
  });

  it('starts again cleanly when it is killed in the middle of the snapshot', async () => {
    let done = false;
    const flow = goOnRegistering(() => done);
    try {
      for (let kills = 0; kills < killsMax && failedSnapshots() === 0; kills++) {
        const before = bytesOf(away.dataDir);
        masters.restart(away);
        // Its files grow by what it receives: it is killed after the first part, long before the last.
        await until('the snapshot to come in', boundMs, () => holds(bytesOf(away.dataDir) > before + 200_000));
        await away.child.kill();
        // The leader notices when the connection breaks.
        await until('the leader to notice', noticedMs, () => holds(failedSnapshots() > 0)).catch(() => undefined);
      }
    } finally {
      done = true;
      await flow;
    }
    assert.ok(failedSnapshots() > 0, `none of ${killsMax} kills hit a snapshot`);
  });

  it('gets the snapshot and then the log, while registrations go on', async () => {
    masters.restart(away);
    let back = false;
    const flow = goOnRegistering(() => back);
    try {
      await until('the snapshot installed', boundMs, async () =>
        holds((await metric(away.http, 'sublet_snapshots_installed_total')) >= 1),
      );
    } finally {
      back = true;
    }
    assert.ok((await flow) > 0, 'registrations went on');
    const end = (await masters.status(leader)).appliedIndex;
    await until('the follower level', boundMs, async () => holds((await masters.status(away)).appliedIndex >= end));
    const [one, other] = await Promise.all([replicaView(leader.api), replicaView(away.api)]);
    assert.equal(other.agents.length, registered);
    assert.deepEqual(other.json, one.json);
  });

  it('starts from what it received', async () => {
    await away.child.kill();
    masters.restart(away);
    await masters.ready([away]);
    await register(10);
    const end = (await masters.status(leader)).appliedIndex;
    await until('the follower level', boundMs, async () => holds((await masters.status(away)).appliedIndex >= end));
    const [one, other] = await Promise.all([replicaView(leader.api), replicaView(away.api)]);
    assert.deepEqual(other.json, one.json);
  });
});
