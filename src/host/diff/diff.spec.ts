import assert from 'node:assert/strict';
import fc from 'fast-check';
import { predict } from '#host/apply/predict.js';
import { desired, nothing } from '#host/desired/desired.js';
import { type DockerEngineFacts, type DockerVersion, dockerRequest } from '#host/desired/desired-docker.js';
import { diff } from '#host/diff/diff.js';
import type { Step } from '#host/diff/host-step.js';
import type { HostInput, Peer } from '#host/input.js';
import type { HostFacts } from '#host/observe/host-facts.js';
import { bareHost, type ObservedHost, type ObservedLink } from '#host/observe/observed.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';
import { commandOf } from '#host/tools/tool-command.js';

const wish = desired(exampleInput(), { underlay });

/** The host as it is once everything was built. */
function built(input: HostInput = exampleInput()): ObservedHost {
  const target = desired(input, { underlay });
  return predict(bareHost, diff(target, bareHost).steps);
}

function commands(input: HostInput, observed: ObservedHost): string[] {
  return diff(desired(input, { underlay }), observed).steps.map(commandOf);
}

function link(name: string, others: Partial<ObservedLink> = {}): ObservedLink {
  return { name, kind: 'bridge', mac: '02:00:00:00:00:01', mtu: 1500, up: true, addresses: [], ...others };
}

function withLink(host: ObservedHost, changed: ObservedLink): ObservedHost {
  return { ...host, links: new Map([...host.links, [changed.name, changed]]) };
}

function vtep(host: ObservedHost): ObservedLink {
  const found = host.links.get('vtep1024');
  assert.ok(found);
  return found;
}

describe('diff', () => {
  it('builds the worked example from nothing, in an order that never routes to what can’t be reached', () => {
    const steps = commands(exampleInput(), bareHost);
    const at = (command: string) => {
      const index = steps.findIndex((step) => step.startsWith(command));
      assert.ok(index >= 0, `${command} is among the steps`);
      return index;
    };
    const order = [
      'sysctl -w net/ipv4/ip_forward=1',
      'ip link add name vtep1024 address 70:b3:d5:80:00:01 mtu 1450 type vxlan id 1024 dstport 64000 local 10.0.0.1 nolearning',
      'ip link set dev vtep1024 addrgenmode none',
      'ip link set dev vtep1024 up',
      'ip address add 44.128.0.1/16 dev vtep1024',
      'ip neigh replace 44.128.0.2 lladdr 70:b3:d5:80:00:02 dev vtep1024 nud permanent',
      'bridge fdb replace 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.2 self permanent',
      'ip route add 9.0.1.0/24 via 44.128.0.2 dev vtep1024',
      'ip route add 10.0.0.3 via 44.128.0.3 dev vtep1024 proto 205 table 42',
      'ip rule add from 9.0.0.0/8 lookup 42',
      'ipset create overlay hash:net',
      'ipset add overlay 9.0.0.0/8 nomatch',
      'iptables -t nat -A POSTROUTING -s 9.0.0.0/24 -m set --match-set overlay dst',
      'iptables -t filter -I FORWARD',
    ].map(at);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
  });

  it('has nothing to do once its steps ran', () => {
    assert.deepEqual(commands(exampleInput(), built()), []);
  });

  it('leads to the desired host from any mixture of old and new, and then has nothing to do', () => {
    const peers = fc.uniqueArray(fc.integer({ min: 2, max: 40 }), { maxLength: 12 });
    const damage = fc.record({
      before: peers,
      after: peers,
      moved: fc.integer({ min: 2, max: 40 }),
      lost: fc.array(
        fc.constantFrom('link', 'mac', 'address', 'down', 'fdb', 'routes', 'rules', 'sets', 'chain', 'cni'),
      ),
      leaseValid: fc.boolean(),
    });
    fc.assert(
      fc.property(damage, ({ before, after, moved, lost, leaseValid }) => {
        const old = built(exampleInput(before.map(examplePeer)));
        const host = lost.reduce(broken, old);
        const next = after.map((n): Peer => ({ ...examplePeer(n), ...(n === moved ? { nodeIp: '10.1.2.3' } : {}) }));
        const target = desired({ ...exampleInput(next), leaseValid }, { underlay });
        // Twice, as the reconciler does: what the kernel drops with a device is only known by looking again.
        const once = predict(host, diff(target, host).steps);
        const twice = predict(once, diff(target, once).steps);
        assert.deepEqual(diff(target, twice).steps, []);
      }),
    );
  });

  it('adds and removes only what changed, routes going out first and coming in last', () => {
    const host = built(exampleInput([examplePeer(2), examplePeer(3)]));
    const steps = diff(desired(exampleInput([examplePeer(3), examplePeer(4)]), { underlay }), host).steps;
    assert.deepEqual(
      steps.map((step: Step) => `${step.kind} ${'action' in step ? step.action : ''}`),
      [
        ...['set-entry add', 'set-entry del'],
        ...['route del', 'route del', 'route del', 'fdb del', 'neighbour del', 'neighbour del'],
        ...['neighbour replace', 'neighbour replace', 'fdb replace', 'route add', 'route add', 'route add'],
      ],
    );
  });

  it('follows a peer to its new node address', () => {
    const steps = commands(
      exampleInput([{ ...examplePeer(2), nodeIp: '10.0.0.9' }]),
      built(exampleInput([examplePeer(2)])),
    );
    assert.deepEqual(
      steps.map((step) => step.replace(/ scope \d+/, '')),
      [
        'ipset add sublet-peers 10.0.0.9 -exist',
        'ipset del sublet-peers 10.0.0.2',
        'ip route del 10.0.0.2 via 44.128.0.2 dev vtep1024 proto 205 table 42',
        'bridge fdb replace 70:b3:d5:80:00:02 dev vtep1024 dst 10.0.0.9 self permanent',
        'ip route add 10.0.0.9 via 44.128.0.2 dev vtep1024 proto 205 table 42',
      ],
    );
  });

  it('takes off everything of ours, and nothing else, when leaving', () => {
    const host = withLink(built(), link('m-dcos', { alias: 'sublet:c1', addresses: ['9.0.0.1/25'] }));
    const foreign = withLink(host, link('br0', { addresses: ['9.0.0.1/25'] }));
    const after = predict(foreign, diff(nothing(['c1'], { cniDir: '/etc/cni/net.d' }), foreign).steps);
    assert.deepEqual([...after.links.keys()], ['br0']);
    assert.equal(after.rules.size + after.routes.size + after.neighbours.size, 0);
    assert.ok(after.sets.kind === 'read' && after.sets.value.size === 0);
    assert.ok(after.tables[4].kind === 'read');
    assert.deepEqual(
      [after.tables[4].value.postrouting, after.tables[4].value.forward, after.tables[4].value.ours],
      [[], [], undefined],
    );
    assert.ok(after.cni.kind === 'read' && after.cni.value.size === 0);
    assert.ok(after.docker.kind === 'read' && after.docker.networks.size === 0);
  });
});

