import assert from 'node:assert/strict';
import { desired } from '#host/desired/desired.js';
import { cniFile } from '#host/desired/desired-cni.js';
import { type DockerVersion, directRoutingBlock, dockerRequest, dockerVersion } from '#host/desired/desired-docker.js';
import { factsOf } from '#host/observe/host-facts.js';
import { bareHost } from '#host/observe/observed.js';
import { overlayScope } from '#host/problem.js';
import { exampleInput, examplePeer, underlay } from '#host/testing/example.js';

describe('desired host', () => {
  it('is the worked example: routes by the peers’ VTEPs', () => {
    const host = desired(exampleInput(), { underlay });
    assert.deepEqual(
      [...host.routes],
      [
        ['9.0.1.0/24', '44.128.0.2'],
        ['fd01:b:0:0:1::/80', 'fd01:a::2'],
      ],
    );
    assert.deepEqual(
      [...host.fdb],
      [
        ['70:b3:d5:80:00:02', '10.0.0.2'],
        ['70:b3:d5:80:00:03', '10.0.0.3'],
      ],
    );
    assert.deepEqual([...host.neighbours.keys()], ['44.128.0.2', 'fd01:a::2', '44.128.0.3', 'fd01:a::3']);
    assert.deepEqual(
      [...host.sourceRoutes],
      [
        ['10.0.0.2', '44.128.0.2'],
        ['10.0.0.3', '44.128.0.3'],
      ],
    );
    assert.deepEqual([...host.rules], ['9.0.0.0/8']);
  });

  it('gives the device the underlay’s MTU less the encapsulation, by family, or vtep_mtu', () => {
    const mtu = (input: ReturnType<typeof exampleInput>) => {
      const { device } = desired(input, { underlay });
      return device.kind === 'present' ? device.device.mtu : undefined;
    };
    const input = exampleInput();
    assert.equal(mtu(input), 1450);
    assert.equal(mtu({ ...input, lease: { ...input.lease, nodeIp: 'fd00::1' } }), 1430);
    assert.equal(mtu({ ...input, lease: { ...input.lease, vxlan: { ...input.lease.vxlan, vtepMtu: 1400 } } }), 1400);
  });

  it('gives containers the lesser of overlay_mtu and the VTEP’s MTU', () => {
    const narrow = desired(exampleInput(), { underlay: { device: 'eth0', mtu: 1400 } });
    assert.match(narrow.cni.files.get('dcos.conflist') ?? '', /"mtu": 1350/);
    assert.equal(narrow.docker[0]?.mtu, 1350);
    assert.equal(desired(exampleInput(), { underlay }).docker[0]?.mtu, 1420);
  });

  it('leaves peers of the other underlay family alone', () => {
    const input = exampleInput();
    const stranger = { ...examplePeer(9), nodeIp: 'fd00::9' };
    assert.equal(desired({ ...input, peers: [stranger] }, { underlay }).fdb.size, 0);
  });

  it('does without IPv6 where that is off', () => {
    const input = exampleInput();
    const host = desired({ ...input, settings: { ...input.settings, enableIpv6: false } }, { underlay });
    const texts = [...host.routes.keys(), ...host.neighbours.keys(), ...host.firewall.masquerade.map((r) => r.source)];
    assert.deepEqual(
      texts.filter((text) => text.includes(':')),
      [],
    );
    assert.deepEqual(
      host.docker.map(({ overlay }) => overlay),
      ['dcos'],
    );
    assert.equal(host.sysctls.forward6, false);
  });

  it('does without IPv6 where the tunnel can have none: IPv4 is as ever, and IPv6’s overlays say why', () => {
    const dual = { name: 'both', subnet: '11.0.0.0/24', subnet6: 'fd01:c::/80' };
    const bridge = { name: 'm-both', cidr: '11.0.0.0/25', cidr6: 'fd01:c::/81' };
    const given = exampleInput();
    const overlays = [...given.lease.overlays, { ...dual, mesosBridge: bridge }];
    const input = { ...given, lease: { ...given.lease, overlays } };
    for (const [facts, why] of [
      [{ underlay, ipv6Off: 'IPv6 is off' }, /^IPv6 is off$/],
      [
        { underlay: { device: 'eth0', mtu: 1329 } },
        /MTU of 1279 on vtep1024 .* 1280: raise the underlay's MTU to 1330/,
      ],
    ] as const) {
      const host = desired(input, facts);
      const well = desired(input, { underlay });
      const four = (texts: Iterable<string>) => [...texts].filter((text) => !text.includes(':'));
      assert.deepEqual([...host.routes.keys()], four(well.routes.keys()));
      assert.deepEqual([...host.neighbours.keys()], four(well.neighbours.keys()));
      assert.deepEqual(host.device.kind === 'present' && host.device.device.addresses, ['44.128.0.1/16']);
      assert.deepEqual([host.sysctls.forward4, host.sysctls.forward6], [true, false]);
      assert.deepEqual(host.firewall.forward[6], []);
      // Containers of both families get IPv4; a network of IPv6 alone is not taken from under its containers.
      assert.match(host.cni.files.get('both.conflist') ?? '', /"subnet": "11\.0\.0\.0\/25"/);
      assert.match(host.cni.files.get('dcos6.conflist') ?? '', /"subnet": "fd01:b::\/81"/);
      assert.deepEqual(
        host.problems.map(({ part }) => part),
        ['device6'],
      );
      assert.match(host.problems[0]?.error ?? '', why);
    }
  });

  it('gives an overlay IPv4 alone on a bridge that can have no IPv6, though the tunnel has it', () => {
    const given = exampleInput();
    const bridge = { name: 'm-both', cidr: '11.0.0.0/25', cidr6: 'fd01:c::/81' };
    const both = { name: 'both', subnet: '11.0.0.0/24', subnet6: 'fd01:c::/80', mesosBridge: bridge };
    const input = { ...given, lease: { ...given.lease, overlays: [...given.lease.overlays, both] } };
    const sysctls = new Map([
      ['net/ipv6/conf/all/forwarding', '1'],
      ['net/ipv6/conf/default/disable_ipv6', '1'],
      ['net/ipv6/conf/vtep1024/disable_ipv6', '0'],
      ['net/ipv6/conf/m-dcos6/disable_ipv6', '0'],
    ]);
    const facts = factsOf({ ...bareHost, sysctls }, input);
    const host = desired(input, { ...facts, underlay });
    assert.doesNotMatch(host.cni.files.get('both.conflist') ?? '', /fd01/);
    assert.match(host.cni.files.get('dcos6.conflist') ?? '', /fd01:b::\/81/);
    assert.deepEqual(
      host.bridges.map(({ name, isIpv6Off, gateways }) => [name, isIpv6Off, ...gateways]),
      [
        ['m-dcos', false, '9.0.0.1/25'],
        ['m-dcos6', false, 'fd01:b::1/81'],
        ['m-both', true, '11.0.0.1/25'],
      ],
    );
    assert.ok(host.routes.has('fd01:b:0:0:1::/80'), 'the tunnel has IPv6');
    assert.deepEqual(
      host.problems.map(({ scope, part }) => [scope, part]),
      [[overlayScope('both'), 'bridge6']],
    );
    assert.match(
      host.problems[0]?.error ?? '',
      /IPv6 is off on m-both \(net\.ipv6\.conf\.default\.disable_ipv6 is 1\): run "sysctl/,
    );
    // The control.
    sysctls.set('net/ipv6/conf/m-both/disable_ipv6', '0');
    const well = desired(input, { ...factsOf({ ...bareHost, sysctls }, input), underlay });
    assert.match(well.cni.files.get('both.conflist') ?? '', /fd01:c::\/81/);
    assert.deepEqual(well.problems, []);
  });

  it('fails IPv6’s overlays alone where the network has no addresses for the tunnel’s IPv6', () => {
    const input = exampleInput();
    const { vtepIp6: _, ...vxlan } = input.lease.vxlan;
    const { problems } = desired({ ...input, lease: { ...input.lease, vxlan } }, { underlay });
    assert.deepEqual(
      problems.map(({ part }) => part),
      ['device6'],
    );
    assert.match(problems[0]?.error ?? '', /no IPv6 address: give the network a vtep_subnet6/);
    const { vtepIp6: __, ...peer } = examplePeer(2);
    const [note] = desired({ ...input, peers: [peer, examplePeer(3)] }, { underlay }).problems;
    assert.match(note?.error ?? '', /^1 peer has no IPv6 tunnel address \(agent-2\)/);
    assert.equal(note?.note, true);
  });

  it('gives containers the MTU that the tunnel has while node_ip is on no interface', () => {
    const host = desired(exampleInput(), { tunnelMtu: 1300 });
    assert.match(host.cni.files.get('dcos.conflist') ?? '', /"mtu": 1300/);
  });

  it('sets the device down, with nothing behind it, once the lease ran out', () => {
    const host = desired({ ...exampleInput(), leaseValid: false }, { underlay });
    assert.equal(host.device.kind === 'present' && host.device.device.up, false);
    assert.equal(host.routes.size + host.neighbours.size + host.fdb.size, 0);
    assert.match(host.problems[0]?.error ?? '', /vtep1024 is down until/);
  });

  it('says so, and touches no device, when node_ip is on no interface', () => {
    const host = desired(exampleInput(), {});
    assert.equal(host.device.kind, 'untouched');
    assert.match(host.problems[0]?.error ?? '', /node_ip 10\.0\.0\.1 is on no interface/);
  });

  it('wants no firewall, bridge, file or Docker network where it holds no subnet', () => {
    const input = exampleInput();
    const host = desired({ ...input, lease: { ...input.lease, overlays: [{ name: 'dcos' }] } }, { underlay });
    assert.deepEqual(host.firewall, { sets: [], masquerade: [], forward: { 4: [], 6: [] } });
    assert.equal(host.cni.files.size + host.docker.length + host.bridges.length, 0);
    assert.equal(host.sysctls.forward4, false);
    assert.equal(host.routes.size, 2);
  });

  it('masquerades all but the overlays of the network, held here or not', () => {
    const { sets, masquerade } = desired(exampleInput(), { underlay }).firewall;
    assert.deepEqual(
      sets.map(({ name, entries }) => [name, [...entries]]),
      [
        [
          'overlay',
          [
            ['0.0.0.0/1', false],
            ['128.0.0.0/1', false],
            ['9.0.0.0/8', true],
          ],
        ],
        [
          'overlay6',
          [
            ['::/1', false],
            ['8000::/1', false],
            ['fd01:b::/64', true],
          ],
        ],
      ],
    );
    assert.deepEqual(
      masquerade.map(({ source }) => source),
      ['9.0.0.0/24', 'fd01:b::/80'],
    );
  });
});

