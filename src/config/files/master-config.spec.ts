import assert from 'node:assert/strict';
import { parseCidr4 } from '#address/cidr4.js';
import { formatMac, parseOui } from '#address/mac.js';
import { loadMasterConfig } from '#config/files/master-config.js';
import { formatHostPort } from '#config/host-port.js';
import { listeningFindings } from '#config/listening.js';
import { masterSettings } from '#config/master-settings.js';
import { ConfigError, formatProblem } from '#config/schema/config-problem.js';
import { ConfigDocument } from '#config/schema/document.js';
import type { FlagValue } from '#config/schema/setting.js';

const load = (value: unknown, flags: readonly FlagValue[] = []) =>
  loadMasterConfig({ file: { name: 'master.json', text: JSON.stringify(value) }, flags });

/** The problems with a configuration, without the place that all of them have (`master.json:1: `). */
function problems(value: unknown, flags: readonly FlagValue[] = []): string[] {
  try {
    load(value, flags);
  } catch (error) {
    if (error instanceof ConfigError) {
      return error.problems.map((problem) => formatProblem(problem).replace('master.json:1: ', ''));
    }
    throw error;
  }
  return [];
}

const overlay = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 };

describe('the configuration of a master', () => {
  it('is, without a word, a cluster of one on loopback', () => {
    const { config, warnings } = loadMasterConfig({});
    assert.deepEqual(config, {
      name: 'master-1',
      dataDir: 'sublet-data',
      listen: { host: '127.0.0.1', port: 7070 },
      peerListen: { host: '127.0.0.1', port: 7071 },
      httpListen: { host: '127.0.0.1', port: 7072 },
      httpHosts: [],
      nodeIps: undefined,
      httpTls: false,
      httpTokenFile: undefined,
      healthListen: undefined,
      cluster: { id: 'sublet', members: [{ name: 'master-1', peer: { host: '127.0.0.1', port: 7071 } }], join: [] },
      network: {
        mentioned: {},
        settings: {
          vtepSubnet: parseCidr4('44.128.0.0/20'),
          vtepSubnet6: undefined,
          vtepMacOui: parseOui('70:b3:d5:00:00:00'),
          vtepMtu: 0,
          vni: 1024,
          vtepName: 'vtep1024',
          vxlanPort: 64_000,
          quarantineMs: 900_000,
          reclaimMs: undefined,
        },
        overlays: undefined,
      },
      raft: { heartbeatMs: 100, electionMs: 1_000, retainEntries: 10_000 },
      tls: undefined,
      tlsRenew: false,
      joining: undefined,
      insecure: false,
      log: { level: 'info', format: 'auto' },
    });
    assert.deepEqual(warnings, []);
  });

  it('takes the files of TLS one by one, or by their folder', () => {
    const tls = { ca: '/etc/x/ca.pem', cert: '/etc/x/cert.pem', key: '/etc/x/key.pem' };
    assert.deepEqual(load({ tls }).config.tls, tls);
    assert.deepEqual(load({ tls: { dir: '/etc/x' } }).config.tls, tls);
    assert.deepEqual(load({}, [{ flag: '--tls', value: '/etc/x' }]).config.tls, tls);
  });

  it('has hosts join beside its API where it has the key of the authority, or where it is said', () => {
    const tls = { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' };
    const joiningOf = (value: object) => load({ listen: '10.0.0.1:7070', ...value }).config.joining;
    const without = { listen: undefined, caKey: undefined, lifetimeMs: 7 * 86_400_000 };
    assert.deepEqual(joiningOf({ tls }), without);
    assert.deepEqual(joiningOf({ tls: { ...tls, ca_key: 'ca.key', certificate_lifetime: '30d' } }), {
      listen: { host: '10.0.0.1', port: 7074 },
      caKey: 'ca.key',
      lifetimeMs: 30 * 86_400_000,
    });
    const listen = { host: '10.0.0.2', port: 7075 };
    assert.deepEqual(joiningOf({ tls, join_listen: '10.0.0.2:7075' }), { ...without, listen });
  });

  it('takes a file of DC/OS as it is, and says that ZooKeeper is not used', () => {
    const { config, warnings } = load({
      replicated_log_dir: '/var/lib/dcos/mesos/master',
      network: { vtep_subnet: '44.128.0.0/20', vtep_mac_oui: '70:B3:D5:00:00:00', overlays: [overlay] },
      zk: { url: 'zk://127.0.0.1:2181/mesos', quorum: 1 },
    });
    assert.equal(config.dataDir, '/var/lib/dcos/mesos/master');
    assert.equal(formatMac(config.network.settings.vtepMacOui), '70:b3:d5:00:00:00');
    assert.deepEqual(Object.keys(config.network.mentioned), ['vtepSubnet', 'vtepMacOui']);
    assert.equal(config.network.overlays?.[0]?.v4?.prefix, 24);
    assert.deepEqual(warnings.map(formatProblem), [
      'master.json:1: zk: is ignored: Sublet replicates by itself and uses no ZooKeeper',
    ]);
  });

  it('has flags win, also over the DC/OS name of a key', () => {
    const { config } = load({ replicated_log_dir: '/a', raft: { heartbeat_ms: 50, election_ms: 900 } }, [
      { flag: '--data-dir', value: '/b' },
      { flag: '--heartbeat-ms', value: '20' },
      {
        flag: '--overlay',
        value: ['name=dcos,subnet=9.0.0.0/8,prefix=24', 'name=six,subnet6=fd01:b::/64,prefix6=80,enabled=false'],
      },
    ]);
    assert.equal(config.dataDir, '/b');
    assert.deepEqual(config.raft, { heartbeatMs: 20, electionMs: 900, retainEntries: 10_000 });
    assert.deepEqual(
      config.network.overlays?.map(({ name, v4, v6, enabled }) => [name, v4?.prefix, v6?.prefix, enabled]),
      [
        ['dcos', 24, undefined, true],
        ['six', undefined, 80, false],
      ],
    );
  });

  it('finds itself among the members by name or by peer address', () => {
    const members = [
      { name: 'm1', peer: '127.0.0.1:8071' },
      { name: 'm2', peer: '[0::1]:8072' },
      { name: 'm3', peer: '127.0.0.1:8073' },
    ];
    assert.equal(formatHostPort(load({ name: 'm2', cluster: { members } }).config.peerListen), '[::1]:8072');
    assert.equal(load({ peer_listen: '[::1]:8072', cluster: { members } }).config.name, 'm2');
  });

  it('quarantines a block for a fourth of the TTL by default', () => {
    assert.equal(load({ lease: { reclaim: '24h' } }).config.network.settings.quarantineMs, 6 * 3_600_000);
    assert.equal(load({ lease: { reclaim: '5m' } }).config.network.settings.quarantineMs, 900_000);
  });

  const lengths = 'a length of time from 0s to 365d is allowed, like "90s", "15m", "24h" or "7d"';
  const hostPort = 'HOST:PORT is allowed, like 127.0.0.1:7070, [::1]:7070 or master-1.example:7070';
  const wrong: readonly (readonly [string, unknown, readonly string[]])[] = [
    [
      'an unknown key',
      { lisen: '127.0.0.1:1' },
      [
        'lisen: is not a known key; did you mean listen? (allowed: name, data_dir, listen, peer_listen, http_listen, join_listen, http_hosts, node_ips, http_tls, http_token_file, health_listen, cluster, network, lease, raft, tls, insecure, log, zk)',
      ],
    ],
    [
      'several unknown keys inside',
      { raft: { tick: 1, elction_ms: 1 } },
      [
        'raft.tick: is not a known key (allowed: heartbeat_ms, election_ms, retain_entries)',
        'raft.elction_ms: is not a known key; did you mean election_ms? (allowed: heartbeat_ms, election_ms, retain_entries)',
      ],
    ],
    [
      'a number as text',
      { raft: { heartbeat_ms: '100' } },
      ['raft.heartbeat_ms: "100" is not a number: a whole number of milliseconds from 10 to 60000 is allowed'],
    ],
    [
      'a fraction',
      { raft: { heartbeat_ms: 10.5 } },
      ['raft.heartbeat_ms: 10.5 is not a whole number: a whole number of milliseconds from 10 to 60000 is allowed'],
    ],
    [
      'a number out of range',
      { raft: { retain_entries: 0 } },
      ['raft.retain_entries: 0 is out of range: a whole number from 1 to 10000000 is allowed'],
    ],
    [
      'an election of fewer than five heartbeats',
      { raft: { heartbeat_ms: 100, election_ms: 499 } },
      ['raft.election_ms: 499 is too short beside raft.heartbeat_ms 100: at least 5 heartbeats, 500, are allowed'],
    ],
    [
      'a heartbeat too long for the default election',
      { raft: { heartbeat_ms: 201 } },
      ['raft.heartbeat_ms: 201 is too long beside raft.election_ms 1000: at most a fifth of it, 200, is allowed'],
    ],
    [
      'a section that is none',
      { raft: [] },
      ['raft: [] is not an object: { … } with the keys heartbeat_ms, election_ms, retain_entries is allowed'],
    ],
    ['a list that is none', { cluster: { members: {} } }, ['cluster.members: {} is not a list: [ … ] is allowed']],
    [
      'a name of another form',
      { name: 'Master 1' },
      ['name: "Master 1" has another form: 1 to 63 characters of [a-z0-9.-] is allowed'],
    ],
    ['an empty path', { data_dir: '' }, ['data_dir: "" is not a path: a path of 1 to 4096 characters is allowed']],
    [
      'two names for one setting',
      { data_dir: '/a', replicated_log_dir: '/b' },
      ['replicated_log_dir: "/b" stands beside data_dir, which is the same setting: leave one of them out'],
    ],
    ['an address without a port', { listen: '127.0.0.1' }, [`listen: "127.0.0.1" has no port: ${hostPort}`]],
    [
      'an address beyond loopback',
      { http_listen: '0.0.0.0:7072' },
      [
        'http_listen: "0.0.0.0:7072" is reachable from other machines, and has no TLS: a loopback address like 127.0.0.1:7072 is allowed, or set tls, or insecure (--insecure) in a laboratory',
      ],
    ],
    [
      'the same address twice',
      { listen: '127.0.0.1:7071' },
      ['peer_listen: "127.0.0.1:7071" is what listen listens on: each needs a port of its own'],
    ],
    [
      'two members with one name',
      {
        name: 'a',
        cluster: {
          members: [
            { name: 'a', peer: '127.0.0.1:1' },
            { name: 'a', peer: '127.0.0.1:2' },
          ],
        },
      },
      ['cluster.members[1].name: "a" is the name of cluster.members[0] too: each member needs its own'],
    ],
    [
      'two members with one address',
      {
        name: 'a',
        cluster: {
          members: [
            { name: 'a', peer: '127.0.0.1:1' },
            { name: 'b', peer: '127.0.0.1:1' },
          ],
        },
      },
      ['cluster.members[1].peer: "127.0.0.1:1" is the peer of cluster.members[0] too: each member needs its own'],
    ],
    [
      'a name that is no member',
      { name: 'c', cluster: { members: [{ name: 'a', peer: '127.0.0.1:1' }] } },
      ['name: "c" is none of cluster.members: a are'],
    ],
    [
      'a member without an address',
      { name: 'a', cluster: { members: [{ name: 'a' }] } },
      ['cluster.members[0].peer: is missing: HOST:PORT is allowed, like 127.0.0.1:7070'],
    ],
    [
      'a member at port 0',
      { name: 'a', cluster: { members: [{ name: 'a', peer: '127.0.0.1:0' }] } },
      ['cluster.members[0].peer: "127.0.0.1:0" has port 0: 1 to 65535 is allowed'],
    ],
    [
      'a cluster id of another form',
      { cluster: { id: 'a/b' } },
      ['cluster.id: "a/b" has another form: 1 to 63 characters of [A-Za-z0-9._-] is allowed'],
    ],
    ['no length of time', { lease: { quarantine: '15' } }, [`lease.quarantine: "15" is not a duration: ${lengths}`]],
    [
      'a TTL out of range',
      { lease: { reclaim: '10s' } },
      [
        'lease.reclaim: "10s" is out of range: "never" or a length of time from 30s to 365d is allowed, like "90s", "15m", "24h" or "7d"',
      ],
    ],
    [
      'a name that no device can have',
      { network: { vtep_name: 'tunnel-of-sublet' } },
      ['network.vtep_name: "tunnel-of-sublet" is not a device name: 1 to 15 characters of [A-Za-z0-9._-] are allowed'],
    ],
    [
      'a quarantine too short for the TTL',
      { lease: { reclaim: '24h', quarantine: '1h' } },
      [
        'lease.quarantine: "1h" is too short beside lease.reclaim "24h": at least 6h (15 minutes, or a fourth of the TTL if that is longer) is allowed',
      ],
    ],
    [
      'a part of TLS',
      { tls: { ca: 'ca.pem' } },
      [
        'tls.cert: is missing: a path of 1 to 4096 characters is allowed',
        'tls.key: is missing: a path of 1 to 4096 characters is allowed',
      ],
    ],
    [
      'a folder of TLS beside one of its files',
      { tls: { dir: 'tls', cert: 'cert.pem' } },
      ['tls.cert: can not be set beside tls.dir, which has it: remove one of the two'],
    ],
    [
      'joining without TLS',
      { join_listen: '127.0.0.1:7074' },
      ['join_listen: goes with tls: hosts join to get a certificate'],
    ],
    [
      'one address for two ports, one of them for joining',
      { tls: { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem', ca_key: 'ca.key' }, listen: '10.0.0.1:7074' },
      ['join_listen: "10.0.0.1:7074" is what listen listens on: each needs a port of its own'],
    ],
    [
      'certificates of a minute',
      { tls: { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem', certificate_lifetime: '1m' } },
      [
        'tls.certificate_lifetime: "1m" is out of range: a length of time from 1h to 366d is allowed, like "90s", "15m", "24h" or "7d"',
      ],
    ],
    [
      'TLS beside insecure',
      { tls: { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' }, insecure: true },
      ['insecure: can not be set beside tls: remove one of the two'],
    ],
    [
      'HTTP in clear beyond loopback beside TLS',
      {
        tls: { ca: 'ca.pem', cert: 'cert.pem', key: 'key.pem' },
        listen: '0.0.0.0:7070',
        http_listen: '0.0.0.0:7072',
        http_tls: false,
      },
      [
        'http_listen: "0.0.0.0:7072" is reachable from other machines, and has no TLS: a loopback address like 127.0.0.1:7072 is allowed, or set insecure (--insecure) in a laboratory',
      ],
    ],
    [
      'TLS of HTTP without tls',
      { http_tls: true },
      ['http_tls: goes with tls: it is the certificate of tls that HTTP shows'],
    ],
    [
      'an API beyond loopback without TLS',
      { listen: '0.0.0.0:7070' },
      [
        'listen: "0.0.0.0:7070" is reachable from other machines, and has no TLS: a loopback address like 127.0.0.1:7070 is allowed, or set tls, or insecure (--insecure) in a laboratory',
      ],
    ],
    ['a switch that is none', { insecure: 'yes' }, ['insecure: "yes" is not a boolean: true or false is allowed']],
    [
      'a level that is none',
      { log: { level: 'loud' } },
      ['log.level: "loud" is unknown here: "error" or "warn" or "info" or "debug" or "trace" is allowed'],
    ],
    [
      'a VTEP subnet with host bits',
      { network: { vtep_subnet: '44.128.0.1/20' } },
      ['network.vtep_subnet: "44.128.0.1/20" has host bits: 44.128.0.0/20 is the network'],
    ],
    [
      'a MAC that is not an OUI',
      { network: { vtep_mac_oui: '70:B3:D5:00:00:01' } },
      [
        'network.vtep_mac_oui: "70:b3:d5:00:00:01" is not an OUI: its low three bytes must be zero, like 70:b3:d5:00:00:00',
      ],
    ],
    [
      'an overlay name of another form',
      { network: { overlays: [{ ...overlay, name: 'a-name-too-long' }] } },
      [
        'network.overlays[0].name: "a-name-too-long" has another form: 1 to 13 characters of [a-z0-9-] with no hyphen first is allowed',
      ],
    ],
    [
      'an overlay without a name',
      { network: { overlays: [{ subnet: '9.0.0.0/8', prefix: 24 }] } },
      ['network.overlays[0].name: is missing: 1 to 13 characters of [a-z0-9-] with no hyphen first is allowed'],
    ],
    [
      'an IPv6 network for an IPv4 one',
      { network: { overlays: [{ ...overlay, subnet: 'fd00::/64' }] } },
      [
        'network.overlays[0].subnet: "fd00::/64" is not an IPv4 network: an address, a slash and a prefix from 0 to 32, like 9.0.0.0/8',
      ],
    ],
    [
      'a prefix without a subnet',
      { network: { overlays: [{ name: 'a', prefix: 24 }] } },
      ['network.overlays[0].subnet: is missing beside prefix: they go together'],
    ],
    [
      'overlays that overlap',
      { network: { overlays: [overlay, { ...overlay, name: 'two', subnet: '9.1.0.0/16' }] } },
      ['network.overlays[1].subnet: 9.1.0.0/16 of overlay "two" overlaps 9.0.0.0/8 of overlay "dcos"'],
    ],
    [
      'a reserved name',
      { network: { overlays: [{ ...overlay, name: 'host' }] } },
      [
        'network.overlays[0].name: "host" is reserved by a container engine: not host, bridge, default, none, cni-loopback, container, crio, nomad, ns, pasta, podman, private, slirp4netns',
      ],
    ],
    [
      'a VTEP subnet wider than /8',
      { network: { vtep_subnet: '44.0.0.0/7' } },
      ['network.vtep_subnet: 44.0.0.0/7 has a prefix of 7: prefixes from 8 to 28 are allowed'],
    ],
    [
      'an agent’s word for a network',
      { network: 'plan' },
      [
        'network: "plan" is not an object: { … } with the keys vtep_subnet, vtep_subnet6, vtep_mac_oui, vtep_mtu, vtep_name, vni, vxlan_port, overlays is allowed',
      ],
    ],
  ];
  for (const [title, value, wanted] of wrong) {
    it(`refuses ${title}`, () => assert.deepEqual(problems(value), wanted));
  }

  it('names the line of each problem, and reports all of them at once', () => {
    const text = '{\n  "raft": {\n    "heartbeat_ms": 1,\n    "elections": 3\n  },\n  "listen": "x"\n}\n';
    assert.throws(
      () => loadMasterConfig({ file: { name: 'conf/m.json', text }, flags: [{ flag: '--quarantine', value: 'x' }] }),
      {
        name: 'ConfigError',
        message: [
          `--quarantine: "x" is not a duration: ${lengths}`,
          'conf/m.json:3: raft.heartbeat_ms: 1 is out of range: a whole number of milliseconds from 10 to 60000 is allowed',
          'conf/m.json:4: raft.elections: is not a known key; did you mean election_ms? (allowed: heartbeat_ms, election_ms, retain_entries)',
          `conf/m.json:6: listen: "x" has no port: ${hostPort}`,
        ].join('\n'),
      },
    );
  });

  it('says which part of a flag is wrong, and of which one when it was given several times', () => {
    const overlay = (...value: readonly string[]) => problems({}, [{ flag: '--overlay', value }]);
    assert.deepEqual(overlay('name=a,subnet=9.0.0.0/8,prefix=40'), [
      '--overlay: prefix: 40 is out of range: a whole number of bits from 1 to 28 is allowed',
    ]);
    assert.deepEqual(overlay('name=a,subnet=9.0.0.0/8,prefix=24', 'name=b,subnet=10.0.0.0/8,prefix=24,enable=true'), [
      '--overlay: [1].enable: is not a known key; did you mean enabled? (allowed: name, subnet, prefix, subnet6, prefix6, enabled)',
    ]);
    assert.deepEqual(overlay('dcos'), ['--overlay: "dcos" has another form: NAME=VALUE,… is allowed']);
    const member = problems({ name: 'm2' }, [{ flag: '--member', value: ['m1', 'm2=10.0.0.2:0'] }]);
    assert.deepEqual(member, [
      '--member: "m1" has another form: NAME=HOST:PORT is allowed',
      '--member: [1].peer: "10.0.0.2:0" has port 0: 1 to 65535 is allowed',
    ]);
  });

  it('says where a file is not JSON', () => {
    assert.throws(() => loadMasterConfig({ file: { name: 'm.json', text: '{\n  "name": "a",\n}' } }), {
      message: 'm.json:3: no JSON: "," before "}" (column 1)',
    });
    assert.deepEqual(problems([]), ['[] is not a configuration: a JSON object { … } is expected']);
  });

  it('allows listening beyond loopback when it is configured, and says what that means', () => {
    const { config, warnings } = load({ listen: '0.0.0.0:7070', insecure: true });
    assert.equal(config.listen.host, '0.0.0.0');
    assert.deepEqual(warnings.map(formatProblem), [
      'master.json:1: insecure: is on: listen beyond loopback without TLS: every caller that reaches the ports may read and change everything',
    ]);
  });

  const join = { name: 'm3', insecure: true, cluster: { id: 'berlin', join: '10.244.0.1:7071' } };

  it('refuses a default peer port on loopback beside masters to join on other machines', () => {
    const missing = (example: string): string =>
      `peer_listen: is missing beside cluster.join: the default, 127.0.0.1:7071, is reached from this machine alone, and 10.244.0.1:7071 is on another one: set it to an address that the other masters reach, like ${example} (--peer-listen)`;
    assert.deepEqual(problems({ ...join, listen: '10.244.0.3:7070' }), [missing('10.244.0.3:7071')]);
    assert.deepEqual(problems({ ...join, listen: '0.0.0.0:7070' }), [missing('ADDRESS:7071')]);
    assert.deepEqual(problems(join), [missing('ADDRESS:7071')]);
    const here = { name: 'm3', cluster: { join: 'localhost:8071,127.0.0.2:8071' } };
    assert.deepEqual(problems(here), []);
    assert.deepEqual(problems({ ...join, peer_listen: '0.0.0.0:7071' }), []);
  });

  it('warns of peer addresses on loopback beside others that are on other machines', () => {
    const warned = (value: unknown): readonly string[] =>
      load(value).warnings.flatMap((problem) => (problem.key === 'insecure' ? [] : [formatProblem(problem)]));
    assert.deepEqual(warned({ ...join, peer_listen: '127.0.0.1:7071' }), [
      'master.json:1: peer_listen: "127.0.0.1:7071" is reached from this machine alone, and 10.244.0.1:7071 is on another one: set an address that the other masters reach, unless something forwards to it',
    ]);
    const members = ['127.0.0.1:7071', '10.0.0.2:7071', '10.0.0.3:7071'].map((peer, at) => ({ name: `m${at}`, peer }));
    assert.deepEqual(warned({ name: 'm1', insecure: true, cluster: { members } }), [
      'master.json:1: cluster.members[0].peer: "127.0.0.1:7071" is reached from its own machine alone, and 10.0.0.2:7071 is on another one: name an address that all masters reach',
    ]);
    assert.deepEqual(warned({ name: 'm1', insecure: true, cluster: { members: members.slice(1) } }).length, 1);
  });

  it('refuses any address beyond loopback on a Node.js that must not serve, insecure or not', () => {
    const document = new ConfigDocument({ flags: [{ flag: '--insecure', value: true }] }, masterSettings);
    const at = { listen: { host: '0.0.0.0', port: 7070 }, http_listen: { host: '127.0.0.1', port: 7072 } };
    assert.deepEqual(
      listeningFindings(document, at, ['listen'], 'Node.js 20.20.2 has a hole; take another').map(
        ({ message }) => message,
      ),
      [
        '"0.0.0.0:7070" is reachable from other machines, and Node.js 20.20.2 has a hole; take another. On this one a loopback address like 127.0.0.1:7070 is allowed, with insecure or without',
      ],
    );
    assert.deepEqual(listeningFindings(document, at, ['listen'], undefined), []);
  });

  it('warns of an even number of members', () => {
    const members = [
      { name: 'a', peer: '127.0.0.1:1' },
      { name: 'b', peer: '127.0.0.1:2' },
    ];
    assert.deepEqual(load({ name: 'a', cluster: { members } }).warnings.map(formatProblem), [
      'master.json:1: cluster.members: has 2 members, which survive no more failures than 1 do: an odd number is better',
    ]);
  });
});
