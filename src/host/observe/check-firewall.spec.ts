import assert from 'node:assert/strict';
import { defaultHostSettings } from '#host/input.js';
import { checkFirewallRules, checkPacketFilters } from '#host/observe/check-firewall.js';
import { lacksModule } from '#host/tools/kernel-modules.js';
import type { Runner, RunResult } from '#host/tools/runner.js';

const settings = { ...defaultHostSettings, enableIpv6: false };
const fine: RunResult = { code: 0, stdout: '', stderr: '' };

function runner(answer: (line: string) => Partial<RunResult> | undefined): Runner {
  return {
    run: async (command, args) => {
      const line = [command, ...args].join(' ');
      const links = [{ ifname: 'eth0', flags: ['UP'], mtu: 1500, address: '02:00:00:00:00:01' }];
      const addresses = [{ ifname: 'eth0', addr_info: [{ local: '10.0.0.1', prefixlen: 24, scope: '0' }] }];
      if (line.includes('link show')) return { ...fine, stdout: JSON.stringify(links) };
      if (line.includes('address show')) return { ...fine, stdout: JSON.stringify(addresses) };
      if (line.includes('--version')) return { ...fine, stdout: 'iptables v1.8.9 (nf_tables)' };
      return { ...fine, ...answer(line) };
    },
  };
}

describe('the check of the kernel’s rules', () => {
  it('is content where each is taken', async () => {
    const found = await checkFirewallRules(
      runner(() => undefined),
      settings,
    );
    assert.deepEqual(
      found.map(({ severity }) => severity),
      ['ok'],
    );
  });

  it('names what is not taken, its module and the packages that have it', async () => {
    const said =
      'Warning: Extension comment revision 0 not supported, missing kernel module?\niptables v1.8.11 (nf_tables):  RULE_INSERT failed (No such file or directory)\n';
    const found = await checkFirewallRules(
      runner((line) => (line.includes('--comment') ? { code: 4, stderr: said } : undefined)),
      settings,
    );
    assert.deepEqual(
      found.map(({ severity }) => severity),
      ['error'],
    );
    assert.match(found[0]?.says ?? '', /does not take "iptables -m comment": Warning: Extension comment/);
    assert.match(
      found[0]?.todo ?? '',
      /modprobe -a nft_compat xt_comment.*dnf install kernel-modules-extra.*linux-modules-extra/,
    );
  });

  it('warns where the guard’s rule is not taken, and does not try it where the guard is off', async () => {
    const lacking = runner((line) =>
      line.includes('addrtype') ? { code: 2, stderr: "Couldn't load match" } : undefined,
    );
    const [found, ...more] = await checkFirewallRules(lacking, settings);
    assert.deepEqual(more, []);
    assert.equal(found?.severity, 'warning');
    assert.match(found?.says ?? '', /does not take "iptables -t raw -m addrtype -m set"/);
    assert.match(found?.todo ?? '', /xt_addrtype/);
    assert.equal((await checkFirewallRules(lacking, { ...settings, guard: false }))[0]?.severity, 'ok');
  });

  it('tries each in a namespace of its own, and says when it may not', async () => {
    const lines: string[] = [];
    const found = await checkFirewallRules(
      runner((line) => {
        lines.push(line);
        return { code: 1, stderr: 'unshare: unshare failed: Operation not permitted' };
      }),
      settings,
    );
    assert.ok(lines.length === 4 && lines.every((line) => line.startsWith('unshare --net ')));
    assert.deepEqual(
      found.map(({ severity }) => severity),
      ['warning'],
    );
  });

  it('knows what tools say of a module that is not there', () => {
    for (const said of [
      'Extension comment revision 0 not supported, missing kernel module?',
      'iptables v1.8.11 (nf_tables):  RULE_APPEND failed (No such file or directory): rule in chain FORWARD',
      'iptables: No chain/target/match by that name.',
      "iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist",
      'ipset v7.21: Cannot open session to kernel.',
    ]) {
      assert.match(said, lacksModule);
    }
    for (const said of ['Another app is currently holding the xtables lock', 'Bad argument `x`']) {
      assert.doesNotMatch(said, lacksModule);
    }
  });
});

