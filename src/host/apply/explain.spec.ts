import assert from 'node:assert/strict';
import { explain } from '#host/apply/explain.js';
import type { Step } from '#host/diff/host-step.js';
import { hostScope } from '#host/problem.js';

describe('what a failed step means', () => {
  it('names the drop-in of the unit for a folder that a service may not write', () => {
    const file = { kind: 'cni-write', dir: '/srv/cni/net.d', name: 'dcos.conflist', content: '' } as const;
    assert.match(
      explain({ ...file, scope: hostScope, part: 'cni' }, 'EROFS'),
      /^"write \/srv\/cni\/net\.d\/dcos\.conflist" failed: EROFS — .*"ReadWritePaths=-\/srv\/cni"/,
    );
  });

  const unsupported =
    'Warning: Extension comment revision 0 not supported, missing kernel module?\niptables v1.8.11 (nf_tables):  RULE_INSERT failed (No such file or directory): rule in chain FORWARD\n';
  const nat = { kind: 'filter-rule', action: 'append', family: 4, table: 'nat', chain: 'POSTROUTING' } as const;
  const rule = { ...nat, scope: hostScope, part: 'masquerade' } as const;
  const chain = { kind: 'chain-set', family: 4, scope: hostScope } as const;
  const set = { kind: 'set-create', name: 'overlay', type: 'hash:net', family: 4, scope: hostScope } as const;
  const rows: readonly (readonly [what: string, step: Step, said: string, modules: string])[] = [
    ['a rule with a comment', { ...rule, rule: '-m comment --comment c -j X' }, unsupported, 'nft_compat xt_comment'],
    [
      'a rule with a set',
      { ...rule, rule: '-m set --match-set overlay dst -j ACCEPT' },
      "iptables v1.8.9 (legacy): Set overlay doesn't exist.",
      'nft_compat xt_set',
    ],
    ['a rule that masquerades', { ...rule, rule: '-j MASQUERADE' }, unsupported, 'nft_compat xt_MASQUERADE'],
    [
      'a rule with all three',
      { ...rule, rule: '-m set --match-set overlay dst -m comment --comment c -j MASQUERADE' },
      unsupported,
      'nft_compat xt_comment xt_set xt_MASQUERADE',
    ],
    [
      'the chain of what is forwarded',
      { ...chain, table: 'filter', chain: 'SUBLET-FORWARD', rules: ['-i m-dcos -j ACCEPT'], part: 'forward' },
      'iptables-restore: line 4 failed: No chain/target/match by that name.',
      'nft_compat',
    ],
    [
      'the chain of the guard',
      {
        ...chain,
        table: 'raw',
        chain: 'SUBLET-GUARD',
        part: 'guard',
        rules: ['-p udp -m addrtype --dst-type LOCAL -m set ! --match-set sublet-peers src -j DROP'],
      },
      "iptables-restore v1.8.9 (nf_tables): Couldn't load match `addrtype':No such file or directory",
      'nft_compat xt_addrtype ip_set_hash_ip iptable_raw ip6table_raw xt_set',
    ],
    ['a set', { ...set, part: 'masquerade' }, 'ipset v7.21: Cannot open session to kernel.', 'ip_set ip_set_hash_net'],
  ];
  for (const [what, step, said, modules] of rows) {
    it(`names the modules that ${what} needs, and the packages that have them`, () => {
      const line = explain(step, said);
      const [, named] = /\("modprobe -a ([^"]*)"\)/.exec(line) ?? [];
      assert.equal(named, modules, line);
      assert.match(line, /"dnf install kernel-modules-extra-[^"]+".*"apt-get install linux-modules-extra-[^"]+"$/);
      assert.doesNotMatch(line, /\n/);
    });
  }

  it('names no module where another is at fault', () => {
    const jump = { ...rule, rule: '-m comment --comment c -j X' };
    const locked = 'Another app is currently holding the xtables lock. Perhaps you want to use the -w option?';
    assert.match(explain(jump, locked), / — another program holds the iptables lock; it is tried again$/);
    assert.match(explain(jump, "iptables v1.8.9 (nf_tables): Bad argument `x'"), /Bad argument `x'$/);
    assert.match(explain({ ...set, part: 'masquerade' }, 'ipset v7.17: Hash is full'), /Hash is full$/);
    assert.match(explain(jump, 'Permission denied (you must be root)'), /run the agent as root, or with CAP_NET_ADMIN/);
  });
});