function broken(host: ObservedHost, what: string): ObservedHost {
  const device = host.links.get('vtep1024');
  switch (what) {
    case 'link':
      return { ...host, ...emptyTables, links: new Map() };
    case 'mac':
      return device === undefined
        ? host
        : withLink({ ...host, neighbours: new Map() }, { ...device, mac: '02:00:00:00:00:02' });
    case 'address':
      return device === undefined ? host : withLink(host, { ...device, addresses: ['44.128.9.9/16'] });
    case 'down':
      return device === undefined
        ? host
        : withLink(
            { ...host, neighbours: new Map(), routes: new Map(), sourceRoutes: new Map() },
            { ...device, up: false },
          );
    case 'fdb':
      return { ...host, fdb: new Map([...host.fdb.keys()].map((mac) => [mac, '10.9.9.9 10.8.8.8'])) };
    case 'routes':
      return { ...host, routes: new Map([...host.routes.keys()].map((subnet) => [subnet, '44.128.255.1'])) };
    case 'rules':
      return { ...host, rules: new Map([['9.0.0.0/8', 3]]) };
    case 'sets':
      return { ...host, sets: { kind: 'read', value: new Map() } };
    case 'chain':
      return { ...host, tables: { ...host.tables, 4: bareHost.tables[4] } };
    default:
      return { ...host, cni: { kind: 'read', value: new Map() } };
  }
}
const emptyTables = { neighbours: new Map(), fdb: new Map(), routes: new Map(), sourceRoutes: new Map() };