describe('the check of packet filters', () => {
  const check = {
    settings,
    nodeIp: '10.0.0.1',
    vtepName: 'vtep1024',
    port: 64000,
    containers: { cni: true, docker: false },
  };
  const saved = (...rules: readonly string[]) =>
    runner((line) => (line === 'iptables-save' ? { stdout: ['*filter', ...rules, 'COMMIT'].join('\n') } : undefined));

  it('is content with a policy that the agent’s own jump will come before', async () => {
    const found = await checkPacketFilters(saved(':FORWARD DROP [0:0]', ':INPUT ACCEPT [0:0]'), check);
    assert.deepEqual(found, [
      { severity: 'ok', says: 'no firewall drops UDP port 64000 or what is forwarded by the tunnel' },
    ]);
  });

  it('names the tables that can’t be read, of the families that are wanted', async () => {
    const broken = (...families: readonly string[]) =>
      runner((line) =>
        families.includes(line) ? { code: 1, stderr: `${line}: can't initialize: Permission denied` } : undefined,
      );
    const found = async (settled: typeof settings, ...families: readonly string[]) =>
      (await checkPacketFilters(broken(...families), { ...check, settings: settled })).map(({ severity, says }) => [
        severity,
        /^"(\S+)" failed: .*Permission denied/.exec(says)?.[1],
      ]);
    assert.deepEqual(await found({ ...settings, enableIpv6: true }, 'iptables-save', 'ip6tables-save'), [
      ['error', 'iptables-save'],
      ['error', 'ip6tables-save'],
    ]);
    assert.deepEqual(await found(settings, 'ip6tables-save'), [['ok', undefined]]);
  });

  it('names the tunnel’s port where it is dropped, and not where the node’s network is accepted', async () => {
    const closed = await checkPacketFilters(saved(':INPUT DROP [0:0]', '-A INPUT -i lo -j ACCEPT'), check);
    assert.deepEqual(
      closed.map(({ severity, todo }) => [severity, todo]),
      [['error', 'iptables -I INPUT -p udp --dport 64000 -j ACCEPT']],
    );
    assert.match(closed[0]?.says ?? '', /UDP port 64000, the tunnel's, is dropped here when it comes from the peers/);
    const rule = '-A INPUT -s 10.0.0.0/24 -p udp -m udp --dport 64000 -j ACCEPT';
    assert.deepEqual(
      (await checkPacketFilters(saved(':INPUT DROP [0:0]', rule), check)).map(({ severity }) => severity),
      ['ok'],
    );
  });

  it('says "may" where the peers’ addresses decide', async () => {
    const rule = '-A INPUT -s 10.0.0.7/32 -p udp -m udp --dport 64000 -j ACCEPT';
    const found = await checkPacketFilters(saved(':INPUT DROP [0:0]', rule), check);
    assert.deepEqual(
      found.map(({ severity }) => severity),
      ['warning'],
    );
    assert.match(found[0]?.says ?? '', /may be dropped/);
  });

  it('finds a foreign forward hook before any bridge is there', async () => {
    const nft = {
      nftables: [
        {
          chain: {
            family: 'inet',
            table: 'firewalld',
            name: 'filter_FORWARD',
            type: 'filter',
            hook: 'forward',
            prio: 10,
            policy: 'accept',
          },
        },
        {
          rule: {
            family: 'inet',
            table: 'firewalld',
            chain: 'filter_FORWARD',
            handle: 3,
            expr: [{ reject: { type: 'icmpx' } }],
          },
        },
      ],
    };
    const run = runner((line) => (line.startsWith('nft ') ? { stdout: JSON.stringify(nft) } : undefined));
    const found = await checkPacketFilters(run, check);
    assert.match(found[0]?.todo ?? '', /firewall-cmd --permanent --zone=trusted --add-interface=vtep1024/);
    assert.deepEqual(await checkPacketFilters(run, { ...check, containers: { cni: false, docker: false } }), [
      { severity: 'ok', says: 'no firewall drops UDP port 64000' },
    ]);
  });
});
