import assert from 'node:assert/strict';
import { parseCidr } from '#address/ip.js';
import { predict } from '#host/apply/predict.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import { factsOf } from '#host/observe/host-facts.js';
import { bareHost, type ObservedHost, type ObservedLink, type StrangerRoute } from '#host/observe/observed.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';
import { commandOf } from '#host/tools/tool-command.js';

const input = exampleInput([examplePeer(2), examplePeer(3)]);
const wish = desired(input, { underlay });

function link(name: string, addresses: readonly string[], others: Partial<ObservedLink> = {}): ObservedLink {
  return { name, kind: 'bridge', mac: '', mtu: 1500, up: true, addresses, ...others };
}

/** The host with all of ours in place, and these things of others. */
function host(links: readonly ObservedLink[], strangers: readonly StrangerRoute[] = []): ObservedHost {
  const built = predict(bareHost, diff(wish, bareHost).steps);
  return { ...built, strangers, links: new Map([...built.links, ...links.map((one) => [one.name, one] as const)]) };
}

function route(
  destination: string,
  line: string,
  table: StrangerRoute['table'] = 'main',
  device = 'eth5',
): StrangerRoute {
  return { destination: parseCidr(destination), device, table, line };
}

const found = (observed: ObservedHost) => {
  const { steps, problems } = diff(wish, observed);
  return {
    commands: steps.filter(({ kind }) => kind !== 'link-set' && kind !== 'sysctl').map(commandOf),
    problems: problems.map(({ scope, error }) => `${scope.kind === 'overlay' ? scope.name : 'host'}: ${error}`),
  };
};

describe('what others put where ours is', () => {
  it('on a bridge of ours is taken away, when it is of an overlay and not this host’s', () => {
    const addresses = ['9.0.0.1/25', '9.0.1.1/25', 'fd01:b:0:0:1::1/81', '9.0.0.77/25', '169.254.169.254/32'];
    const direct = route('9.0.1.0/25', '9.0.1.0/25 dev m-dcos proto 2 scope 253 src 9.0.1.1', 'main', 'm-dcos');
    assert.deepEqual(
      found(host([link('m-dcos', addresses), link('d-dcos', ['9.0.0.129/25', '9.0.2.129/25'])], [direct])),
      {
        commands: [
          'ip address del 9.0.1.1/25 dev m-dcos',
          'ip address del fd01:b:0:0:1::1/81 dev m-dcos',
          'ip address del 9.0.2.129/25 dev d-dcos',
        ],
        problems: [],
      },
    );
  });

  it('on another device hides a peer’s subnet: the overlay fails, the address stays', () => {
    const { commands, problems } = found(host([link('eth5', ['9.0.1.1/25', '9.77.0.1/24'], { kind: 'physical' })]));
    assert.deepEqual(commands, []);
    assert.deepEqual(problems, [
      'dcos: the address 9.0.1.1/25 of eth5 is inside 9.0.1.0/24, which a peer holds, and hides it: remove it with "ip address del 9.0.1.1/25 dev eth5"',
    ]);
  });

  it('is a more specific route: the overlay of the peer’s subnet fails', () => {
    const hiding = [
      route('9.0.1.128/25', '9.0.1.128/25 via 10.0.0.9 dev eth5'),
      route('9.0.2.7/32', '6 9.0.2.7', 'main', ''),
      route('fd01:b:0:0:1:1::/96', 'fd01:b:0:0:1:1::/96 dev eth5 metric 1024'),
    ];
    const harmless = [
      route('9.77.0.0/24', '9.77.0.0/24 dev eth5'),
      route('9.0.0.0/25', '9.0.0.0/25 dev m-dcos proto 2'),
    ];
    const { problems } = found(host([], [...hiding, ...harmless]));
    assert.deepEqual(
      problems.map((problem) => /^(\S+): .* to (\S+) of a peer/.exec(problem)?.slice(1)),
      [
        ['dcos', '9.0.1.0/24'],
        ['dcos', '9.0.2.0/24'],
        ['dcos6', 'fd01:b:0:0:1::/80'],
      ],
    );
  });

  it('is a route in the source table that takes in a peer’s subnet', () => {
    const everything = route('0.0.0.0/0', 'default via 10.0.0.254 dev eth0', 'source', 'eth0');
    const other = route('203.0.113.0/24', '203.0.113.0/24 dev other', 'source', 'other');
    const { problems } = found(host([], [everything, other]));
    assert.equal(problems.length, 1);
    assert.match(
      problems[0] ?? '',
      /^dcos: the route "default via .*" in table 42 is not Sublet's.*"ip route del 0\.0\.0\.0\/0 table 42"/,
    );
  });

  it('is a rule that sends containers’ packets elsewhere, which fails the overlay unless something else explains it', () => {
    const detours = [
      { subnet: '9.0.1.0/24', line: '9.0.1.254 from 9.0.0.126 dev eth5 table 100' },
      { subnet: '9.0.2.0/24', line: '9.0.2.254 from 9.0.0.126 dev eth5 table 100' },
      { subnet: 'fd01:b:0:0:1::/80', line: 'RTNETLINK answers: Permission denied' },
      { subnet: '9.0.77.0/24', line: 'of no peer' },
    ];
    const { problems } = found({ ...host([]), detours });
    assert.equal(problems.length, 2, problems.join('\n'));
    assert.match(
      problems[0] ?? '',
      /^dcos: packets of containers to 9\.0\.1\.0\/24 .*table 100.*"ip rule add to 9\.0\.0\.0\/8 lookup main pref 1"/,
    );
    assert.match(problems[1] ?? '', /^dcos6: .*"ip -6 rule add to fd01:b::\/64 lookup main pref 1"/);
    const explained = route('9.0.1.128/25', '9.0.1.128/25 via 10.0.0.9 dev eth5');
    assert.deepEqual(
      found({ ...host([], [explained]), detours }).problems.map((problem) => problem.split(' ')[1]),
      ['the', 'packets'],
    );
    // While a route of ours is put back, the kernel's answer is of a host that is not as it will be.
    const { routes, ...rest } = host([]);
    const without = new Map([...routes].filter(([subnet]) => subnet !== '9.0.2.0/24'));
    assert.deepEqual(found({ ...rest, routes: without, detours }).problems, []);
  });

  it('fails no overlay where there are no peers', () => {
    const alone = desired(exampleInput([]), { underlay });
    const { problems } = diff(alone, host([link('eth5', ['9.0.1.1/25'])]));
    assert.deepEqual(problems, []);
  });
});