describe('diff of the device', () => {
  it('leaves a foreign device of that name alone and says what to do', () => {
    for (const alias of [undefined, 'sublet:other', 'mine']) {
      const host = withLink(bareHost, link('vtep1024', { kind: 'vxlan', ...(alias === undefined ? {} : { alias }) }));
      const { steps, problems } = diff(wish, host);
      assert.deepEqual(
        steps.filter(({ part }) => part === 'device' || part === 'peers'),
        [],
      );
      assert.match(problems[0]?.error ?? '', /vtep1024 that is not Sublet's.*ip link del vtep1024/);
    }
  });

  it('knows its own device by the MAC when the alias was wiped', () => {
    const { alias: _, ...wiped } = vtep(built());
    const host = built();
    const steps = diff(wish, { ...host, links: new Map([['vtep1024', wiped]]) }).steps;
    assert.deepEqual(steps.map(commandOf), ['ip link set dev vtep1024 alias sublet:c1']);
  });

  it('adopts the device of the cluster that was recovered', () => {
    const host = built();
    const steps = commands({ ...exampleInput(), clusterId: 'c2', formerClusterIds: ['c1'] }, host);
    assert.ok(steps.includes('ip link set dev vtep1024 alias sublet:c2'));
    assert.ok(!steps.some((step) => step.includes('link add')));
  });

  it('mends MAC, MTU, address and underlay address in place; makes it anew for another id or port', () => {
    const host = built();
    const wrong = { mac: '02:00:00:00:00:09', mtu: 1400, addresses: ['44.128.0.9/16', 'fd01:a::1/64'] };
    const steps = commands({ ...exampleInput() }, withLink(host, { ...vtep(host), ...wrong }));
    assert.deepEqual(
      steps.filter((step) => !step.startsWith('ip neigh')),
      [
        'ip link set dev vtep1024 address 70:b3:d5:80:00:01',
        'ip link set dev vtep1024 mtu 1450',
        'ip address del 44.128.0.9/16 dev vtep1024',
        'ip address add 44.128.0.1/16 dev vtep1024',
      ],
    );
    assert.equal(steps.filter((step) => step.startsWith('ip neigh replace')).length, 4);
    const vxlan = { vni: 7, port: 64000, local: '10.0.0.1', learning: false };
    const anew = commands(exampleInput(), withLink(host, { ...vtep(host), vxlan }));
    assert.deepEqual(anew.slice(0, 1), ['ip link del dev vtep1024']);
    assert.equal(anew.filter((step) => step.startsWith('bridge fdb replace')).length, 2);
  });
});

describe('diff of IPv6', () => {
  const narrow = { underlay: { device: 'eth0', mtu: 1300 } };
  const ofDevice = ({ part }: Step) => ['device', 'device6', 'mtu'].includes(part);

  it('comes after the MTU, and is a part of its own', () => {
    const host = built();
    const { addressGeneration: _, ...bare } = { ...vtep(host), mtu: 1250, addresses: ['44.128.0.1/16'] };
    const steps = diff(wish, withLink(host, bare)).steps.filter(ofDevice);
    assert.deepEqual(
      steps.map((step) => `${step.part}: ${commandOf(step)}`),
      [
        'mtu: ip link set dev vtep1024 mtu 1450',
        'device6: ip link set dev vtep1024 addrgenmode none',
        'device6: ip address add fd01:a::1/64 dev vtep1024 nodad',
      ],
    );
    const made = diff(wish, bareHost).steps.filter(ofDevice);
    assert.ok(made.every((step) => (step.part === 'device6') === /fd01|addrgenmode/.test(commandOf(step))));
  });

  it('is not touched where there is none: not in the device, nor what the kernel has dropped with it', () => {
    const steps = diff(desired(exampleInput(), narrow), built()).steps;
    assert.deepEqual(steps.filter(ofDevice).map(commandOf), ['ip link set dev vtep1024 mtu 1250']);
    assert.ok(!steps.some((step) => step.kind === 'route' || step.kind === 'neighbour'));
    const anew = diff(desired(exampleInput(), narrow), bareHost).steps.map(commandOf);
    assert.deepEqual(
      anew.filter((command) => /fd01:a|addrgenmode|ip6tables|overlay6|net\/ipv6/.test(command)),
      [],
    );
    assert.ok(anew.some((command) => command.startsWith('ip route add 9.0.1.0/24 via 44.128.0.2')));
  });

  it('of the underlay makes the device anew, since the kernel keeps its family', () => {
    const input = exampleInput();
    const moved = { ...input, lease: { ...input.lease, nodeIp: 'fd00::1' } };
    assert.ok(commands(moved, built()).includes('ip link del dev vtep1024'));
  });
});

describe('diff of the firewall', () => {
  const tables = (host: ObservedHost, dockerUser: readonly string[]): ObservedHost => {
    const four = host.tables[4];
    assert.ok(four.kind === 'read');
    return { ...host, tables: { ...host.tables, 4: { kind: 'read', value: { ...four.value, dockerUser } } } };
  };
  const firewallCommands = (host: ObservedHost) =>
    commands(exampleInput(), host).filter((step) => /tables|ipset/.test(step));

  it('moves its jump to DOCKER-USER when Docker comes', () => {
    assert.deepEqual(firewallCommands(tables(built(), ['-j RETURN'])), [
      'iptables -t filter -D FORWARD -m comment --comment sublet:c1 -j SUBLET-FORWARD',
      'iptables -t filter -I DOCKER-USER -m comment --comment sublet:c1 -j SUBLET-FORWARD',
    ]);
  });

  it('puts the jump before what ends the chain for everything', () => {
    const jump = '-m comment --comment sublet:c1 -j SUBLET-FORWARD';
    const there = predict(built(), diff(wish, tables(built(), ['-j RETURN'])).steps);
    assert.deepEqual(firewallCommands(tables(there, ['-s 1.2.3.4/32 -j DROP', jump, '-j RETURN'])), []);
    assert.deepEqual(firewallCommands(tables(there, ['-j RETURN', jump])), [
      `iptables -t filter -D DOCKER-USER ${jump}`,
      `iptables -t filter -I DOCKER-USER ${jump}`,
    ]);
    // Put before it on purpose: reported, not moved.
    assert.deepEqual(firewallCommands(tables(there, ['-j REJECT --reject-with icmp-port-unreachable', jump])), []);
  });

  it('leaves what others put into the set, and does not touch a set of another type', () => {
    const host = built();
    assert.ok(host.sets.kind === 'read');
    const set = host.sets.value.get('overlay');
    assert.ok(set);
    const entries = new Map([
      ...set.entries,
      ['192.168.0.0/16', { nomatch: true }],
      ['9.9.0.0/16', { nomatch: true, comment: 'sublet:c1' }],
    ]);
    const more = {
      ...host,
      sets: { kind: 'read', value: new Map([...host.sets.value, ['overlay', { ...set, entries }]]) },
    } as const;
    assert.deepEqual(firewallCommands(more), ['ipset del overlay 9.9.0.0/16']);

    const other = {
      ...bareHost,
      sets: { kind: 'read', value: new Map([['overlay', { ...set, type: 'hash:ip' }]]) },
    } as const;
    const { steps, problems } = diff(wish, other);
    assert.deepEqual(
      steps.filter((step) => step.kind === 'set-entry' && step.set === 'overlay'),
      [],
    );
    assert.deepEqual(
      steps.filter((step) => step.kind === 'filter-rule' && step.table === 'nat' && step.family === 4),
      [],
    );
    assert.match(problems[0]?.error ?? '', /ipset "overlay" is of type hash:ip/);
  });

  it('fails the overlays that need it, and no step, where a tool is missing', () => {
    const error = '"ipset" is not installed';
    const { steps, problems } = diff(wish, { ...bareHost, sets: { kind: 'unreadable', error } });
    assert.deepEqual(
      problems.filter(({ note }) => note === undefined).map(({ scope }) => scope),
      [
        { kind: 'overlay', name: 'dcos' },
        { kind: 'overlay', name: 'dcos6' },
      ],
    );
    assert.deepEqual(
      steps.filter((step) => step.kind === 'filter-rule' && step.table === 'nat'),
      [],
    );
    const master = desired(
      { ...exampleInput(), lease: { ...exampleInput().lease, overlays: [{ name: 'dcos' }] } },
      { underlay },
    );
    const ofMaster = diff(master, { ...bareHost, sets: { kind: 'unreadable', error } }).problems;
    assert.deepEqual(
      ofMaster.filter(({ note }) => note === undefined),
      [],
    );
  });
});

describe('diff of CNI files of several overlays', () => {
  type Settings = Partial<HostInput['settings']>;
  const holding = (names: readonly string[], settings: Settings = {}): HostInput => {
    const given = exampleInput();
    const overlays = names.map((name, at) => ({
      name,
      subnet: `9.${at}.0.0/24`,
      mesosBridge: { name: `m-${name}`, cidr: `9.${at}.0.0/25` },
    }));
    return { ...given, lease: { ...given.lease, overlays }, settings: { ...given.settings, ...settings } };
  };
  const filesOf = (host: ObservedHost): readonly string[] =>
    host.cni.kind === 'read' ? [...host.cni.value.keys()].sort() : [];
  const outcome = (input: HostInput, on: ObservedHost = bareHost): ObservedHost =>
    predict(on, diff(desired(input, { underlay }), on).steps);

  it('leave the first place to the overlay that had it, whatever the later one is called', () => {
    const one = outcome(holding(['dcos']));
    assert.deepEqual(filesOf(one), ['dcos.conflist']);
    const two = outcome(holding(['alpha', 'dcos', 'extra']), one);
    assert.deepEqual(filesOf(two), ['dcos.conflist', 'extra.conflist', 'zz-alpha.conflist']);
    assert.deepEqual(diff(desired(holding(['alpha', 'dcos', 'extra']), { underlay }), two).steps.filter(isCni), []);
    assert.deepEqual(filesOf(outcome(holding(['alpha']), two)), ['alpha.conflist'], 'the last one has the place');
    const zzz = outcome(holding(['alpha', 'zzz']), outcome(holding(['zzz'])));
    assert.deepEqual(filesOf(zzz), ['zzz.conflist', 'zzzz-alpha.conflist']);
  });

  it('get their own names back when they were removed', () => {
    const both = outcome(holding(['dcos', 'dcos6']));
    assert.ok(both.cni.kind === 'read');
    const value = new Map([...both.cni.value].filter(([name]) => name !== 'dcos.conflist'));
    const damaged: ObservedHost = {
      ...both,
      cni: { kind: 'read', value },
      cniFirst: new Map([['/etc/cni/net.d', 'dcos']]),
    };
    assert.deepEqual(filesOf(outcome(holding(['dcos', 'dcos6']), damaged)), ['dcos.conflist', 'dcos6.conflist']);
  });

  it('take the order that cni_default gives, behind the prefix', () => {
    const both = outcome(holding(['alpha', 'dcos']));
    assert.deepEqual(filesOf(both), ['alpha.conflist', 'dcos.conflist']);
    const chosen = holding(['alpha', 'dcos'], { cniDefault: 'dcos', cniFilePrefix: '10-' });
    assert.deepEqual(filesOf(outcome(chosen, both)), ['10-dcos.conflist', '10-zz-alpha.conflist']);
    const foreign: ObservedHost = {
      ...bareHost,
      cni: { kind: 'read', value: new Map([['20-flannel.conflist', { content: '{}', network: 'cbr0' }]]) },
    };
    assert.deepEqual(filesOf(outcome(chosen, foreign))[0], '10-dcos.conflist', 'the operator says so');
  });

  it('are those of each folder, which need not have the same order', () => {
    const two = holding(['alpha', 'dcos'], { cniDirsBeside: ['/opt/cni/config'] });
    const beside = { content: '{"name":"dcos"}', mark: 'sublet:c1', network: 'dcos' };
    const there: ObservedHost = {
      ...bareHost,
      cniBeside: new Map([['/opt/cni/config', { kind: 'read', value: new Map([['dcos.conflist', beside]]) }]]),
    };
    const written = diff(desired(two, { underlay }), there).steps.flatMap((step) =>
      step.kind === 'cni-write' ? [`${step.dir}/${step.name}`] : [],
    );
    assert.deepEqual(written.sort(), [
      '/etc/cni/net.d/alpha.conflist',
      '/etc/cni/net.d/dcos.conflist',
      '/opt/cni/config/dcos.conflist',
      '/opt/cni/config/zz-alpha.conflist',
    ]);
    const gone = diff(nothing(['c1'], two.settings), outcome(two, there)).steps.filter(isCni);
    assert.equal(gone.length, 4, 'and all go with the agent');
  });

  it('give way to a network of the same name in another’s file, whatever the file is called', () => {
    const foreign: ObservedHost = {
      ...bareHost,
      cni: { kind: 'read', value: new Map([['50-mine.conflist', { content: '{}', network: 'dcos' }]]) },
    };
    const { steps, problems } = diff(desired(holding(['dcos']), { underlay }), foreign);
    assert.deepEqual(steps.filter(isCni), []);
    assert.match(
      problems.find(({ part }) => part === 'cni')?.error ?? '',
      /50-mine\.conflist describes the same network/,
    );
  });

  function isCni({ part }: Step): boolean {
    return part === 'cni';
  }
});

describe('diff of bridges that are wanted at once', () => {
  const now = (): HostInput => {
    const given = exampleInput();
    return { ...given, settings: { ...given.settings, bridges: 'now' } };
  };
  const ofBridge = (observed: ObservedHost) =>
    diff(desired(now(), { underlay }), observed)
      .steps.filter(({ part }) => part === 'bridge' || part === 'bridge6')
      .map(commandOf);

  it('makes each with a MAC, its MTU, mark and addresses, and then nothing more', () => {
    const steps = ofBridge(bareHost);
    const [create, ...others] = steps.filter((step) => /m-dcos( |$)/.test(step));
    assert.match(
      create ?? '',
      /^ip link add name m-dcos address 02(:[0-9a-f]{2}){5} mtu 1420 type bridge && .*sublet:c1$/,
    );
    assert.deepEqual(others, ['ip address add 9.0.0.1/25 dev m-dcos', 'ip link set dev m-dcos up']);
    assert.ok(steps.includes('ip address add fd01:b::1/81 dev m-dcos6 nodad'), steps.join('\n'));
    assert.deepEqual(ofBridge(built(now())), []);
  });

  it('puts back what was changed: its address, MTU, mark and state', () => {
    const there = built(now());
    const changed = link('m-dcos', { mtu: 1500, up: false, addresses: ['9.0.0.1/25'] });
    assert.deepEqual(ofBridge(withLink(there, changed)), [
      'ip link set dev m-dcos alias sublet:c1',
      'ip link set dev m-dcos mtu 1420',
      'ip link set dev m-dcos up',
    ]);
    const bare = link('m-dcos', { mtu: 1420, alias: 'sublet:c1' });
    assert.deepEqual(ofBridge(withLink(there, bare)), ['ip address add 9.0.0.1/25 dev m-dcos']);
  });

  it('makes an idle one of another lease anew; never one with containers; leaves others’ alone', () => {
    const there = built(now());
    const other = withLink(there, link('m-dcos', { alias: 'sublet:c1', addresses: ['9.0.7.1/25'] }));
    assert.deepEqual(
      ofBridge(other).map((step) => step.split(' ').slice(0, 4).join(' ')),
      ['ip link del dev', 'ip link add name', 'ip address add 9.0.0.1/25', 'ip link set dev'],
    );
    const busy = withLink(other, link('veth0', { kind: 'veth', master: 'm-dcos' }));
    assert.deepEqual(ofBridge(busy), []);
    const [problem] = diff(desired(now(), { underlay }), busy).problems.filter(({ part }) => part === 'bridge');
    assert.match(problem?.error ?? '', /m-dcos still carries 1 container of 9\.0\.7\.1\/25/);
    const foreign = withLink(there, link('m-dcos', { addresses: ['192.0.2.1/24'] }));
    assert.deepEqual(ofBridge(foreign), []);
  });
});

describe('diff of files, bridges and Docker networks', () => {
  it('never writes over a foreign CNI file, nor beside it', () => {
    for (const name of ['dcos.conflist', 'dcos.conf']) {
      const cni = { kind: 'read', value: new Map([[name, { content: '{}' }]]) } as const;
      const { steps, problems } = diff(wish, { ...bareHost, cni });
      assert.deepEqual(
        steps.filter((step) => step.kind === 'cni-write').map((step) => step.name),
        ['dcos6.conflist'],
      );
      assert.match(problems[0]?.error ?? '', new RegExp(`/${name} describes the same network`));
    }
  });

  it('does without Docker only where it may, nothing is at its socket and no bridge of Docker’s is left', () => {
    const given = exampleInput();
    const optional = (on: boolean): HostInput => ({ ...given, settings: { ...given.settings, dockerOptional: on } });
    const without: ObservedHost = {
      ...built(),
      docker: { kind: 'unreadable', error: 'no answer', socket: '/var/run/docker.sock' },
    };
    const said = (input: HostInput, host: ObservedHost) =>
      diff(desired(input, { underlay }), host)
        .problems.filter(({ part }) => part === 'docker')
        .map(({ error, note }) => [error.split(':')[0], note]);
    const notice = ['this host has no Docker', true];
    const failure = ['no answer', undefined];
    assert.deepEqual(said(optional(true), without), [notice, notice]);
    assert.deepEqual(said(optional(false), without), [failure, failure]);
    const hung: ObservedHost = { ...without, docker: { kind: 'unreadable', error: 'no answer' } };
    assert.deepEqual(said(optional(true), hung), [failure, failure]);
    const stopped = withLink(without, link('d-dcos', { addresses: ['9.0.0.129/25'] }));
    assert.deepEqual(said(optional(true), stopped), [failure, failure]);
  });

  it('removes the file of the other style', () => {
    const input = exampleInput();
    const steps = commands({ ...input, settings: { ...input.settings, cniStyle: 'mesos' } }, built());
    assert.deepEqual(
      steps.filter((step) => step.startsWith('rm')),
      ['rm /etc/cni/net.d/dcos.conflist', 'rm /etc/cni/net.d/dcos6.conflist'],
    );
  });

  it('marks the bridge with our gateway; removes an idle one of another lease; never one with containers', () => {
    const ours = link('m-dcos', { addresses: ['9.0.0.1/25'] });
    assert.deepEqual(
      commands(exampleInput(), withLink(built(), ours)).filter((step) => step.includes('m-dcos')),
      ['ip link set dev m-dcos alias sublet:c1']
        .concat('sysctl -w net/ipv4/conf/m-dcos/rp_filter=2')
        .toSorted()
        .reverse(),
    );
    const old = link('m-dcos', { addresses: ['9.0.7.1/25'], alias: 'sublet:c1' });
    assert.ok(commands(exampleInput(), withLink(built(), old)).includes('ip link del dev m-dcos'));
    const busy = withLink(withLink(built(), old), link('veth1', { kind: 'veth', master: 'm-dcos' }));
    const { steps, problems } = diff(wish, busy);
    assert.ok(!steps.some((step) => step.kind === 'link-delete'));
    assert.match(problems[0]?.error ?? '', /m-dcos still carries 1 container of 9\.0\.7\.1/);
    const foreign = diff(wish, withLink(built(), link('m-dcos', { addresses: ['10.9.9.1/24'] })));
    assert.match(foreign.problems[0]?.error ?? '', /m-dcos that is not Sublet's/);
  });

  it('keeps a bridge that it has marked up, with its gateways, and not before it is marked', () => {
    const lost = (alias?: string) =>
      withLink(built(), link('m-dcos6', { up: false, ...(alias === undefined ? {} : { alias }) }));
    const of = (host: ObservedHost) => commands(exampleInput(), host).filter((step) => step.includes('dev m-dcos6'));
    assert.deepEqual(of(lost('sublet:c1')), [
      'ip link set dev m-dcos6 up',
      'ip address add fd01:b::1/81 dev m-dcos6 nodad',
    ]);
    // A plugin is just making it; one of others is theirs.
    assert.deepEqual(of(lost()), []);
    assert.deepEqual(of(lost('sublet:other')), []);
    // A plugin made it while the underlay's MTU was lower: IPv6 needs 1280 bytes.
    const narrow = (facts: HostFacts, mtu: number) => {
      const there = withLink(built(), link('m-dcos6', { mtu, alias: 'sublet:c1' }));
      return diff(desired(exampleInput(), facts), there)
        .steps.filter(({ part }) => part === 'bridge' || part === 'bridge6')
        .map(commandOf);
    };
    assert.deepEqual(narrow({ underlay }, 1230), [
      'ip link set dev m-dcos6 mtu 1420',
      'ip address add fd01:b::1/81 dev m-dcos6 nodad',
    ]);
    assert.deepEqual(narrow({ underlay }, 1300), ['ip address add fd01:b::1/81 dev m-dcos6 nodad']);
    assert.deepEqual(narrow({ underlay: { device: 'eth0', mtu: 1300 } }, 1250), []);
    const off = desired(exampleInput(), { underlay, bridgesIpv6Off: { 'm-dcos6': 'IPv6 is off' } });
    assert.deepEqual(
      diff(off, lost('sublet:c1'))
        .steps.filter(({ part }) => part === 'bridge' || part === 'bridge6')
        .map(commandOf),
      ['ip link set dev m-dcos6 up'],
    );
  });

  it('says what is left of an overlay that is gone, and fails no other for it', () => {
    const old = link('m-old', { addresses: ['9.9.0.1/25'], alias: 'sublet:c1' });
    const host = withLink(withLink(built(), old), link('veth1', { kind: 'veth', master: 'm-old' }));
    assert.ok(host.docker.kind === 'read');
    const docker = { ...host.docker, networks: new Map([...host.docker.networks, ['old', leftNetwork]]) };
    const { problems } = diff(wish, { ...host, docker });
    assert.deepEqual(
      problems.map(({ scope, part }) => [scope, part]),
      [
        [{ kind: 'overlay', name: 'old' }, 'bridge'],
        [{ kind: 'overlay', name: 'old' }, 'docker'],
      ],
    );
    const cni = { kind: 'read', value: new Map([['old.conflist', { content: '', mark: 'sublet:c1' }]]) } as const;
    const deleted = diff(wish, { ...host, cni }).steps.filter(({ kind }) => kind === 'cni-delete');
    assert.deepEqual(
      deleted.map(({ scope }) => scope),
      [{ kind: 'overlay', name: 'old' }],
    );
  });
  const leftNetwork = {
    id: 'n2',
    name: 'old',
    driver: 'bridge',
    subnets: ['9.9.0.128/25'],
    options: {},
    mark: 'sublet:c1',
    containers: ['web'],
  };

  const network = { id: 'n1', name: 'dcos', driver: 'bridge', subnets: ['9.0.7.128/25'], options: {}, containers: [] };
  const docker = (
    changed: object,
    engine: DockerEngineFacts = { version: [20, 10], firewall: 'iptables' },
  ): ObservedHost => ({
    ...built(),
    docker: { kind: 'read', engine, networks: new Map([['dcos', { ...network, ...changed }]]) },
  });

  const requestOf = (version: DockerVersion) => {
    const [dcos] = wish.docker;
    assert.ok(dcos);
    return dockerRequest(dcos, { version, firewall: 'iptables' });
  };

  it('calls a Docker network with another subnet an error, not "already there"', () => {
    const { steps, problems } = diff(wish, docker({}));
    assert.deepEqual(
      steps
        .filter((step) => step.part === 'docker')
        .map(commandOf)
        .filter((step) => / dcos$/.test(step)),
      [],
    );
    assert.match(
      problems[0]?.error ?? '',
      /"dcos" that is not Sublet's, with subnet 9\.0\.7\.128\/25 and not 9\.0\.0\.128\/25/,
    );
  });

  it('makes its own anew when idle, and waits while containers are on it', () => {
    const idle = diff(wish, docker({ mark: 'sublet:c1' })).steps.map(commandOf);
    assert.ok(idle.includes('docker network rm dcos'));
    const { steps, problems } = diff(wish, docker({ mark: 'sublet:c1', containers: ['web'] }));
    assert.ok(!steps.map(commandOf).includes('docker network rm dcos'));
    assert.match(problems[0]?.error ?? '', /still has containers \(web\)/);
  });

  it('fails the overlay whose network was made before Docker 28 and has containers; makes it anew once idle', () => {
    const options = { ...requestOf([27, 5]).Options };
    const old = { mark: 'sublet:c1', subnets: ['9.0.0.128/25'], options };
    const upgraded = { version: [28, 2], firewall: 'iptables' } as const;
    const { steps, problems } = diff(wish, docker({ ...old, containers: ['web'] }, upgraded));
    assert.ok(!steps.map(commandOf).includes('docker network rm dcos'));
    const [problem] = problems.filter(({ scope }) => scope.kind === 'overlay' && scope.name === 'dcos');
    assert.equal(problem?.note, undefined);
    assert.match(problem?.error ?? '', /\(web\) are cut off .*28\.2.*trusted_host_interfaces.*docker network rm dcos/);
    const idle = diff(wish, docker(old, upgraded)).steps.map(commandOf);
    assert.ok(idle.includes('docker network rm dcos'));
    // The same network is well on the engine that made it, and one with the right options on the new engine.
    const same = diff(wish, docker({ ...old, containers: ['web'] }, { ...upgraded, version: [27, 5] }));
    const anew = diff(wish, docker({ ...old, options: requestOf([28, 2]).Options, containers: ['web'] }, upgraded));
    assert.deepEqual([same.problems, anew.problems], [[], []]);
  });

  it('says when Docker gave an IPv6-only network an IPv4 pool, without failing it', () => {
    const host = built();
    assert.ok(host.docker.kind === 'read');
    const six = host.docker.networks.get('dcos6');
    assert.ok(six);
    const networks = new Map([
      ...host.docker.networks,
      ['dcos6', { ...six, subnets: [...six.subnets, '172.18.0.0/16'] }],
    ]);
    const { steps, problems } = diff(wish, { ...host, docker: { ...host.docker, networks } });
    assert.deepEqual(steps, []);
    assert.equal(problems[0]?.note, true);
    assert.match(problems[0]?.error ?? '', /172\.18\.0\.0\/16/);
  });
});
