/** The systemd units: what a process that was taken over could still do, by the account of systemd itself. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { command, requires } from '#cluster-test/requirement.js';

const top = fileURLToPath(new URL('../../../', import.meta.url));
const page = readFileSync(`${top}deploy/README.md`, 'utf8');

/** Of 10; the most that is allowed. */
const exposureMax = { master: 2, agent: 4 } as const;

/** Values of each setting in its order: `A=x`, `A=y` and `B=z` are `A: [x, y]` and `B: [z]`. */
function settings(unit: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(`${top}deploy/systemd/${unit}`, 'utf8').split('\n')) {
    const [, name = '', value = ''] = /^([A-Za-z]+)=(.*)$/.exec(line) ?? [];
    if (name !== '') found.set(name, [...(found.get(name) ?? []), value]);
  }
  return found;
}

describe('the systemd units', () => {
  for (const role of ['master', 'agent'] as const) {
    const unit = `sublet-${role}.service`;

    it(`leave the ${role} an exposure of ${exposureMax[role]} at most, which the page has`, function () {
      requires(this, command('systemd-analyze'));
      const { stdout, stderr } = spawnSync(
        'systemd-analyze',
        ['security', '--offline=true', '--no-pager', `${top}deploy/systemd/${unit}`],
        { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } },
      );
      const [, shown = ''] = /exposure level for \S+: ([0-9.]+) /.exec(stdout) ?? [];
      assert.ok(Number(shown) > 0 && Number(shown) <= exposureMax[role], `${shown} ${stderr}`);
      const [, written = ''] = new RegExp(`\\| ${role} \\| ([0-9.]+) \\|`).exec(page) ?? [];
      // Releases of systemd count a little differently: 257 finds less than 252.
      assert.ok(Math.abs(Number(written) - Number(shown)) <= 0.3, `${shown}, and deploy/README.md has "${written}"`);
    });

    it(`have systemd wait until the ${role} is ready, and watch that it lives`, () => {
      const of = settings(unit);
      assert.deepEqual([of.get('Type'), of.get('NotifyAccess')], [['notify'], ['all']]);
      for (const name of ['WatchdogSec', 'TimeoutStartSec']) assert.equal(of.get(name)?.length, 1, name);
    });

    it(`bound memory, tasks and open files of the ${role}, and give it a folder of its own`, () => {
      const of = settings(unit);
      for (const name of ['MemoryMax', 'TasksMax', 'LimitNOFILE']) assert.equal(of.get(name)?.length, 1, name);
      assert.deepEqual(of.get('StateDirectoryMode'), ['0700']);
      assert.deepEqual(of.get('UMask'), ['0077']);
    });
  }

  it('leave an agent the files of other programs that it writes, and no way to take hidden processes for none', () => {
    const of = settings('sublet-agent.service');
    const writable = of.get('ReadWritePaths')?.flatMap((value) => value.split(' '));
    assert.deepEqual(writable, ['-/etc/cni', '-/var/lib/cni', '-/run/xtables.lock', '/proc/sys/net']);
    for (const name of ['ProtectProc', 'ProcSubset', 'PrivateUsers', 'PrivateNetwork', 'MemoryDenyWriteExecute']) {
      assert.equal(of.get(name), undefined, name);
    }
  });

  it('keep what other programs read of the lease while the agent is stopped', () => {
    const of = settings('sublet-agent.service');
    assert.deepEqual(
      ['RuntimeDirectory', 'RuntimeDirectoryMode', 'RuntimeDirectoryPreserve'].map((name) => of.get(name)),
      [['sublet'], ['0755'], ['yes']],
    );
  });

  it('name the user that sublet.sysusers makes', () => {
    const [user] = settings('sublet-master.service').get('User') ?? [];
    const made = readFileSync(`${top}deploy/systemd/sublet.sysusers`, 'utf8');
    assert.match(made, new RegExp(`^u ${user} - `, 'm'));
  });
});
