import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

describe('sublet config check', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-check-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  async function check(content: unknown, ...flags: readonly string[]) {
    const file = join(folder, 'conf.json');
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content, undefined, 2));
    const terminal = new RecordedTerminal();
    const code = await run(['config', 'check', file, ...flags], terminal);
    const here = (text: string) => text.replaceAll(`${folder}/`, '');
    return { code, out: here(terminal.out), notes: here(terminal.notes) };
  }

  it('says what the configuration of a master means', async () => {
    const { code, out } = await check({
      replicated_log_dir: '/var/lib/dcos/mesos/master',
      network: { vtep_subnet: '44.128.0.0/20', overlays: [{ name: 'dcos', subnet: '9.0.0.0/8', prefix: 24 }] },
      lease: { reclaim: '24h' },
      zk: {},
    });
    assert.equal(code, 0);
    assert.equal(
      out,
      [
        'ok  conf.json is the configuration of a master.',
        '',
        'name     master-1',
        'data     /var/lib/dcos/mesos/master',
        'api      127.0.0.1:7070',
        'peers    127.0.0.1:7071',
        'http     127.0.0.1:7072',
        'cluster  sublet',
        'members  master-1 at 127.0.0.1:7071',
        'vteps    44.128.0.0/20, MAC 70:b3:d5:00:00:00, VNI 1024, UDP port 64000',
        'overlay  dcos: 9.0.0.0/8 in /24s',
        'leases   end after 1d of silence; quarantine 6h',
        'raft     heartbeat 100ms, election 1s, 10000 entries kept',
        '! conf.json:16: zk: is ignored: Sublet replicates by itself and uses no ZooKeeper',
        '',
      ].join('\n'),
    );
  });

  it('says which cluster a master joins, and what keeps it from being reached there', async () => {
    const join = { name: 'm3', insecure: true, listen: '10.244.0.3:7070', cluster: { join: '10.244.0.1:7071' } };
    const { code, out } = await check({ ...join, peer_listen: '10.244.0.3:7071' });
    assert.equal(code, 0);
    assert.match(out, /^peers {5}10\.244\.0\.3:7071$/m);
    assert.match(out, /^joins {5}10\.244\.0\.1:7071$/m);
    assert.doesNotMatch(out, /^members/m);
    const refused = await check(join);
    assert.equal(refused.code, 1);
    assert.match(refused.notes, /peer_listen: is missing beside cluster\.join.*like 10\.244\.0\.3:7071/);
  });

  it('says what the configuration of an agent means', async () => {
    const { code, out } = await check({ network_config: { allocate_subnet: false }, max_configuration_attempts: 5 });
    assert.equal(code, 0);
    assert.match(out, /^ok {2}conf\.json is the configuration of an agent\.\n/);
    assert.match(out, /^wants {4}no subnets, m- bridges, d- bridges, IPv6, MTU 1420$/m);
    assert.match(out, /^cni {6}\/etc\/cni\/net\.d, style mesos$/m);
  });

  it('refuses an IPv6 overlay without IPv6 addresses of the tunnel', async () => {
    const six = { name: 'six', subnet6: 'fd01:b::/64', prefix6: 80 };
    const refused = await check({ network: { vtep_subnet: '44.128.0.0/20', overlays: [six] } });
    assert.deepEqual([refused.code, refused.out], [1, '']);
    assert.match(
      refused.notes,
      /^ {2}conf\.json:\d+: .*overlay "six" has a subnet6 and the network has no vtep_subnet6/m,
    );
    const { code } = await check({ network: { vtep_subnet6: 'fd01:a::/64', overlays: [six] } });
    assert.equal(code, 0);
  });

  it('lists all that is wrong, with 1', async () => {
    assert.deepEqual(
      await check({ network: { overlays: [{ name: 'host', subnet: '9.0.0.0/8', prefix: 24 }] }, data_dr: '/' }),
      {
        code: 1,
        out: '',
        notes: [
          'sublet: conf.json can’t be used: 2 problems',
          '  conf.json:5: network.overlays[0].name: "host" is reserved by a container engine: not host, bridge, default, none, cni-loopback, container, crio, nomad, ns, pasta, podman, private, slirp4netns',
          '  conf.json:11: data_dr: is not a known key; did you mean data_dir? (allowed: name, data_dir, listen, peer_listen, http_listen, join_listen, http_hosts, node_ips, http_tls, http_token_file, health_listen, cluster, network, lease, raft, tls, insecure, log, zk)',
          '',
        ].join('\n'),
      },
    );
  });

  it('asks for the kind of process when the keys do not show it', async () => {
    const { code, notes } = await check({ insecure: false });
    assert.equal(code, 2);
    assert.equal(
      notes,
      'sublet: conf.json: its keys are of neither a master nor an agent: say --kind master or --kind agent\n',
    );
    assert.equal((await check({ insecure: false }, '--kind', 'agent')).code, 0);
  });

  it('says where a file is not JSON, with 1', async () => {
    for (const kind of [[], ['--kind', 'agent']]) {
      const { code, notes } = await check('{\n  "name": "a",\n}\n', ...kind);
      assert.equal(code, 1);
      assert.equal(
        notes,
        'sublet: conf.json can’t be used: 1 problem\n  conf.json:3: no JSON: "," before "}" (column 1)\n',
      );
    }
  });

  it('says so when there is no file, with 1', async () => {
    const terminal = new RecordedTerminal();
    assert.equal(await run(['config', 'check', join(folder, 'none.json')], terminal), 1);
    assert.match(terminal.notes, /none\.json: there is no such file\n$/);
  });
});
