import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fuzzRuns, fuzzTimeoutMs } from '#cluster-test/fuzz/amount.js';
import { hostRefusal } from '#host/desired/bounds.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import type { HostInput, NetworkOverlay, Peer } from '#host/input.js';
import { checkHostInput, HostInputError } from '#host/input-check.js';
import { bareHost, type ObservedHost, type ObservedLink } from '#host/observe/observed.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';
import { outOfBounds } from '#host/testing/step-bounds.js';

const base = exampleInput();
const [dcos, dcos6] = base.lease.overlays;
const link = (name: string, more: Partial<ObservedLink> = {}): [string, ObservedLink] => [
  name,
  { name, kind: 'bridge', mac: '02:00:00:00:00:09', mtu: 1500, up: true, addresses: [], ...more },
];
const host: ObservedHost = {
  ...bareHost,
  surroundings: {
    gateways: ['10.0.0.254'],
    defaultDevices: ['eth0'],
    resolvers: ['10.9.0.53', '8.8.8.8'],
    masters: ['10.8.0.1'],
  },
  links: new Map([
    link('eth0', { kind: 'physical', addresses: ['10.0.0.1/24'] }),
    link('docker0', { addresses: ['172.17.0.1/16'] }),
  ]),
};
const withOverlays = (...overlays: readonly NetworkOverlay[]): HostInput => ({
  ...base,
  overlays: [...base.overlays, ...overlays],
});
const withPeer = (...overlays: Peer['overlays']): HostInput => ({ ...base, peers: [{ ...examplePeer(2), overlays }] });
const withLease = (...overlays: HostInput['lease']['overlays']): HostInput => ({
  ...base,
  lease: { ...base.lease, overlays },
});
const withVxlan = (changed: Partial<HostInput['lease']['vxlan']>): HostInput => ({
  ...base,
  lease: { ...base.lease, vxlan: { ...base.lease.vxlan, ...changed } },
});

