/**
 * The role of deploy/ansible on hosts that systemd boots, by SSH as from an operator's machine: a cluster that is installed,
 * set up again without a change, upgraded, and given another setting. It takes minutes: `npm run soak` has it.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atEnd, type Netns, Underlay } from '#cluster-test/host/netns.js';
import { buildPackage, laterPackage, packageTools, top, upgraded } from '#cluster-test/packages/built-package.js';
import { makeRoot, NspawnHost, nspawnTools } from '#cluster-test/packages/nspawn-host.js';
import { sublet, subletMain } from '#cluster-test/process/child.js';
import { command, condition, requires, runsWith } from '#cluster-test/requirement.js';
import { stopsAtFailure } from '#cluster-test/suite-order.js';

const minutes = Number(process.env.SUBLET_PACKAGE_SOAK_MINUTES ?? 0);
/** A master that is a host, too, and two more of each. */
const groups = { sublet_masters: ['m1', 'm2', 'm3'], sublet_agents: ['h1', 'm3'] } as const;
const addresses = { m1: '10.77.0.1', m2: '10.77.0.2', m3: '10.77.0.3', h1: '10.77.0.11' } as const;
type Name = keyof typeof addresses;
const names = Object.keys(addresses) as Name[];

describe('the role of Ansible on hosts', function () {
  stopsAtFailure(this);
  this.timeout(600_000);
  let folder = '';
  let removeFolder = (): void => {};
  let underlay: Underlay | undefined;
  let controller: Netns;
  let hosts: ReadonlyMap<Name, NspawnHost> = new Map();

  before(async function () {
    runsWith(this, condition(minutes > 0, 'it takes minutes: npm run soak has it'));
    requires(this, ...packageTools, ...nspawnTools, ...['ansible-playbook', 'ssh', 'ssh-keygen'].map(command));
    // Layers of hosts can't lie on the layers of a container, as /tmp may.
    folder = mkdtempSync('/var/tmp/sublet-ansible-');
    removeFolder = atEnd(() => rmSync(folder, { recursive: true }));
    const packages = join(folder, 'packages');
    mkdirSync(packages);
    const built = buildPackage(packages);
    execFileSync('mv', [built, join(packages, 'first.deb')]);
    laterPackage(join(packages, 'first.deb'), join(packages, 'later.deb'));

    const root = join(folder, 'debian');
    makeRoot(12, root, ['openssh-server', 'python3-minimal', 'python3-apt']);
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'key')]);
    mkdirSync(join(root, 'root/.ssh'), { mode: 0o700, recursive: true });
    cpSync(join(folder, 'key.pub'), join(root, 'root/.ssh/authorized_keys'));

    const wires = new Underlay();
    underlay = wires;
    controller = wires.host('controller', '10.77.0.100/24');
    const nets = names.map((name) => [name, wires.host(name, `${addresses[name]}/24`)] as const);
    hosts = new Map(
      await Promise.all(
        nets.map(async ([name, net]) => {
          const address = `${addresses[name]}/24`;
          return [name, await NspawnHost.boot({ net, address, root, folder, packages })] as const;
        }),
      ),
    );
    cpSync(join(top, 'deploy/ansible'), join(folder, 'ansible'), { recursive: true });
    const lines = Object.entries(groups).flatMap(([group, members]) => [
      `[${group}]`,
      ...members.map((name) => `${name} ansible_host=${addresses[name]}`),
    ]);
    const options = '-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null';
    writeFileSync(
      join(folder, 'ansible/inventory.ini'),
      `${lines.join('\n')}\n[all:vars]\nansible_user=root\nansible_ssh_private_key_file=${join(folder, 'key')}\nansible_ssh_common_args=${options}\n`,
    );
    mkdirSync(join(folder, 'bin'));
    writeFileSync(join(folder, 'bin/sublet'), `#!/bin/sh\nexec ${process.execPath} ${subletMain} "$@"\n`, {
      mode: 0o755,
    });
    const made = await sublet(['ca', 'init', '--ca', join(folder, 'ca'), '--masters', 'm1,m2,m3', '--admin', 'alice']);
    assert.equal(made.code, 0, made.output);
  });
  after(async () => {
    for (const host of hosts.values()) await host.remove();
    underlay?.remove();
    removeFolder();
  });

  /** Runs site.yml. Returns how many tasks changed something, by host. */
  async function play(settings: object): Promise<ReadonlyMap<string, number>> {
    const vars = { sublet_ca: join(folder, 'ca'), ...settings };
    const { code, stdout, stderr } = await controller.run(
      [
        ...['ansible-playbook', '-i', join(folder, 'ansible/inventory.ini'), join(folder, 'ansible/site.yml')],
        ...['-e', JSON.stringify(vars)],
      ],
      {
        env: {
          ANSIBLE_NOCOWS: '1',
          ANSIBLE_NOCOLOR: '1',
          HOME: folder,
          PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
        },
      },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    return new Map(
      [...stdout.matchAll(/^(\w+) +: ok=\d+ +changed=(\d+)/gm)].map(([, name = '', changed]) => [
        name,
        Number(changed),
      ]),
    );
  }
  const first = () => ({ sublet_package: join(folder, 'packages/first.deb') });
  const later = () => ({ sublet_package: join(folder, 'packages/later.deb') });
  const on = (name: Name, line: string): Promise<string> => (hosts.get(name) ?? assert.fail()).sh(line);
  /** Of the clock that all of them have, in microseconds since the boot of this machine. */
  const when = async (name: Name, what: string): Promise<number> =>
    Number(await on(name, `systemctl show -P ${what}TimestampMonotonic sublet-master`));
  const socket = '--master unix:/var/lib/sublet/admin.sock';

  it('makes a cluster of three masters and two hosts that are as they should be', async () => {
    await play(first());
    const { members } = JSON.parse(await on('m1', `sublet members -o json ${socket}`));
    assert.equal(members.length, 3);
    assert.match(await on('m1', `sublet agents ${socket}`), /h1[\s\S]*m3/);
    for (const name of groups.sublet_agents) assert.match(await on(name, 'sublet agent status'), /as it should be/);
  });

  it('changes nothing where nothing is to be changed', async () => {
    const changed = await play(first());
    assert.deepEqual(
      [...changed].filter(([, count]) => count > 0),
      [],
    );
  });

  it('upgrades the hosts, and the masters one after the other: none is stopped before the one before it is ready', async () => {
    await play(later());
    const version = new RegExp(upgraded.replaceAll('.', '\\.'));
    for (const name of names) assert.match(await on(name, 'sublet version'), version);
    for (const [at, name] of groups.sublet_masters.slice(1).entries()) {
      const before = groups.sublet_masters[at] ?? assert.fail();
      const [ready, started] = [await when(before, 'ActiveEnter'), await when(name, 'ExecMainStart')];
      assert.ok(started > ready, `${name} was started at ${started}, and ${before} ready at ${ready}`);
    }
  });

  it('brings a changed setting to running masters and agents', async () => {
    await play({ ...later(), sublet_master_settings: { log: { level: 'debug' } } });
    for (const name of groups.sublet_masters) assert.match(await on(name, 'cat /etc/sublet/master.json'), /"debug"/);
    const { members } = JSON.parse(await on('m1', `sublet members -o json ${socket}`));
    assert.ok(members.every(({ alive }: { alive?: boolean }) => alive === true));
  });
});
