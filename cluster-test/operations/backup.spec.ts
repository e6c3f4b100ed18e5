/** docs/operations/backup.md with real processes: a restore, and a recovery from one survivor, both into adoption. */
import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '@grpc/grpc-js';
import { isServiceError, MasterClient } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig, registration } from '#cluster-test/bench/plan.js';
import { command, endAdoption, operate, running } from '#cluster-test/operations/operator.js';
import { Storm } from '#cluster-test/operations/storm.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { type Masters, shownMasters } from '#cluster-test/process/masters.js';
import type { sublet } from '#proto/sublet.js';

type Lease = { readonly number: number; readonly vtepIp: string; readonly subnet: string; readonly epoch: number };

const boundMs = 20_000;
const jump = 2 ** 32;
const agents = 40;

async function register(masters: Masters, number: number, lease?: Lease): Promise<Lease> {
  const held: sublet.v1.HeldLease.$Properties | null =
    lease === undefined ? null : { vtepIp: lease.vtepIp, subnets: [{ overlay: 'bench', subnet: lease.subnet }] };
  const request = { ...registration(number, lease === undefined ? 1 : 2), held };
  const client = new MasterClient({ masters: running(masters), timeoutMs: 10_000 });
  try {
    const response = await client.call(agentService.register, request, { idempotent: true });
    const [overlay] = response.agent?.overlays ?? [];
    return {
      number,
      vtepIp: response.agent?.vxlan?.vtepIp ?? '',
      subnet: overlay?.subnet ?? '',
      epoch: response.lease?.epoch ?? 0,
    };
  } finally {
    client.close();
  }
}

/** What an agent says by the epoch of its lease has no effect, and the answer is that it must register again. */
async function isFenced(masters: Masters, { number, epoch }: Lease): Promise<void> {
  const client = new MasterClient({ masters: running(masters), timeoutMs: 10_000 });
  const stale = { agentId: `agent-${number}`, instanceId: `instance-${number}`, epoch };
  const aborted = (error: unknown): boolean => isServiceError(error) && error.code === status.ABORTED;
  try {
    await assert.rejects(client.call(agentService.leave, stale, { idempotent: true }), aborted);
    await assert.rejects(client.call(agentService.reportStatus, stale, { idempotent: true }), aborted);
  } finally {
    client.close();
  }
}

/** Every agent comes back with what it says it holds, and gets exactly that; a stranger gets nothing until the end. */
async function adopt(masters: Masters, leases: readonly Lease[]): Promise<void> {
  for (const lease of leases) {
    await isFenced(masters, lease);
    const { vtepIp, subnet, epoch } = await register(masters, lease.number, lease);
    assert.deepEqual([vtepIp, subnet], [lease.vtepIp, lease.subnet], `agent-${lease.number}`);
    assert.ok(epoch > jump, `epoch ${epoch}`);
  }
  const stranger = 100_000;
  await assert.rejects(
    register(masters, stranger),
    (error) => isServiceError(error) && /in adoption: only held blocks are leased/.test(error.details),
  );
  assert.match(await operate(masters, 'adoption'), /^On: /);
  await endAdoption(masters);
  const fresh = await register(masters, stranger);
  assert.ok(fresh.epoch > jump, `epoch ${fresh.epoch}`);
  assert.ok(!leases.some(({ vtepIp, subnet }) => vtepIp === fresh.vtepIp || subnet === fresh.subnet));
}

