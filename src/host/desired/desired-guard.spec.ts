import assert from 'node:assert/strict';
import { FailedParts } from '#host/apply/failed-parts.js';
import { predict } from '#host/apply/predict.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import type { Step } from '#host/diff/host-step.js';
import type { HostInput, HostSettings } from '#host/input.js';
import { observeSets, parseSetSizes } from '#host/observe/observe-firewall.js';
import { bareHost, type ObservedHost } from '#host/observe/observed.js';
import { hostStatusOf } from '#host/overlay-report.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';
import type { Runner } from '#host/tools/runner.js';
import { commandOf } from '#host/tools/tool-command.js';

const guardOf = (input: HostInput) => desired(input, { underlay }).guard;
const entriesOf = (input: HostInput, name: string) => [
  ...(guardOf(input)
    .sets.find((set) => set.name === name)
    ?.entries.keys() ?? []),
];
const withSettings = (settings: Partial<HostSettings>): HostInput => {
  const input = exampleInput();
  return { ...input, settings: { ...input.settings, ...settings } };
};
const withNodeIp = (nodeIp: string): HostInput => {
  const input = exampleInput();
  return { ...input, lease: { ...input.lease, nodeIp } };
};
const isGuard = ({ part }: Step) => part === 'guard' || part === 'guard6';
const guardSteps = (input: HostInput, host: ObservedHost) =>
  diff(desired(input, { underlay }), host).steps.filter(isGuard);
const built = (input: HostInput) => predict(bareHost, diff(desired(input, { underlay }), bareHost).steps);

describe('the guard that is desired', () => {
  it('takes VXLAN from the peers of the underlay’s family alone, whether the lease stands or not', () => {
    const strange = { ...examplePeer(9), nodeIp: 'fd10::9' };
    const input = exampleInput([examplePeer(2), strange]);
    assert.deepEqual(entriesOf(input, 'sublet-peers'), ['10.0.0.2']);
    assert.deepEqual(entriesOf({ ...input, leaseValid: false }, 'sublet-peers'), ['10.0.0.2']);
    const to = (type: string) => `-p udp -m udp --dport 64000 -m addrtype --dst-type ${type}`;
    const frame = to('LOCAL');
    const toPeer = '-p udp -m udp --dport 64000 -m set --match-set sublet-peers dst';
    assert.deepEqual(guardOf(input).rules[4].slice(0, 13), [
      `${to('BROADCAST,MULTICAST')} -j DROP`,
      ...['vtep1024', 'm-dcos', 'd-dcos', 'm-dcos6', 'd-dcos6'].flatMap((device) => [
        `-i ${device} ${frame} -j DROP`,
        `-i ${device} ${toPeer} -j DROP`,
      ]),
      `${frame} -m set ! --match-set sublet-peers src -j DROP`,
      `${toPeer} -m set ! --match-set sublet-peers src -j DROP`,
    ]);
    assert.ok(guardOf(input).rules[6].every((rule) => !rule.includes('64000')));
    const over6 = { ...withNodeIp('fd10::1'), peers: [strange] };
    assert.deepEqual(entriesOf(over6, 'sublet-peers6'), ['fd10::9']);
    assert.ok(guardOf(over6).rules[4].every((rule) => !rule.includes('64000')));
    assert.deepEqual(guardOf(over6).rules[6].slice(0, 2), [`${to('MULTICAST')} -j DROP`, `${to('ANYCAST')} -j DROP`]);
  });

  it('covers all overlays and the VTEP subnets, but no overlay of global addresses', () => {
    const input = exampleInput();
    assert.deepEqual(entriesOf(input, 'sublet-guarded'), ['44.128.0.0/16', '9.0.0.0/8']);
    assert.deepEqual(entriesOf(input, 'sublet-guarded6'), ['fd01:a::/64', 'fd01:b::/64']);
    const seen = { ...input, overlays: [{ name: 'seen', subnet6: '2001:db8::/64', enabled: true }] };
    assert.deepEqual(entriesOf(seen, 'sublet-guarded6'), ['fd01:a::/64']);
  });

  it('passes the tunnel, the bridges, the host and what is excepted route', () => {
    const devices = ['lo', 'vtep1024', 'm-dcos', 'd-dcos', 'm-dcos6', 'd-dcos6', 'docker0'];
    assert.deepEqual(guardOf(withSettings({ guardExcept: ['docker0'] })).rules[6], [
      '-m set ! --match-set sublet-guarded6 dst -j RETURN',
      ...devices.map((device) => `-i ${device} -j RETURN`),
      '-j DROP',
    ]);
  });

  it('is nothing of IPv6 where IPv6 is off, and nothing at all where the guard is off', () => {
    assert.deepEqual(guardOf(withSettings({ enableIpv6: false })).rules[6], []);
    assert.deepEqual(guardOf(withSettings({ guard: false })), { sets: [], rules: { 4: [], 6: [] } });
  });
});