describe('CNI file', () => {
  const bridge = { name: 'm-dcos', cidr: '9.0.0.0/25' };
  const network = { clusterId: 'c1', overlay: 'dcos', bridge, mtu: 1420 };

  it('is a list with portmap in the standard style', () => {
    const [name, content] = cniFile({ ...network, settings: { ...exampleInput().settings, cniDataDir: '/run/n' } });
    assert.equal(name, 'dcos.conflist');
    assert.deepEqual(JSON.parse(content), {
      cniVersion: '0.3.1',
      name: 'dcos',
      args: { sublet: { mark: 'sublet:c1' } },
      plugins: [
        {
          type: 'bridge',
          bridge: 'm-dcos',
          isGateway: true,
          ipMasq: false,
          hairpinMode: true,
          mtu: 1420,
          ipam: { type: 'host-local', dataDir: '/run/n', subnet: '9.0.0.0/25', routes: [{ dst: '0.0.0.0/0' }] },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    });
  });

  it('has the plugins of cni_chain after its own, and no portmap where that is off', () => {
    const chain = [{ type: 'bandwidth', capabilities: { bandwidth: true } }, { type: 'tc-redirect-tap' }];
    const settings = { ...exampleInput().settings, cniChain: chain };
    const plugins = (own: object) => JSON.parse(cniFile({ ...network, settings: { ...settings, ...own } })[1]).plugins;
    assert.deepEqual(
      plugins({}).map(({ type }: { type: string }) => type),
      ['bridge', 'portmap', 'bandwidth', 'tc-redirect-tap'],
    );
    assert.deepEqual(plugins({ cniPortmap: false }).slice(1), chain);
  });

  it('delegates from Mesos’s port mapper in the mesos style', () => {
    const [name, content] = cniFile({ ...network, settings: { ...exampleInput().settings, cniStyle: 'mesos' } });
    const config = JSON.parse(content);
    assert.equal(name, 'dcos.conf');
    assert.equal(config.type, 'mesos-cni-port-mapper');
    assert.equal(config.chain, 'M-DCOS');
    assert.deepEqual(config.excludeDevices, ['m-dcos']);
    assert.equal(config.delegate.bridge, 'm-dcos');
    assert.equal(config.delegate.ipMasq, false);
  });

  it('has a range per family where the half has both', () => {
    const both = { ...network, bridge: { ...bridge, cidr6: 'fd01:b::/81' }, settings: exampleInput().settings };
    const { ipam } = JSON.parse(cniFile(both)[1]).plugins[0];
    assert.deepEqual(ipam.ranges, [[{ subnet: '9.0.0.0/25' }], [{ subnet: 'fd01:b::/81' }]]);
    assert.deepEqual(ipam.routes, [{ dst: '0.0.0.0/0' }, { dst: '::/0' }]);
  });
});

describe('Docker network request', () => {
  const [dcos, dcos6] = desired(exampleInput(), { underlay }).docker;
  assert.ok(dcos && dcos6);

  it('turns Docker’s own masquerade off and names the bridge', () => {
    assert.deepEqual(dockerRequest(dcos, { version: [20, 10], firewall: 'iptables' }), {
      Name: 'dcos',
      CheckDuplicate: true,
      Driver: 'bridge',
      EnableIPv6: false,
      IPAM: { Config: [{ Subnet: '9.0.0.128/25' }] },
      Options: {
        'com.docker.network.bridge.name': 'd-dcos',
        'com.docker.network.bridge.enable_ip_masquerade': 'false',
        'com.docker.network.driver.mtu': '1420',
      },
      Labels: { 'sublet.cluster': 'sublet:c1', 'sublet.overlay': 'dcos' },
    });
  });

  it('names the trusted interfaces from 28.2 on', () => {
    for (const version of [
      [28, 2],
      [29, 0],
    ] as const) {
      const { Options } = dockerRequest(dcos, { version, firewall: 'iptables' });
      assert.equal(Options['com.docker.network.bridge.trusted_host_interfaces'], 'vtep1024:m-dcos:m-dcos6:d-dcos6');
      assert.equal(Options['com.docker.network.bridge.gateway_mode_ipv4'], undefined);
    }
  });

  it('leaves the network unprotected on 28.0 and 28.1, which know no trusted interfaces', () => {
    const { Options } = dockerRequest(dcos, { version: [28, 1], firewall: 'iptables' });
    assert.equal(Options['com.docker.network.bridge.gateway_mode_ipv4'], 'nat-unprotected');
    assert.equal(
      dockerRequest(dcos6, { version: [28, 0], firewall: 'iptables' }).Options[
        'com.docker.network.bridge.gateway_mode_ipv6'
      ],
      'nat-unprotected',
    );
    assert.equal(Options['com.docker.network.bridge.trusted_host_interfaces'], undefined);
  });

  it('leaves the network unprotected where Docker writes nftables, which have no chain for others’ accepts', () => {
    const { Options } = dockerRequest(dcos, { version: [29, 0], firewall: 'nftables' });
    assert.equal(Options['com.docker.network.bridge.gateway_mode_ipv4'], 'nat-unprotected');
    assert.equal(Options['com.docker.network.bridge.trusted_host_interfaces'], undefined);
  });

  it('lists the networks that cut their containers off from other hosts', () => {
    const blockOf = (version: DockerVersion, firewall: 'iptables' | 'nftables', options: Record<string, string>) =>
      directRoutingBlock(dcos, { version, firewall }, options, dcos.reachedBy);
    const [trusted, mode] = [
      'com.docker.network.bridge.trusted_host_interfaces',
      'com.docker.network.bridge.gateway_mode_ipv4',
    ];
    assert.equal(blockOf([27, 5], 'iptables', {}), undefined);
    assert.match(blockOf([28, 2], 'iptables', {}) ?? '', /by vtep1024 and m-dcos, since .* without trusted_host_int/);
    assert.equal(blockOf([28, 2], 'iptables', { [trusted]: 'eth9:m-dcos:vtep1024' }), undefined);
    assert.match(blockOf([28, 2], 'iptables', { [trusted]: 'vtep1024' }) ?? '', /by m-dcos,/);
    for (const open of ['nat-unprotected', 'routed']) {
      assert.equal(blockOf([28, 0], 'iptables', { [mode]: open }), undefined);
    }
    assert.match(blockOf([29, 0], 'nftables', { [trusted]: 'vtep1024:m-dcos' }) ?? '', /gateway_mode_ipv4=nat-unprot/);
    assert.match(blockOf([29, 0], 'nftables', { [mode]: 'routed' }) ?? '', /ports that are not published/);
    assert.equal(blockOf([29, 0], 'nftables', { [mode]: 'nat-unprotected' }), undefined);
  });

  it('makes an IPv6-only network without IPv4 where the engine can', () => {
    assert.equal(dockerRequest(dcos6, { version: [28, 2], firewall: 'iptables' }).EnableIPv4, false);
    assert.equal(dockerRequest(dcos6, { version: [20, 10], firewall: 'iptables' }).EnableIPv4, undefined);
  });

  it('reads versions with distributions’ suffixes', () => {
    assert.deepEqual(dockerVersion('20.10.24+dfsg1'), [20, 10]);
    assert.deepEqual(dockerVersion('nonsense'), [0, 0]);
  });
});
