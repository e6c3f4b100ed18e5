/**
 * Networks of DC/OS and flannel taken into the plan: what the command shows and makes, and what agents then lease. The keys
 * of flannel are in a real etcd; the masters are in this process.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { operatorService } from '#api/services.js';
import { EtcdMembers } from '#cluster-test/bench/etcd/etcd.js';
import { command } from '#cluster-test/operations/operator.js';
import { pageBlock } from '#cluster-test/page-block.js';
import { Child } from '#cluster-test/process/child.js';
import { holds, until } from '#cluster-test/process/condition.js';
import { fixture } from '#cluster-test/process/fixture.js';
import { freePorts } from '#cluster-test/process/ports.js';
import { command as program, requires } from '#cluster-test/requirement.js';
import { TestMasters, testOverlay } from '#master/testing/test-masters.js';
import type { sublet } from '#proto/sublet.js';

const state = fixture('dcos-state.json');
const dcosSettings = { vtepSubnet6: parseCidr6('fd01:a::/64') };
const both = { enableIpv6: true, allocateSubnet: true, mesosBridge: true, dockerBridge: true, overlayMtu: 1420 };

/** `9.0.3.0/24 44.128.0.7/20 70:b3:d5:80:00:07` */
function leased({ agent }: sublet.v1.RegisterResponse): string {
  const subnets = (agent?.overlays ?? []).flatMap(({ subnet, subnet6 }) => [subnet, subnet6].filter(Boolean));
  return [...subnets, agent?.vxlan?.vtepIp, agent?.vxlan?.vtepMac].join(' ');
}

/** The commands that a plan shows. */
function commandsIn(out: string): readonly string[] {
  return out.match(/^ {4}sublet .*$/gm)?.map((line) => line.trim()) ?? [];
}