describe('the way to the guard', () => {
  it('fills the sets before the chain is reached, and the peers before they are routed to', () => {
    const steps = diff(desired(exampleInput(), { underlay }), bareHost).steps.map(commandOf);
    const order = [
      'ipset create sublet-peers hash:ip family inet maxelem 131072',
      'ipset add sublet-peers 10.0.0.2',
      'ipset add sublet-guarded 9.0.0.0/8',
      String.raw`printf '*raw\n:SUBLET-GUARD`,
      'iptables -t raw -I PREROUTING -m comment --comment sublet:c1 -j SUBLET-GUARD',
      'bridge fdb replace 70:b3:d5:80:00:02',
    ].map((begin) => steps.findIndex((step) => step.startsWith(begin)));
    assert.ok(
      order.every((at) => at >= 0),
      steps.join('\n'),
    );
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  it('is one entry for one more of thousands of peers', () => {
    const peers = Array.from({ length: 3_000 }, (_, index) => examplePeer(index + 2));
    const steps = guardSteps(exampleInput([...peers, examplePeer(3_002)]), built(exampleInput(peers)));
    assert.deepEqual(steps.map(commandOf), ['ipset add sublet-peers 10.0.11.186 -exist']);
  });

  it('takes away what is not a peer, and comes to rest', () => {
    const host = built(exampleInput());
    assert.deepEqual(guardSteps(exampleInput(), host), []);
    assert.deepEqual(guardSteps(exampleInput([examplePeer(2)]), host).map(commandOf), [
      'ipset del sublet-peers 10.0.0.3',
    ]);
  });

  it('goes off the host in an order in which nothing is in use', () => {
    assert.deepEqual(
      guardSteps(withSettings({ guard: false, enableIpv6: false }), built(exampleInput())).map(commandOf),
      [
        'iptables -t raw -D PREROUTING -m comment --comment sublet:c1 -j SUBLET-GUARD',
        'iptables -t raw -F SUBLET-GUARD && iptables -t raw -X SUBLET-GUARD',
        'ipset destroy sublet-peers',
        'ipset destroy sublet-guarded',
        'ip6tables -t raw -D PREROUTING -m comment --comment sublet:c1 -j SUBLET-GUARD',
        'ip6tables -t raw -F SUBLET-GUARD && ip6tables -t raw -X SUBLET-GUARD',
        'ipset destroy sublet-guarded6',
      ],
    );
  });

  it('is blocked by a foreign set and by a table that can’t be read, which is a note', () => {
    const set = { type: 'hash:mac', family: 4, comments: false, entries: new Map() } as const;
    const table = { postrouting: [], forward: [], prerouting: [], randomFully: true, incompatible: ['raw'] } as const;
    const hosts: readonly ObservedHost[] = [
      { ...bareHost, sets: { kind: 'read', value: new Map([['sublet-peers', set]]) } },
      { ...bareHost, tables: { ...bareHost.tables, 4: { kind: 'read', value: table } } },
    ];
    for (const host of hosts) {
      const wish = desired(exampleInput(), { underlay });
      const { steps, problems } = diff(wish, host);
      assert.ok(steps.every(({ part }) => part !== 'guard'));
      const [problem] = problems.filter(({ part }) => part === 'guard');
      assert.match(problem?.error ?? '', /^the underlay is not kept out of the overlays: the (ipset|table)/);
      assert.equal(problem?.note, true);
    }
  });

  it('that fails is a note of the overlays, which work', () => {
    const wish = desired(exampleInput(), { underlay });
    const steps = diff(wish, bareHost).steps.filter(({ part }) => part === 'guard');
    const [step] = steps;
    assert.ok(step);
    const backOff = new FailedParts();
    backOff.record(steps, [{ kind: 'failed', step, error: 'no such set' }], 0);
    const [dcos, dcos6] = hostStatusOf(wish, [], backOff.errors(), false).overlays;
    assert.deepEqual(dcos, { kind: 'ok', name: 'dcos', notes: ['no such set'] });
    assert.deepEqual(dcos6, { kind: 'ok', name: 'dcos6', notes: [] });
  });
});

describe('the sets that are observed', () => {
  const listed = (peers: number) => `Name: sublet-peers
Type: hash:ip
Revision: 6
Header: family inet hashsize 1024 maxelem 131072 bucketsize 12 initval 0xae2ae762
Size in memory: 216
References: 1
Number of entries: ${peers}

Name: of-others
Type: hash:net
Number of entries: 4

Name: overlay
Type: hash:net
Header: family inet hashsize 1024 maxelem 65536 comment
Number of entries: 1
`;
  const saves: Readonly<Record<string, string>> = {
    'sublet-peers': 'create sublet-peers hash:ip family inet\nadd sublet-peers 10.0.0.2\nadd sublet-peers 10.0.0.3\n',
    overlay: 'create overlay hash:net family inet comment\nadd overlay 9.0.0.0/8 nomatch comment "sublet:c1"\n',
  };
  const runner = (peers: number, asked: string[]): Runner => ({
    run: async (command, args) => {
      asked.push([command, ...args].join(' '));
      const stdout = args[0] === 'list' ? listed(peers) : (saves[args[1] ?? ''] ?? '');
      return { code: 0, stdout, stderr: '' };
    },
  });

  it('are ours alone; those of the peers are read again when their number has changed, or when all is', async () => {
    const read = async (peers: number, known: ObservedHost['sets'], whole: boolean) => {
      const asked: string[] = [];
      const sets = await observeSets(runner(peers, asked), known, whole);
      return { sets, asked };
    };
    const first = await read(2, { kind: 'unasked' }, false);
    assert.deepEqual(first.asked, ['ipset list -t', 'ipset save sublet-peers', 'ipset save overlay']);
    assert.deepEqual(first.sets.kind === 'read' && [...first.sets.value.keys()], ['sublet-peers', 'overlay']);
    assert.deepEqual((await read(2, first.sets, false)).asked, ['ipset list -t', 'ipset save overlay']);
    assert.deepEqual((await read(2, first.sets, false)).sets, first.sets);
    assert.ok((await read(1, first.sets, false)).asked.includes('ipset save sublet-peers'));
    assert.ok((await read(2, first.sets, true)).asked.includes('ipset save sublet-peers'));
  });

  it('are counted as ipset prints them', () => {
    assert.deepEqual(
      [...parseSetSizes(listed(65_000))],
      [
        ['sublet-peers', 65_000],
        ['of-others', 4],
        ['overlay', 1],
      ],
    );
  });
});