describe('backup and disaster', function () {
  this.timeout(180_000);
  const start = shownMasters(this);

  it('row 60: saves a backup under load, finds one that is damaged, and restores it into a new cluster', async () => {
    await using masters = await start({ count: 3, config: benchConfig() });
    const file = join(masters.folder, 'plan.snapshot');
    const leases: Lease[] = [];
    for (let number = 0; number < agents; number++) leases.push(await register(masters, number));
    const leader = await masters.leader();
    const follower = masters.masters.find((master) => master !== leader);
    if (follower === undefined) throw new RangeError('no follower');
    {
      const addresses = (): readonly string[] => [leader.api];
      await using storm = new Storm({ addresses, clients: 2, pauseMs: 5, first: 1_000 });
      await until('load', boundMs, () => holds(storm.acknowledged > 20));
      const saved = await command('snapshot', 'save', file, '--master', follower.api);
      assert.equal(saved.code, 0, saved.output);
      assert.match(saved.output, new RegExp(`by ${follower.name}`));
    }
    const inspected = await command('snapshot', 'inspect', file, '-o', 'json');
    const facts = JSON.parse(inspected.output);
    assert.ok(facts.agents >= agents + 20, inspected.output);
    // Registered after the backup: only the agents themselves know of these.
    for (let number = agents; number < 2 * agents; number++) leases.push(await register(masters, number));

    const damaged = join(masters.folder, 'damaged.snapshot');
    const bytes = readFileSync(file);
    bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
    writeFileSync(damaged, bytes);
    const found = await command('snapshot', 'inspect', damaged);
    assert.deepEqual([found.code, /wrong sum/.test(found.output)], [1, true], found.output);
    writeFileSync(damaged, readFileSync(file).subarray(0, -10));
    assert.match((await command('snapshot', 'inspect', damaged)).output, /was not written to its end/);

    await Promise.all(masters.masters.map(({ child }) => child.kill()));
    for (const { dataDir } of masters.masters) rmSync(dataDir, { recursive: true });
    const dataDir = join(masters.folder, 'new');
    const restored = await command(
      ...['snapshot', 'restore', file, '--data-dir', dataDir, '--name', 'm1', '--cluster-id', 'again', '--unverified'],
    );
    assert.equal(restored.code, 0, restored.output);
    const again = await masters.launch('m1', dataDir, ['--cluster-id', 'again']);
    await masters.ready([again]);
    await adopt(masters, leases);
    // An existing store is never overwritten.
    const twice = await command(
      'snapshot',
      'restore',
      file,
      '--data-dir',
      dataDir,
      '--cluster-id',
      'third',
      '--unverified',
    );
    assert.deepEqual([twice.code, /holds a store already/.test(twice.output)], [1, true], twice.output);
  });

  it('recovers from one survivor when the quorum is lost for good, loudly', async () => {
    await using masters = await start({ count: 3, config: benchConfig() });
    const leases: Lease[] = [];
    for (let number = 0; number < agents; number++) leases.push(await register(masters, number));
    const leader = await masters.leader();
    const survivor = masters.masters.find((master) => master !== leader);
    if (survivor === undefined) throw new RangeError('no follower');
    for (let number = agents; number < 2 * agents; number++) leases.push(await register(masters, number));
    const lost = masters.masters.filter((master) => master !== survivor);
    await Promise.all(lost.map(({ child }) => child.kill()));
    // Without a leader a backup is refused, unless whatever the survivor has will do.
    const file = join(masters.folder, 'stale.snapshot');
    const refused = await command('snapshot', 'save', file, '--master', survivor.api);
    assert.deepEqual([refused.code, /snapshot save .* --stale/.test(refused.output)], [1, true], refused.output);
    const saved = await command('snapshot', 'save', file, '--stale', '--master', survivor.api);
    assert.equal(saved.code, 0, saved.output);
    await survivor.child.kill();
    const recover = ['snapshot', 'recover', '--data-dir', survivor.dataDir, '--cluster-id', 'again'];
    const asked = await command(...recover);
    assert.equal(asked.code, 2, asked.output);
    assert.match(
      asked.output,
      /would begin a cluster of its own, without m\d at .*, m\d at .*--yes-i-lost-the-quorum/s,
    );
    const recovered = await command(...recover, '--yes-i-lost-the-quorum');
    assert.equal(recovered.code, 0, recovered.output);
    assert.match(recovered.output, /The quorum of cluster test was given up\. Never start m\d/);
    masters.restart(survivor, ['--cluster-id', 'again']);
    await masters.ready([survivor]);
    // One of the dead is started by mistake: it gets nothing out of the new cluster.
    masters.restart(leader);
    await until('the dead one is refused', boundMs, () =>
      holds(/is a member of cluster again, the caller is of cluster test: to join/.test(leader.child.output)),
    );
    const { members } = JSON.parse((await command('members', '-o', 'json', '--master', survivor.api)).output);
    assert.deepEqual([members.length, members[0]?.name], [1, survivor.name]);
    await leader.child.kill();
    await adopt(masters, leases);
  });
});