describe('rows 57, 58: the bounds of what masters may ask of a host', () => {
  const refused: readonly (readonly [what: string, input: HostInput, why: RegExp])[] = [
    [
      'a peer that holds half of all addresses',
      withPeer({ name: 'dcos', subnet: '0.0.0.0/1' }),
      /overlay "dcos" of peer "agent-2", 0\.0\.0\.0\/1, is not inside 9\.0\.0\.0\/8/,
    ],
    ['all addresses', withPeer({ name: 'dcos', subnet: '0.0.0.0/0' }), /0\.0\.0\.0\/0, is not inside/],
    [
      'the metadata of a cloud',
      withPeer({ name: 'dcos', subnet: '169.254.169.254/32' }),
      /is not inside 9\.0\.0\.0\/8/,
    ],
    ['an overlay that there is not', withPeer({ name: 'x', subnet: '9.0.1.0/24' }), /not inside any overlay/],
    ['a subnet of another overlay', withPeer({ name: 'dcos6', subnet: '9.0.1.0/24' }), /not inside any overlay/],
    [
      'IPv6 outside',
      withPeer({ name: 'dcos6', subnet6: '2001:db8::/80' }),
      /2001:db8::\/80, is not inside fd01:b::\/64/,
    ],
    [
      'an overlay of everything',
      withOverlays({ name: 'a', subnet: '0.0.0.0/0', enabled: true }),
      /overlaps 0\.0\.0\.0\/8/,
    ],
    ['loopback', withOverlays({ name: 'a', subnet: '127.0.0.0/16', enabled: true }), /127\.0\.0\.0\/8, loopback/],
    ['link-local', withOverlays({ name: 'a', subnet: '169.254.0.0/17', enabled: true }), /link-local/],
    ['multicast', withOverlays({ name: 'a', subnet: '239.0.0.0/8', enabled: true }), /multicast/],
    ['IPv6 link-local', withOverlays({ name: 'a', subnet6: 'fe80::/64', enabled: true }), /link-local/],
    [
      'a VTEP that is named as a bridge',
      withVxlan({ vtepName: 'd-dcos' }),
      /^vtep_name d-dcos is the name of a bridge/,
    ],
    ['a VTEP subnet of half of all', withVxlan({ vtepIp: '8.8.8.1/1' }), /the VTEP subnet of 8\.8\.8\.1\/1 overlaps/],
    [
      'a bridge named eth0',
      withLease({ name: 'dcos', subnet: '9.0.0.0/24', mesosBridge: { name: 'eth0', cidr: '9.0.0.0/25' } }),
      /bridge "eth0" of overlay "dcos" is not m-dcos/,
    ],
    [
      'a bridge of the other half',
      withLease({ name: 'dcos', subnet: '9.0.0.0/24', dockerBridge: { name: 'm-dcos', cidr: '9.0.0.0/25' } }),
      /bridge "m-dcos" of overlay "dcos" is not d-dcos/,
    ],
    [
      'a bridge that is larger than what is held',
      withLease({ name: 'dcos', subnet: '9.0.0.0/24', mesosBridge: { name: 'm-dcos', cidr: '9.0.0.0/23' } }),
      /range of bridge m-dcos, 9\.0\.0\.0\/23, is not inside 9\.0\.0\.0\/24/,
    ],
    ['a subnet outside', withLease({ name: 'dcos', subnet: '172.16.0.0/12' }), /172\.16\.0\.0\/12, is not inside/],
    ...['..', '.', '-h', 'all', 'default', 'lo'].map(
      (vtepName) => [`vtep_name ${vtepName}`, withVxlan({ vtepName }), /^vtep_name /] as const,
    ),
    [
      '129 overlays',
      withOverlays(
        ...Array.from({ length: 127 }, (_, n) => ({ name: `o${n}`, subnet: `11.${n}.0.0/16`, enabled: true })),
      ),
      /^129 overlays: at most 128/,
    ],
    [
      '200,000 peers',
      { ...base, peers: Array.from({ length: 200_000 }, () => examplePeer(2)) },
      /^200000 peers: at most 65536/,
    ],
    [
      'an overlay outside of overlays_allowed',
      { ...base, settings: { ...base.settings, overlaysAllowed: ['9.0.0.0/9', 'fd01:b::/64'] } },
      /overlay "dcos" \(9\.0\.0\.0\/8\) is not inside overlays_allowed \(9\.0\.0\.0\/9, fd01:b::\/64\)/,
    ],
  ];
  for (const [what, input, why] of refused) {
    it(`refuse ${what}, as a whole and with the reason`, () => {
      assert.throws(
        () => checkHostInput(input),
        (error) => error instanceof HostInputError && why.test(error.message),
      );
    });
  }

  it('take the worked example, also again with other overlays', () => {
    assert.equal(checkHostInput(base).input, base);
    const smaller = {
      ...base,
      overlays: [{ name: 'dcos', subnet: '9.0.0.0/24', enabled: true }, ...base.overlays.slice(1)],
    };
    assert.throws(() => checkHostInput(smaller), /peer "agent-2", 9\.0\.1\.0\/24, is not inside 9\.0\.0\.0\/24/);
  });

  const refusalOf = (input: HostInput, on: ObservedHost = host) => hostRefusal(input, on);
  const overlay = (subnet: string): HostInput => withOverlays({ name: 'b', subnet, enabled: true });

  it('refuse what takes from this host its networks, its way out, its name servers or its masters', () => {
    assert.equal(refusalOf(base), undefined);
    for (const [subnet, why] of [
      ['10.0.0.0/16', /overlay "b" \(10\.0\.0\.0\/16\) overlaps 10\.0\.0\.0\/24, the network on eth0/],
      ['10.9.0.0/16', /10\.9\.0\.53, a name server of this host/],
      ['8.8.8.0/24', /8\.8\.8\.8, a name server/],
      ['10.8.0.0/16', /10\.8\.0\.1, a master/],
    ] as const) {
      assert.match(refusalOf(overlay(subnet)) ?? '', why);
    }
    const elsewhere = { ...host, links: new Map() };
    assert.match(refusalOf(overlay('10.0.0.0/16'), elsewhere) ?? '', /10\.0\.0\.254, the gateway of a default route/);
    assert.match(refusalOf(withVxlan({ vtepIp: '10.0.0.9/24' })) ?? '', /the VTEP subnet of 10\.0\.0\.9\/24 overlaps/);
  });

  it('leave the decision to the operator of the host, by overlays_allowed', () => {
    const input = overlay('10.9.0.0/16');
    const settings = { ...input.settings, overlaysAllowed: ['9.0.0.0/8', 'fd01:b::/64', '10.9.0.0/16'] };
    assert.equal(checkHostInput({ ...input, settings }).input.overlays.length, 3);
    assert.equal(refusalOf({ ...input, settings }), undefined);
  });

  it('count no network of its own containers among those of the host', () => {
    const links = new Map([
      ...host.links,
      link('m-dcos', { addresses: ['9.0.0.1/25'] }),
      link('vtep1024', { addresses: ['44.128.0.1/16'], alias: 'sublet:c1', kind: 'vxlan' }),
    ]);
    const surroundings = { ...host.surroundings, defaultDevices: ['eth0', 'm-dcos', 'vtep1024'] };
    assert.equal(refusalOf(base, { ...host, links, surroundings }), undefined);
  });

  it('change nothing while the VTEP device is another one’s', () => {
    for (const vtepName of ['eth0', 'docker0']) {
      const { steps, problems } = diff(desired(withVxlan({ vtepName }), { underlay }), host);
      assert.deepEqual(steps, []);
      assert.match(problems[0]?.error ?? '', new RegExp(`device ${vtepName} that is not Sublet's`));
    }
  });

  it('leave alone a bridge that bears the mark and is named otherwise', () => {
    const links = new Map([
      ...host.links,
      link('docker0', { alias: 'sublet:c1', addresses: ['172.17.0.1/16'] }),
      link('m-old', { alias: 'sublet:c1' }),
    ]);
    const { steps } = diff(desired(base, { underlay }), { ...host, links });
    assert.deepEqual(
      steps.flatMap((step) => (step.kind === 'link-delete' ? [step.name] : [])),
      ['m-old'],
    );
  });

  it('write no CNI file that would come first of all by its number', () => {
    const named = (name: string): HostInput => ({
      ...withLease({ name, subnet: '9.0.0.0/24', mesosBridge: { name: `m-${name}`, cidr: '9.0.0.0/25' } }),
      overlays: [{ name, subnet: '9.0.0.0/8', enabled: true }],
      peers: [],
    });
    const beside = (...files: readonly string[]): ObservedHost => ({
      ...host,
      cni: { kind: 'read', value: new Map(files.map((name) => [name, { content: '{}' }])) },
    });
    const written = (name: string, on: ObservedHost) => {
      const { steps, problems } = diff(desired(named(name), { underlay }), on);
      const files = steps.flatMap((step) => (step.kind === 'cni-write' ? [step.name] : []));
      return files[0] ?? problems.find(({ part }) => part === 'cni')?.error;
    };
    assert.match(
      written('0', beside('10-flannel.conflist')) ?? '',
      /0\.conflist would come before every other network file/,
    );
    assert.equal(written('20', beside('10-flannel.conflist')), '20.conflist');
    assert.equal(written('0', beside()), '0.conflist');
    assert.equal(written('dcos', beside('net.conflist')), 'dcos.conflist');
  });

  it('hold for every step that comes of whatever a master says', () => {
    const cidr = fc.oneof(
      fc
        .tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0, max: 32 }))
        .map(([a, b, prefix]) => {
          const bits = ((a << 24) | (b << 16)) >>> 0;
          const network = prefix === 0 ? 0 : (bits & (-1 << (32 - prefix))) >>> 0;
          return `${network >>> 24}.${(network >>> 16) & 255}.0.0/${prefix}`;
        }),
      fc.constantFrom(
        '9.0.0.0/8',
        '9.0.0.0/24',
        '9.0.1.0/24',
        '9.0.0.0/25',
        '172.17.0.0/16',
        '127.0.0.0/8',
        '8.8.8.8/32',
      ),
    );
    const name = fc.constantFrom('dcos', 'dcos6', 'a', '0', 'eth0', 'host');
    const device = fc.constantFrom('m-dcos', 'd-dcos', 'm-a', 'eth0', 'docker0', '..', '-h', 'all', 'vtep1024', 'lo');
    const part = fc.record({ name, subnet: cidr });
    const said = fc.record({
      overlays: fc.array(fc.record({ name, subnet: cidr, enabled: fc.boolean() }), { maxLength: 3 }),
      held: fc.array(
        fc.record(
          {
            name,
            subnet: cidr,
            mesosBridge: fc.record({ name: device, cidr }),
            dockerBridge: fc.record({ name: device, cidr }),
          },
          { requiredKeys: ['name'] },
        ),
        { maxLength: 2 },
      ),
      peers: fc.array(fc.array(part, { maxLength: 2 }), { maxLength: 3 }),
      vtepName: device,
      vtepPrefix: fc.integer({ min: 1, max: 30 }),
      leaseValid: fc.boolean(),
      bridges: fc.constantFrom('as-needed', 'now'),
    });
    let accepted = 0;
    fc.assert(
      fc.property(said, ({ overlays, held, peers, vtepName, vtepPrefix, leaseValid, bridges }) => {
        const input: HostInput = {
          ...base,
          leaseValid,
          settings: { ...base.settings, bridges },
          overlays: [...overlays, ...base.overlays],
          peers: peers.map((parts, n): Peer => ({ ...examplePeer(n + 2), overlays: parts })),
          lease: {
            ...base.lease,
            vxlan: { ...base.lease.vxlan, vtepName, vtepIp: `44.128.0.1/${vtepPrefix}` },
            overlays: [...held, ...[dcos, dcos6].flatMap((overlay) => overlay ?? [])],
          },
        };
        let checked: HostInput;
        try {
          checked = checkHostInput(input).input;
        } catch (error) {
          assert.ok(error instanceof HostInputError);
          return;
        }
        const wish = desired(checked, { underlay });
        if (hostRefusal(checked, host) !== undefined) return;
        accepted += 1;
        const wrong = diff(wish, host).steps.flatMap((step) => outOfBounds(step, checked) ?? []);
        assert.deepEqual(wrong, []);
      }),
      fuzzRuns(20_000),
    );
    // Else it shows nothing.
    assert.ok(accepted > 100, `${accepted} were accepted`);
  }).timeout(fuzzTimeoutMs);
});