describe('the state of DC/OS, imported', () => {
  let masters: TestMasters;
  const ran = (...args: readonly string[]) =>
    command('import', 'dcos-state', ...args, '--master', masters.master(0).api);
  const register = (id: string, nodeIp: string) => masters.register(id, { nodeIp, networkConfig: both });

  beforeEach(async () => {
    masters = await TestMasters.start({ settings: dcosSettings });
  });
  afterEach(async () => {
    await masters[Symbol.asyncDispose]();
  });

  it('gives each host its subnets, VTEP address and MAC, whatever its id is and in whatever order they come', async () => {
    const dry = await ran(state, '--dry-run');
    assert.equal(dry.code, 0, dry.output);
    assert.deepEqual(commandsIn(dry.out), [
      'sublet overlay add dcos6 --subnet6 fd01:b::/64 --prefix6 80 --disabled',
      "sublet reserve '' 44.128.0.7/32 --for-node 10.0.0.1",
      'sublet reserve dcos 9.0.3.0/24 --for-node 10.0.0.1',
      'sublet reserve dcos6 fd01:b:0:0:5::/80 --for-node 10.0.0.1',
      "sublet reserve '' 44.128.0.2/32 --for-node 10.0.0.2",
      'sublet reserve dcos 9.0.0.0/24 --for-node 10.0.0.2',
      "sublet reserve '' 44.128.0.1/32 --for-node 10.0.0.3",
      'sublet overlay enable dcos6',
    ]);
    assert.match(
      dry.out.replaceAll(/\s+/g, ' '),
      /vtep1024 \(VNI 1024\) can’t be on a host beside vtep1024 .* Nothing was changed: --dry-run\./,
    );
    assert.deepEqual(masters.commands.length, 1, 'nothing was changed');
    const done = await ran(state);
    assert.match(done.out, /Made 8 changes: the plan is at revision \d+\.\n$/, done.output);
    // One that was never there comes first, and takes none of theirs.
    assert.equal(leased(await register('new', '10.0.0.99')), '9.0.1.0/24 fd01:b::/80 44.128.0.3/20 70:b3:d5:80:00:03');
    assert.equal(
      leased(await register('c', '10.0.0.3')),
      '9.0.2.0/24 fd01:b:0:0:1::/80 44.128.0.1/20 70:b3:d5:80:00:01',
    );
    assert.equal(
      leased(await register('b', '10.0.0.2')),
      '9.0.0.0/24 fd01:b:0:0:2::/80 44.128.0.2/20 70:b3:d5:80:00:02',
    );
    assert.equal(
      leased(await register('a', '10.0.0.1')),
      '9.0.3.0/24 fd01:b:0:0:5::/80 44.128.0.7/20 70:b3:d5:80:00:07',
    );
    const again = await ran(state);
    assert.deepEqual(
      [again.code, /Nothing to change: the plan at revision \d+ has all of it\./.test(again.out)],
      [0, true],
      again.output,
    );
  });

  it('is made whole by a second run, where the first one came to an end between', async () => {
    const client = masters.client();
    await client.call(
      operatorService.addOverlay,
      { overlay: { name: 'dcos6', subnet6: 'fd01:b::/64', prefix6: 80, enabled: false } },
      { idempotent: false },
    );
    await client.call(
      operatorService.reserve,
      { overlay: 'dcos', subnet: '9.0.3.0/24', nodeIp: '10.0.0.1' },
      { idempotent: false },
    );
    const { out } = await ran(state);
    assert.match(out, /Made 6 changes/);
    assert.equal(commandsIn(out).at(-1), 'sublet overlay enable dcos6');
  });

  it('lists every conflict before anything is changed', async () => {
    const client = masters.client();
    const once = { idempotent: false } as const;
    await masters.register('old', { nodeIp: '10.0.0.2' });
    await masters.register('live', { nodeIp: '10.0.0.1' });
    await masters.register('other', { nodeIp: '10.0.0.77' });
    await client.call(operatorService.releaseAgents, { agentIds: ['old'], force: true }, once);
    await client.call(operatorService.reserve, { overlay: 'dcos', subnet: '9.0.3.0/24', agentId: 'db' }, once);
    await client.call(operatorService.reserve, { subnet: '44.128.0.7/32' }, once);
    await client.call(
      operatorService.addOverlay,
      { overlay: { name: 'web', subnet6: 'fd01:b:0:0:1::/80', prefix6: 96, enabled: true } },
      once,
    );
    const before = masters.commands.length;
    const { code, output } = await ran(state);
    const said = output.replaceAll(/\s+/g, ' ');
    assert.equal(code, 1, output);
    for (const conflict of [
      /dcos-state\.json can’t be imported: 8 problems; nothing was changed/,
      /network\.overlays\[1\]: fd01:b::\/64 overlaps fd01:b:0:0:1::\/80 of overlay web/,
      /agents\[0\]\.ip: agent live at 10\.0\.0\.1 holds VTEP address 44\.128\.0\.2, not VTEP address 44\.128\.0\.7: stop it, and sublet release live/,
      /agents\[0\]\.ip: agent live at 10\.0\.0\.1 holds 9\.0\.1\.0\/24 of dcos, not 9\.0\.3\.0\/24 of dcos/,
      /vtep_ip: VTEP address 44\.128\.0\.7 is excluded: sublet unreserve '' 44\.128\.0\.7\/32/,
      /agents\[0\]\.overlays\[0\]\.subnet: 9\.0\.3\.0\/24 of dcos is reserved for agent db, not for node 10\.0\.0\.1: sublet unreserve dcos 9\.0\.3\.0\/24/,
      /vtep_ip: VTEP address 44\.128\.0\.2 is held by agent live at 10\.0\.0\.1/,
      /agents\[1\]\.overlays\[0\]\.subnet: 9\.0\.0\.0\/24 of dcos is quarantined/,
      /vtep_ip: VTEP address 44\.128\.0\.1 is quarantined/,
    ]) {
      assert.match(said, conflict);
    }
    assert.equal(masters.commands.length, before);
  });

  it('is refused where masters have other pieces, another OUI or another VTEP subnet', async () => {
    await using other = await TestMasters.start({
      settings: { vtepSubnet: parseCidr4('44.129.0.0/20'), vtepSubnet6: parseCidr6('fd01:a::/64') },
      overlays: [{ ...testOverlay, v4: { subnet: parseCidr4('9.0.0.0/8'), prefix: 25 } }],
    });
    const { code, output } = await command('import', 'dcos-state', state, '--master', other.master(0).api);
    const said = output.replaceAll(/\s+/g, ' ');
    assert.equal(code, 1);
    assert.match(
      said,
      /network\.vtep_subnet: 44\.128\.0\.0\/20 does not contain 44\.129\.0\.0\/20, which the plan has/,
    );
    assert.match(said, /network\.overlays\[0\]: the pieces of overlay dcos are \/24: the masters have \/25/);
  });

  it('is refused where a larger VTEP subnet would move the IPv6 addresses of VTEPs', async () => {
    await using other = await TestMasters.start({
      settings: { vtepSubnet: parseCidr4('44.0.0.0/8'), vtepSubnet6: parseCidr6('fd01:a::/64') },
    });
    const { code, output } = await command('import', 'dcos-state', state, '--master', other.master(0).api);
    assert.equal(code, 1);
    assert.match(
      output.replaceAll(/\s+/g, ' '),
      /: 1 problem; .* network\.vtep_subnet: 44\.128\.0\.0\/20: the masters have 44\.0\.0\.0\/8, which begins elsewhere/,
    );
  });

  it('is refused at another revision than the expected one', async () => {
    const { code, output } = await ran(state, '--expected-revision', '77');
    assert.deepEqual(
      [code, /the plan is at revision \d+, not at 77; nothing was changed/.test(output.replaceAll(/\s+/g, ' '))],
      [1, true],
    );
  });
});

