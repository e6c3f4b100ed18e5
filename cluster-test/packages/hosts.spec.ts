/**
 * The package on hosts that systemd boots: three Debian hosts, a master and an agent on each. Installed, upgraded one after the
 * other in a storm of registrations, removed and purged. It takes minutes: `npm run soak` has it.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StormClient } from '#cluster-test/faults/storm-client.js';
import { atEnd, type Netns, Underlay } from '#cluster-test/host/netns.js';
import { buildPackage, laterPackage, packageTools, upgraded } from '#cluster-test/packages/built-package.js';
import {
  type DebianRelease,
  makeRoot,
  NspawnHost,
  nspawnTools,
  packagesAt,
} from '#cluster-test/packages/nspawn-host.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { command, condition, requires, runsWith } from '#cluster-test/requirement.js';

const minutes = Number(process.env.SUBLET_PACKAGE_SOAK_MINUTES ?? 0);
const boundMs = 120_000;
const masterJson = '/etc/sublet/master.json';
const agentJson = '/etc/sublet/agent.json';
/** Registrations between two steps of the upgrade. */
const answersBetween = 50;

type Site = {
  readonly underlay: Underlay;
  readonly client: Netns;
  readonly hosts: readonly NspawnHost[];
  readonly addresses: readonly string[];
};