describe('the underlay', () => {
  const eth = (name: string, mtu: number, others: Partial<ObservedLink> = {}) =>
    [name, link(name, [], { kind: 'physical', mtu, ...others })] as const;
  const lo = (addresses: readonly string[]) =>
    ['lo', link('lo', addresses, { kind: 'loopback', mtu: 65_536 })] as const;
  const around = (defaultDevices: readonly string[]) => ({ ...bareHost.surroundings, defaultDevices });

  it('of an address on loopback has the least MTU of the devices that lead out, and not 65536', () => {
    const links = new Map([
      lo(['127.0.0.1/8', '10.0.0.1/32']),
      eth('eth0', 9000),
      eth('eth1', 1500),
      eth('eth2', 1280),
    ]);
    const facts = factsOf({ ...bareHost, links, surroundings: around(['eth0', 'eth1']) }, input);
    assert.deepEqual(facts.underlay, { device: 'lo', mtu: 1500, carriers: ['eth0', 'eth1'] });
    const { device } = desired(input, facts);
    assert.equal(device.kind === 'present' && device.device.mtu, 1450);
    assert.equal(factsOf({ ...bareHost, links }, input).underlay?.mtu, 1500);
  });

  it('is the device that is up, when another one still has the address', () => {
    const links = new Map([
      eth('old', 1500, { addresses: ['10.0.0.1/24'], up: false }),
      eth('new', 1280, { addresses: ['10.0.0.1/24'], index: 7 }),
    ]);
    assert.deepEqual(factsOf({ ...bareHost, links }, input).underlay, { device: 'new', index: 7, mtu: 1280 });
  });
});