describe('flannel in a real etcd, imported', function () {
  this.timeout(60_000);
  let etcd: EtcdMembers;
  let url: string;
  let masters: TestMasters;
  const folder = mkdtempSync(join(tmpdir(), 'sublet-import-'));

  before(async function () {
    requires(this, program('etcd'), program('etcdctl'), program('openssl'));
    etcd = await EtcdMembers.start(1);
    url = `http://${etcd.addresses[0]}`;
    await put('/coreos.com/network/config', {
      Network: '10.5.0.0/16',
      SubnetMin: '10.5.16.0',
      Backend: { Type: 'vxlan', VNI: 1 },
    });
    for (const [subnet, ip] of Object.entries({
      '10.5.34.0-24': '10.0.0.1',
      '10.5.17.0-24': '10.0.0.2',
      '10.5.99.0-24': '10.0.0.3',
    })) {
      const value = {
        PublicIP: ip,
        PublicIPv6: null,
        BackendType: 'vxlan',
        BackendData: { VNI: 1, VtepMAC: '9e:00:00:00:00:01' },
      };
      await put(`/coreos.com/network/subnets/${subnet}`, value);
    }
    await put('/coreos.com/network-other/config', {});
  });
  after(async () => {
    await etcd?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });
  beforeEach(async () => {
    masters = await TestMasters.start();
  });
  afterEach(async () => {
    await masters?.[Symbol.asyncDispose]();
  });

  const base64 = (text: string): string => Buffer.from(text).toString('base64');

  async function etcdCall(path: string, body: object): Promise<string> {
    const response = await fetch(`${url}${path}`, { method: 'POST', body: JSON.stringify(body) });
    assert.equal(response.status, 200);
    return response.text();
  }

  const put = (key: string, value: object) =>
    etcdCall('/v3/kv/put', { key: base64(key), value: base64(JSON.stringify(value)) });
  const ran = (...args: readonly string[]) => command('import', 'flannel', ...args, '--master', masters.master(0).api);
  const wanted = [
    'sublet overlay add flannel --subnet 10.5.0.0/16 --prefix 24 --disabled',
    'sublet reserve flannel 10.5.17.0/24 --for-node 10.0.0.2',
    'sublet reserve flannel 10.5.34.0/24 --for-node 10.0.0.1',
    'sublet reserve flannel 10.5.99.0/24 --for-node 10.0.0.3',
    'sublet exclude flannel 10.5.0.0/20',
    'sublet overlay enable flannel',
  ];

  it('gives each host its subnet, and a VTEP address of Sublet’s', async () => {
    const dry = await ran('--etcd', url, '--dry-run');
    assert.deepEqual([dry.code, commandsIn(dry.out)], [0, wanted], dry.output);
    assert.match(
      dry.out.replaceAll(/\s+/g, ' '),
      /flannel\.1 \(VNI 1\) can be on a host beside vtep1024 \(VNI 1024, port 64000\)/,
    );
    // An agent that runs already gets none of the hosts' subnets while they are being reserved.
    await masters.register('early', { nodeIp: '10.0.0.50' });
    const done = await ran('--etcd', url);
    assert.match(done.out, /Made 6 changes/, done.output);
    const subnet = async (id: string, nodeIp: string) => {
      const { agent } = await masters.register(id, { nodeIp });
      return agent?.overlays?.find(({ info }) => info?.name === 'flannel')?.subnet;
    };
    assert.equal(await subnet('x', '10.0.0.3'), '10.5.99.0/24');
    assert.equal(await subnet('y', '10.0.0.2'), '10.5.17.0/24');
    assert.equal(await subnet('z', '10.0.0.60'), '10.5.16.0/24');
    assert.equal(await subnet('w', '10.0.0.1'), '10.5.34.0/24');
    assert.match((await ran('--etcd', url)).out, /Nothing to change/);
  });

  it('is read from what etcdctl prints, too, and page by page where there are many', async () => {
    const file = join(folder, 'keys.json');
    const range = { key: base64('/coreos.com/network/'), range_end: base64('/coreos.com/network0') };
    writeFileSync(file, await etcdCall('/v3/kv/range', range));
    const { out, output } = await ran('--file', file, '--dry-run');
    assert.deepEqual(commandsIn(out), wanted, output);
    writeFileSync(file, await etcdCall('/v3/kv/range', { ...range, limit: 2 }));
    const cut = await ran('--file', file, '--dry-run');
    assert.equal(cut.code, 1);
    assert.match(cut.output, /keys\.json has not all keys: etcd has more than these 2\n/);
    const many = '/many/network';
    await put(`${many}/config`, { Network: '11.0.0.0/8' });
    for (let host = 0; host < 1_200; host += 100) {
      const success = Array.from({ length: 100 }, (_, at) => {
        const place = `${(host + at) >> 8}.${(host + at) & 255}`;
        const key = base64(`${many}/subnets/11.${place}.0-24`);
        return { request_put: { key, value: base64(JSON.stringify({ PublicIP: `10.1.${place}` })) } };
      });
      await etcdCall('/v3/kv/txn', { success });
    }
    const paged = await ran('--etcd', url, '--prefix', many, '--dry-run');
    assert.equal(commandsIn(paged.out).length, 1_202, paged.output.slice(0, 500));
  });

  it('is looked at and made by the commands of the page, which keeps a lease of a host from expiring', async () => {
    const page = 'docs/operations/from-flannel.md';
    const lines = pageBlock(page, '--dry-run').trim().split('\n');
    for (const line of lines) {
      const [, ...args] = line.replace('http://10.0.0.1:2379', url).split(' ');
      const { code, output } = await command(...args, '--master', masters.master(0).api);
      assert.equal(code, 0, `${line}: ${output}`);
    }
    assert.equal(lines.length, 2);
    const key = base64('/coreos.com/network/subnets/10.5.34.0-24');
    const { kvs } = JSON.parse(await etcdCall('/v3/kv/range', { key }));
    const { ID } = JSON.parse(await etcdCall('/v3/lease/grant', { TTL: 86_400 }));
    await etcdCall('/v3/kv/put', { key, value: kvs[0].value, lease: ID });
    const env = { ...process.env, ETCDCTL_ENDPOINTS: url, ETCDCTL_API: '3' };
    const shell = spawnSync('sh', ['-ec', pageBlock(page, 'etcdctl put')], { env, encoding: 'utf8' });
    assert.equal(shell.status, 0, shell.stderr);
    const [kept] = JSON.parse(await etcdCall('/v3/kv/range', { key })).kvs;
    assert.deepEqual([kept.value, kept.lease], [kvs[0].value, undefined]);
  });

  it('is read by TLS, with a certificate of the operator’s where etcd asks for one', async () => {
    const place = (name: string): string => join(folder, name);
    for (const name of ['server', 'client']) {
      const made = spawnSync('openssl', [
        ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
        ...['-subj', `/CN=${name}`, '-addext', 'subjectAltName=IP:127.0.0.1'],
        ...['-out', place(`${name}.pem`), '-keyout', place(`${name}.key`)],
      ]);
      assert.equal(made.status, 0, String(made.stderr));
    }
    // etcd calls itself for the JSON form, and shows the certificate of its server.
    const both = ['server.pem', 'client.pem'].map((name) => readFileSync(place(name), 'utf8')).join('');
    writeFileSync(place('clients.pem'), both);
    const [client = 0, peer = 0] = await freePorts(2);
    const at = `https://127.0.0.1:${client}`;
    const args = [
      ...['--data-dir', place('tls'), '--logger', 'zap', '--log-level', 'error'],
      ...['--listen-client-urls', at, '--advertise-client-urls', at],
      ...[
        '--listen-peer-urls',
        `http://127.0.0.1:${peer}`,
        '--initial-advertise-peer-urls',
        `http://127.0.0.1:${peer}`,
      ],
      ...['--initial-cluster', `default=http://127.0.0.1:${peer}`, '--client-cert-auth'],
      ...[
        '--cert-file',
        place('server.pem'),
        '--key-file',
        place('server.key'),
        '--trusted-ca-file',
        place('clients.pem'),
      ],
    ];
    const secured = new Child(args, { command: ['etcd'] });
    try {
      const ca = ['--etcd', at, '--etcd-ca', place('server.pem')];
      const own = ['--etcd-cert', place('client.pem'), '--etcd-key', place('client.key')];
      await until('etcd answers', 30_000, async () => {
        if (!secured.running) throw new Error(secured.output);
        return holds(/there is no key/.test((await ran(...ca, ...own)).output));
      });
      assert.match(
        (await ran(...ca)).output.replaceAll(/\s+/g, ' '),
        /can’t be read: .*(?:certificate|alert|hang up|reset)/i,
      );
      assert.match((await ran('--etcd', at, ...own)).output.replaceAll(/\s+/g, ' '), /can’t be read: .*self-signed/i);
    } finally {
      await secured.kill();
    }
  });

  it('names the command that reads the same again, with all that it was read by', async () => {
    await put('/o/config', { Network: '10.6.0.0/16' });
    const ca = join(folder, 'ca.pem');
    writeFileSync(ca, '');
    const flags = ['--etcd', url, '--etcd-ca', ca, '--prefix', '/o', '--overlay', 'pods'];
    const { output } = await ran(...flags, '--expected-revision', '77');
    const again = `Look again: sublet import flannel ${flags.join(' ')} --dry-run`;
    assert.ok(output.replaceAll(/\s+/g, ' ').includes(again), output);
  });

  it('says what is wrong with the options, and with an etcd that can’t be read', async () => {
    const cases: readonly (readonly [readonly string[], number, RegExp])[] = [
      [[], 2, /--etcd and --file: give one of them/],
      [['--etcd', url, '--file', 'x'], 2, /--etcd and --file: give one of them/],
      [['--etcd', '10.0.0.1:2379'], 2, /--etcd: "10\.0\.0\.1:2379" is not the URL of an endpoint/],
      [['--etcd', url, '--etcd-cert', 'x'], 2, /--etcd-cert and --etcd-key go together/],
      [
        ['--etcd', url.replace('http', 'https'), '--etcd-ca', 'none.pem'],
        2,
        /--etcd-ca: none\.pem: there is no such file/,
      ],
      [['--etcd', url, '--prefix', 'net'], 2, /--prefix: "net" is not allowed/],
      [['--etcd', url, '--prefix', '/none'], 1, /there is no key \/none\/config/],
      [['--etcd', 'http://127.0.0.1:1'], 1, /etcd at http:\/\/127\.0\.0\.1:1 can’t be read: .*ECONNREFUSED/],
      [['--etcd', `http://${masters.master(0).api}`], 1, /can’t be read|answered/],
      [['--file', state], 1, /not the keys of an etcd/],
    ];
    for (const [args, code, said] of cases) {
      const ended = await ran(...args);
      assert.equal(ended.code, code, `${args.join(' ')}: ${ended.output}`);
      assert.match(ended.output.replaceAll(/\s+/g, ' '), said);
    }
  });
});