describe('the Debian package on hosts', function () {
  this.timeout(900_000);
  // Layers of hosts can't lie on the layers of a container, as /tmp may.
  let folder = '';
  let out = '';
  let removeFolder = (): void => {};

  before(function () {
    runsWith(this, condition(minutes > 0, 'it takes minutes: npm run soak has it'));
    requires(this, ...packageTools, ...nspawnTools, command('lintian'));
    folder = mkdtempSync('/var/tmp/sublet-hosts-');
    removeFolder = atEnd(() => rmSync(folder, { recursive: true }));
    out = join(folder, 'out');
    mkdirSync(out);
    const built = buildPackage(out);
    execFileSync('mv', [built, join(out, 'first.deb')]);
    laterPackage(join(out, 'first.deb'), join(out, 'later.deb'));
  });
  after(() => removeFolder());

  it('is the same file, byte by byte, when it is built again', () => {
    const again = join(folder, 'again');
    mkdirSync(again);
    const files = [join(out, 'first.deb'), buildPackage(again)];
    execFileSync('cmp', files);
  });

  it('has nothing that lintian finds wrong, but for what its overrides give a reason for', () => {
    const compression = 'uses-no-compression-for-control-tarball,uses-no-compression-for-data-tarball';
    const args = ['--no-cfg', '--allow-root', '--suppress-tags', compression, join(out, 'first.deb')];
    assert.equal(execFileSync('lintian', args, { encoding: 'utf8' }), '');
  });

  for (const release of [12, 13] as const) {
    describe(`on Debian ${release}`, () => {
      let site: Site | undefined;
      before(async () => {
        site = await start(release);
      });
      after(async () => {
        for (const host of site?.hosts ?? []) await host.remove();
        site?.underlay.remove();
      });
      const running = (): Site => {
        assert.ok(site !== undefined);
        return site;
      };
      const all = (work: (host: NspawnHost, at: number) => Promise<void>): Promise<unknown> =>
        Promise.all(running().hosts.map(work));

      it('is installed, and starts and enables nothing', async () => {
        await all(async (host) => {
          await install(host, 'first.deb');
          await host.sh('id sublet && test -e /etc/sublet/master.json.example && sublet version');
          for (const unit of ['sublet-master', 'sublet-agent']) {
            assert.equal((await host.run(['systemctl', 'is-enabled', unit])).stdout.trim(), 'disabled');
            assert.equal((await host.run(['systemctl', 'is-active', unit])).stdout.trim(), 'inactive');
          }
        });
      });

      it('runs masters that are not root and agents that build all of an overlay', async () => {
        const { addresses } = running();
        await all(async (host, at) => {
          await host.write(masterJson, masterConfig(addresses, at));
          await host.write(agentJson, agentConfig(addresses, at));
          await host.sh(`runuser -u sublet -- sublet config check ${masterJson} && sublet config check ${agentJson}`);
          await host.sh('systemctl enable --now sublet-master sublet-agent');
        });
        await all(async (host) => {
          await until('the agent has built', boundMs, async () =>
            holds((await host.sh('sublet agent status')).includes('this host is as it should be')),
          );
          assert.match(await host.sh('ps -o user= -C MainThread,node'), /^sublet$/m);
          assert.match(await host.sh('ip -d link show vtep1024'), /vxlan id 1024/);
          assert.match(await host.sh('iptables-save'), /SUBLET-FORWARD/);
          assert.match(await host.sh('ipset list -t'), /^Name: overlay$/m);
          assert.match(await host.sh('cat /etc/cni/net.d/dcos.conflist'), /"m-dcos"/);
          assert.equal((await host.sh('cat /proc/sys/net/ipv4/ip_forward')).trim(), '1');
          assert.equal(
            (await host.sh('stat -c %a,%U /var/lib/sublet /var/lib/sublet-agent')).trim(),
            '700,sublet\n700,root',
          );
        });
        const [first] = running().hosts;
        for (const [unit, max] of [
          ['sublet-master', '20'],
          ['sublet-agent', '40'],
        ])
          await first?.sh(`systemd-analyze security --no-pager --threshold=${max} ${unit}`);
      });

      it('is upgraded one host after the other in a storm: nothing is lost, and the configuration is as it was', async () => {
        const { hosts, addresses, client } = running();
        const storm = new StormClient(client);
        const masters = addresses.map((address) => `${address}:7070`);
        const counts = () => storm.ask({ kind: 'counts' });
        const flow = async (): Promise<void> => {
          const from = (await counts()).acknowledged;
          await until('registrations', boundMs, async () =>
            holds((await counts()).acknowledged > from + answersBetween),
          );
        };
        const plan = { first: 1, agentsMax: 20_000, workers: 2, pauseMs: 10, seed: 1 };
        await storm.ask({ kind: 'go', plan: { ...plan, masters, logFile: join(folder, `storm-${release}`) } });
        await flow();
        for (const [at, host] of hosts.entries()) {
          await until(`m${at + 1} may stop`, boundMs, async () => {
            const { members } = JSON.parse(
              await host.sh('sublet --master $(hostname -I | cut -d" " -f1):7070 members -o json'),
            );
            const own = members.find(({ name }: { name: string }) => name === `m${at + 1}`);
            return holds(own?.alive === true && (own.stopRisk ?? '') === '');
          });
          await host.sh('echo "{}" > /etc/sublet/master.json.example');
          const before = await host.sh(`sha256sum ${masterJson} ${agentJson} /etc/sublet/*.example`);
          await install(host, 'later.deb');
          assert.equal(await host.sh(`sha256sum ${masterJson} ${agentJson} /etc/sublet/*.example`), before);
          await until(`m${at + 1} is ready`, boundMs, () => ready(host, 7072));
          await until(`the agent of m${at + 1} is ready`, boundMs, () => ready(host, 7073));
          const status = await host.sh('sublet --master $(hostname -I | cut -d" " -f1):7070 status');
          assert.match(status, new RegExp(`answered by +m${at + 1}, version ${upgraded.replaceAll('.', '\\.')}`));
          await flow();
        }
        await storm.ask({ kind: 'pause' });
        const { wrong, acknowledged, repeated, longestWaitMs } = await storm.ask({ kind: 'ask-all-again' });
        assert.deepEqual(wrong, []);
        assert.ok(repeated >= acknowledged);
        console.log(
          `        ${acknowledged} registrations on three upgrades, none lost, longest wait ${Math.round(longestWaitMs)} ms`,
        );
        await storm.kill();
      });

      it('goes back to the former version, as the same member with its data and its networks', async () => {
        const [host] = running().hosts;
        assert.ok(host !== undefined);
        const fields = '"(instanceId|epoch|vtepIp|vtepMac|subnet)":("[^"]*"|[0-9]+)';
        const networks = `ip -d link show vtep1024 && grep -oE '${fields}' /var/lib/sublet-agent/lease`;
        const before = await host.sh(`${networks} && cat ${masterJson} ${agentJson}`);
        await install(host, 'first.deb');
        await until('m1 is ready', boundMs, () => ready(host, 7072));
        await until('the agent of m1 is ready', boundMs, () => ready(host, 7073));
        assert.equal(await host.sh(`${networks} && cat ${masterJson} ${agentJson}`), before);
        const status = await host.sh('sublet --master $(hostname -I | cut -d" " -f1):7070 status');
        assert.match(status, /answered by +m1, version 0\.1\.0/);
        await install(host, 'later.deb');
        await until('m1 is ready again', boundMs, () => ready(host, 7072));
      });

      it('leaves a service alone whose configuration the new version does not take, and says why', async () => {
        const [host] = running().hosts;
        assert.ok(host !== undefined);
        const pid = () => host.sh('systemctl show -p MainPID --value sublet-agent');
        const before = await pid();
        const good = await host.sh(`cat ${agentJson}`);
        await host.write(agentJson, '{"no_such_key": 1}');
        const { code, stdout, stderr } = await host.run(['dpkg', '--install', `${packagesAt}/later.deb`]);
        assert.equal(code, 0, stderr);
        assert.match(`${stdout}${stderr}`, /no_such_key[\s\S]*sublet-agent is not restarted/);
        assert.equal(await pid(), before);
        await host.write(agentJson, good);
        await host.sh('systemctl restart sublet-agent');
      });

      it('is removed with its services stopped and the overlay in place, and purged with its data', async () => {
        const [host] = running().hosts;
        assert.ok(host !== undefined);
        await host.sh('dpkg --remove sublet');
        assert.equal((await host.run(['systemctl', 'is-active', 'sublet-master'])).stdout.trim(), 'inactive');
        await host.sh(`ip link show vtep1024 && test -e ${masterJson} && test -d /var/lib/sublet/sublet`);
        await host.sh('touch /etc/sublet/key.pem && dpkg --purge sublet');
        await host.sh('test -e /etc/sublet/key.pem');
        for (const path of [
          masterJson,
          agentJson,
          '/var/lib/sublet',
          '/var/lib/sublet-agent',
          '/usr/lib/sublet',
          '/usr/bin/sublet',
        ])
          assert.equal((await host.run(['test', '-e', path])).code, 1, path);
        assert.equal(await host.sh('find /etc/systemd/system -name "sublet*"'), '');
      });
    });
  }

  async function start(release: DebianRelease): Promise<Site> {
    const root = join(folder, `debian-${release}`);
    makeRoot(release, root);
    const underlay = new Underlay();
    const addresses = [1, 2, 3].map((at) => `10.77.0.${at}`);
    const client = underlay.host('client', '10.77.0.100/24');
    const nets = addresses.map((address, at) => underlay.host(`h${at + 1}`, `${address}/24`));
    const hosts = await Promise.all(
      nets.map((net, at) => NspawnHost.boot({ net, address: `${addresses[at]}/24`, root, folder, packages: out })),
    );
    return { underlay, client, hosts, addresses };
  }
});

/** Answers in time, or "not yet". */
async function ready(host: NspawnHost, port: number): Promise<true | undefined> {
  const script = `fetch('http://127.0.0.1:${port}/readyz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))`;
  return holds((await host.run(['/usr/lib/sublet/bin/node', '-e', script])).code === 0);
}

async function install(host: NspawnHost, name: string): Promise<void> {
  await host.sh(`dpkg --install ${packagesAt}/${name}`);
}

function masterConfig(addresses: readonly string[], at: number): string {
  return JSON.stringify({
    name: `m${at + 1}`,
    listen: `${addresses[at]}:7070`,
    peer_listen: `${addresses[at]}:7071`,
    insecure: true,
    cluster: {
      id: 'packages',
      members: addresses.map((address, of) => ({ name: `m${of + 1}`, peer: `${address}:7071` })),
    },
    network: { vtep_subnet: '44.128.0.0/16', overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 }] },
  });
}

function agentConfig(addresses: readonly string[], at: number): string {
  return JSON.stringify({
    id: `host-${at + 1}`,
    masters: addresses.map((address) => `${address}:7070`),
    network_config: { docker_bridge: false },
  });
}
