import assert from 'node:assert/strict';
import { loadAgentConfig } from '#config/files/agent-config.js';
import { ConfigError } from '#config/schema/config-problem.js';
import { configKind } from '#config/schema/kind.js';
import type { FlagValue } from '#config/schema/setting.js';

const load = (value: unknown, flags: readonly FlagValue[] = []) =>
  loadAgentConfig({ file: { name: 'agent.json', text: JSON.stringify(value) }, flags }).config;

function problems(value: unknown, flags: readonly FlagValue[] = []): string {
  try {
    load(value, flags);
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll('agent.json:1: ', '');
    throw error;
  }
  return '';
}

describe('the configuration of an agent', () => {
  it('has its defaults', () => {
    assert.deepEqual(loadAgentConfig({}).config, {
      id: undefined,
      nodeIp: undefined,
      overlaysAllowed: undefined,
      masters: [{ host: '127.0.0.1', port: 7070 }],
      stateDir: 'sublet-data/agent',
      httpListen: { host: '127.0.0.1', port: 7073 },
      httpHosts: [],
      httpsListen: undefined,
      httpTokenFile: undefined,
      network: 'linux',
      cniDir: '/etc/cni/net.d',
      cniDirs: [],
      cniFilePrefix: '',
      cniDefault: undefined,
      cniPortmap: true,
      cniChain: [],
      cniDataDir: undefined,
      cniStyle: 'standard',
      guard: true,
      guardExcept: [],
      onChange: [],
      runFiles: { runDir: undefined, flannelFile: undefined, flannelOverlay: undefined },
      dockerHost: undefined,
      iptables: 'iptables',
      networkConfig: {
        allocateSubnet: true,
        mesosBridge: true,
        dockerBridge: true,
        split: true,
        overlayMtu: 1420,
        enableIpv6: true,
      },
      dockerOptional: true,
      bridges: 'as-needed',
      tls: undefined,
      tlsRenew: false,
      join: undefined,
      joinPort: 7074,
      insecure: false,
      log: { level: 'info', format: 'auto' },
    });
  });

  it('takes a file of DC/OS as it is, and writes CNI files as Mesos reads them', () => {
    const dcos = {
      master: '10.0.0.1:7070, 10.0.0.2:7070',
      cni_dir: '/opt/mesosphere/etc/dcos/network/cni',
      cni_data_dir: '/var/run/dcos/cni/networks',
      network_config: { allocate_subnet: false, mesos_bridge: false, docker_bridge: false, overlay_mtu: 1300 },
      max_configuration_attempts: 5,
    };
    const config = load(dcos);
    assert.deepEqual(config.masters, [
      { host: '10.0.0.1', port: 7070 },
      { host: '10.0.0.2', port: 7070 },
    ]);
    assert.equal(config.cniStyle, 'mesos');
    assert.equal(config.networkConfig.allocateSubnet, false);
    assert.equal(load({ ...dcos, cni_style: 'standard' }).cniStyle, 'standard');
    assert.equal(load(dcos, [{ flag: '--cni-style', value: 'standard' }]).cniStyle, 'standard');
  });

  it('takes an address beyond loopback for HTTP with TLS', () => {
    const config = load({ https_listen: '0.0.0.0:7443', http_token_file: '/t', tls: { dir: '/c' } });
    assert.deepEqual([config.httpsListen, config.httpTokenFile], [{ host: '0.0.0.0', port: 7443 }, '/t']);
  });

  it('takes masters by list, by commas and by repeated flags', () => {
    const wanted = [
      { host: 'a', port: 1 },
      { host: '::1', port: 2 },
    ];
    assert.deepEqual(load({ masters: ['a:1', '[::1]:2'] }).masters, wanted);
    assert.deepEqual(load({ masters: 'a:1,[::1]:2' }).masters, wanted);
    assert.deepEqual(load({ master: 'x:9' }, [{ flag: '--master', value: ['a:1', '[::1]:2'] }]).masters, wanted);
    assert.deepEqual(load({}, [{ flag: '--master', value: 'a:1,[::1]:2' }]).masters, wanted);
  });

  const wrong: readonly (readonly [string, unknown, string])[] = [
    [
      'an id of another form',
      { id: 'a b' },
      'id: "a b" has another form: 1 to 253 characters of [A-Za-z0-9._:-] is allowed',
    ],
    [
      'an id that is too long',
      { id: 'a'.repeat(254) },
      `id: "${'a'.repeat(61)}…" has another form: 1 to 253 characters of [A-Za-z0-9._:-] is allowed`,
    ],
    [
      'an address that is none',
      { node_ip: '10.0.0' },
      'node_ip: "10.0.0" is not an IP address: one like 10.0.0.1 or fd00::1 is allowed',
    ],
    ...(
      [
        ['127.0.0.1', 'a loopback address'],
        ['::1', 'a loopback address'],
        ['169.254.1.1', 'a link-local address'],
        ['fe80::1', 'a link-local address'],
        ['0.0.0.0', 'unspecified'],
      ] as const
    ).map(
      ([ip, use]) =>
        [
          `${use} as node_ip, ${ip}`,
          { node_ip: ip },
          `node_ip: "${ip}" is ${use}: other hosts can’t reach this one by it; give an address that they reach`,
        ] as const,
    ),
    [
      'no masters',
      { masters: [] },
      'masters: [] names none: HOST:PORT is allowed, several with commas between, like 10.0.0.1:7070,10.0.0.2:7070',
    ],
    [
      'a ZooKeeper for a master',
      { master: 'zk://a:2181/mesos' },
      'master: "zk://a:2181/mesos" is a ZooKeeper address, and Sublet uses none: name the masters themselves: HOST:PORT is allowed, like 127.0.0.1:7070, [::1]:7070 or master-1.example:7070',
    ],
    ['a mode that is none', { network: 'docker' }, 'network: "docker" is unknown here: "linux" or "plan" is allowed'],
    [
      'a style that is none',
      { cni_style: 'dcos' },
      'cni_style: "dcos" is unknown here: "standard" or "mesos" is allowed',
    ],
    [
      'a Docker address that is none',
      { docker_host: '/var/run/docker.sock' },
      'docker_host: "/var/run/docker.sock" has another form: unix:///PATH or tcp://HOST:PORT is allowed',
    ],
    [
      'an MTU out of range',
      { network_config: { overlay_mtu: 100 } },
      'network_config.overlay_mtu: 100 is out of range: a whole number of bytes from 576 to 65535 is allowed',
    ],
    [
      'whole subnets for two bridges',
      { network_config: { split: false } },
      'network_config.split: can not be false beside two bridges: set mesos_bridge or docker_bridge to false, so that the other one has the whole subnet',
    ],
    [
      'a time for bridges that is none',
      { network_config: { bridges: 'later' } },
      'network_config.bridges: "later" is unknown here: "as-needed" or "now" is allowed',
    ],
    [
      'a relative run_dir',
      { run_dir: 'run/sublet' },
      'run_dir: "run/sublet" has another form: an absolute path of [A-Za-z0-9._@+-] between slashes is allowed',
    ],
    [
      'a flannel_subnet_file that goes up',
      { flannel_subnet_file: '/run/../etc/passwd' },
      'flannel_subnet_file: "/run/../etc/passwd" has another form: an absolute path of [A-Za-z0-9._@+-] between slashes is allowed',
    ],
    [
      'a command that would be looked for',
      { on_change: ['systemctl', 'reload', 'nomad'] },
      'on_change: does not begin with an absolute path: ["/usr/local/bin/x", "argument"] is allowed',
    ],
    [
      'a plugin without its type',
      { cni_chain: [{ rate: 1 }] },
      'cni_chain[0].type: is missing: the name of a plugin’s program is allowed',
    ],
    [
      'a plugin that is text',
      { cni_chain: ['bandwidth'] },
      'cni_chain[0]: is not an object: a plugin like {"type": "bandwidth"} is allowed',
    ],
    [
      'a chain of the port mapper',
      { cni_style: 'mesos', cni_chain: [{ type: 'tuning' }] },
      'cni_chain: is of cni_style standard alone: remove it, or set cni_style',
    ],
    [
      'a prefix that is a path',
      { cni_file_prefix: '../' },
      'cni_file_prefix: "../" has another form: a text of 1 to 32 characters of [A-Za-z0-9_-] is allowed',
    ],
    [
      'a word for Docker that is none',
      { network_config: { docker_bridge: 'maybe' } },
      'network_config.docker_bridge: "maybe" is neither: true, false or auto is allowed',
    ],
    ['a command of no words', { on_change: [] }, 'on_change: is empty: an absolute path, and arguments, are allowed'],
    [
      'an address beyond loopback',
      { http_listen: '[::]:7073' },
      'http_listen: "[::]:7073" is reachable from other machines, and has no TLS: a loopback address like 127.0.0.1:7073 is allowed, or set insecure (--insecure) in a laboratory',
    ],
    [
      'HTTP with TLS where it is without',
      { http_listen: '127.0.0.1:7443', https_listen: '127.0.0.1:7443' },
      'https_listen: "127.0.0.1:7443" is what http_listen listens on: each needs a port of its own',
    ],
    [
      'a token of HTTP without the port that takes it',
      { http_token_file: '/etc/sublet/token' },
      'http_token_file: goes with https_listen: it is read there alone',
    ],
    [
      'a token that is cut off, without a word of it',
      { join: 'sj1.JWUqDLHkcj2Nna0eCiHYLd1GgmS1ulDeWbNn1abmNqs.N8xcktVgcLlDfM0_nPmKmQ' },
      'join: a text of 70 characters has another form: a token like sj1.PIN.ID.SECRET is allowed',
    ],
    [
      'a token beside insecure',
      { join: `sj1${`.${'A'.repeat(43)}`.repeat(3)}`, insecure: true },
      'join: can not be set beside insecure: remove one of the two',
    ],
    [
      'an unknown key',
      { network_config: { overlay_mut: 1 } },
      'network_config.overlay_mut: is not a known key; did you mean overlay_mtu? (allowed: allocate_subnet, mesos_bridge, docker_bridge, split, bridges, overlay_mtu, enable_ipv6)',
    ],
  ];
  it('does without Docker by default, and not where the file wants it or says where it is', () => {
    const optional = (value: object) => {
      const { config } = loadAgentConfig({ file: { name: 'agent.json', text: JSON.stringify(value) } });
      return [config.networkConfig.dockerBridge, config.dockerOptional];
    };
    assert.deepEqual(optional({}), [true, true]);
    assert.deepEqual(optional({ network_config: { docker_bridge: 'auto' } }), [true, true]);
    assert.deepEqual(optional({ network_config: { docker_bridge: true } }), [true, false]);
    assert.deepEqual(optional({ docker_host: 'unix:///run/docker.sock' }), [true, false]);
    assert.deepEqual(optional({ network_config: { docker_bridge: false } }), [false, false]);
  });

  for (const [title, value, message] of wrong) {
    it(`refuses ${title}`, () => assert.equal(problems(value), message));
  }
});

describe('whose configuration a file is', () => {
  const files: readonly (readonly [unknown, 'master' | 'agent' | undefined])[] = [
    [{ replicated_log_dir: '/a', network: { overlays: [] } }, 'master'],
    [{ cluster: {}, listen: '' }, 'master'],
    [{ network: {} }, 'master'],
    [{ network: 'plan' }, 'agent'],
    [{ max_configuration_attempts: 5 }, 'agent'],
    [{ id: 'a', http_listen: '' }, 'agent'],
    [{ http_listen: '', insecure: true }, undefined],
    [{}, undefined],
    [[], undefined],
  ];
  for (const [value, kind] of files) {
    it(`takes ${JSON.stringify(value)} for ${kind === undefined ? 'neither' : `a configuration of the ${kind}`}`, () => {
      assert.equal(configKind(JSON.stringify(value)), kind);
    });
  }
});
