/**
 * One backup restored on each of three machines, as a script for all machines has it: three clusters of one id. Real masters
 * of a full list of members find each other, and none of them grants anything until one is left.
 */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { MasterClient, NoMasterError } from '#api/master-client.js';
import { agentService } from '#api/services.js';
import { benchConfig } from '#cluster-test/bench/plan.js';
import { command, operate } from '#cluster-test/operations/operator.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { showOnFailure } from '#cluster-test/process/fixture.js';
import { type MasterProcess, Masters, peerOf } from '#cluster-test/process/masters.js';

const boundMs = 40_000;

describe('a backup that was restored on each of three machines', function () {
  this.timeout(200_000);
  let masters: Masters;

  before(async () => {
    masters = await Masters.start({ count: 3, config: benchConfig() });
  });
  afterEach(function () {
    showOnFailure(this, masters.masters);
  });
  after(() => masters[Symbol.asyncDispose]());

  /** The subnet that a new host gets from this master, or why it gets none. */
  async function register({ api }: MasterProcess, agentId: string, nodeIp: string): Promise<string> {
    const client = new MasterClient({ masters: [api], timeoutMs: 10_000 });
    try {
      const request = { agentId, instanceId: `i-${agentId}`, sequence: 1, nodeIp };
      const { agent } = await client.call(agentService.register, request, { idempotent: true });
      return agent?.overlays?.[0]?.subnet ?? 'no subnet';
    } catch (error) {
      if (!(error instanceof NoMasterError)) throw error;
      return error.message;
    } finally {
      client.close();
    }
  }

  function start(master: MasterProcess, flags: readonly string[]): void {
    const own = master.args.slice(0, master.args.indexOf('--cluster-id'));
    master.child = new Child([...own, '--cluster-id', 'again', ...flags]);
  }

  it('grants nothing, says so at each, and goes on when one is left', async () => {
    const file = join(masters.folder, 'plan.snapshot');
    const [m1, m2, m3] = masters.masters;
    assert.ok(m1 !== undefined && m2 !== undefined && m3 !== undefined);
    const all = [m1, m2, m3];
    assert.match(await register(m1, 'a', '10.0.0.1'), /^9\./);
    await operate(masters, 'snapshot', 'save', file);
    await Promise.all(all.map(({ child }) => child.kill()));
    const listed = all.flatMap((member) => ['--member', `${member.name}=${peerOf(member)}`]);
    for (const master of all) {
      rmSync(master.dataDir, { recursive: true });
      const place = ['--data-dir', master.dataDir, '--name', master.name, '--peer', peerOf(master)];
      const restored = await command('snapshot', 'restore', file, ...place, '--cluster-id', 'again');
      assert.equal(restored.code, 0, restored.output);
    }
    for (const master of all) start(master, listed);

    for (const master of all) {
      await until(`${master.name} names another incarnation`, boundMs, async () => {
        const ready = await fetch(`http://${master.http}/readyz`);
        const text = await ready.text();
        if (ready.status === 503 && /two clusters have the id "again"/.test(text)) return true;
        throw new Error(`${ready.status} ${text}`);
      });
      const { output } = await command('status', '--master', master.api);
      assert.match(output, /nothing is granted here, and it is not ready: two clusters have the id "again"/);
    }
    for (const master of [m1, m2]) {
      const ended = await command('adoption', 'end', '--yes', '--although-missing', '1', '--master', master.api);
      assert.equal(ended.code, 0, ended.output);
    }
    assert.match(await register(m1, 'x', '10.0.0.2'), /nothing is granted here: two clusters have the id "again"/);
    assert.match(await register(m2, 'y', '10.0.0.3'), /nothing is granted here: two clusters have the id "again"/);

    for (const other of [m2, m3]) {
      await other.child.kill();
      rmSync(other.dataDir, { recursive: true });
    }
    const granted = await until('m1 grants', boundMs, async () => {
      const subnet = await register(m1, 'x', '10.0.0.2');
      if (subnet.startsWith('9.')) return subnet;
      throw new Error(subnet);
    });
    for (const other of [m2, m3]) {
      start(other, ['--join', peerOf(m1)]);
      await until(`${other.name} waits`, boundMs, () => holds(/has no member/.test(other.child.output)));
      const added = await command('members', 'add', `${other.name}=${peerOf(other)}`, '--master', m1.api);
      assert.equal(added.code, 0, added.output);
      await until(`${other.name} votes`, boundMs, async () => {
        const promoted = await command('members', 'promote', other.name, '--master', m1.api);
        if (promoted.code !== 0) throw new Error(promoted.output);
        return true;
      });
    }
    await masters.ready(all);
    const other = await register(m2, 'y', '10.0.0.3');
    assert.match(other, /^9\./);
    assert.notEqual(other, granted);
  });
});
