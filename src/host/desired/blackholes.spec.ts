import assert from 'node:assert/strict';
import { predict } from '#host/apply/predict.js';
import { desired } from '#host/desired/desired.js';
import { diff } from '#host/diff/diff.js';
import { FilterReader } from '#host/filter/filter-reader.js';
import { iptablesTables } from '#host/filter/iptables-rules.js';
import { nftTables } from '#host/filter/nft-rules.js';
import { bareHost, type ObservedHost, type ObservedLink } from '#host/observe/observed.js';
import { hostStatusOf } from '#host/overlay-report.js';
import type { Problem } from '#host/problem.js';
import { exampleInput, underlay } from '#host/testing/example.js';
import { hookDevices, type NftRuleset, parseNft, readNft } from '#host/tools/nft-ruleset.js';
import type { Runner } from '#host/tools/runner.js';

const wish = desired(exampleInput(), { underlay });
const eth0: ObservedLink = { name: 'eth0', kind: 'physical', mac: '', mtu: 1500, up: true, addresses: ['10.0.0.1/24'] };

/** The host with everything of ours in place, and these packet filters. */
function host(tables: ObservedHost['filters']['tables']): ObservedHost {
  const built = predict(bareHost, diff(wish, bareHost).steps);
  return { ...built, links: new Map([...built.links, ['eth0', eth0]]), filters: { tables, unread: [] } };
}

function problems(tables: ObservedHost['filters']['tables']): readonly Problem[] {
  const plan = diff(wish, host(tables));
  assert.deepEqual(plan.steps, [], 'nothing is changed for it');
  return plan.problems;
}

function iptables(...lines: readonly string[]) {
  return iptablesTables(['*filter', ...lines, 'COMMIT'].join('\n'), 'iptables', 4);
}

const chain = (name: string, hook?: string, policy = 'accept') => ({
  chain: { family: 'inet', table: 't', name, ...(hook === undefined ? {} : { type: 'filter', hook, prio: 0, policy }) },
});
let handle = 0;
const rule = (name: string, ...expr: object[]) => ({
  rule: { family: 'inet', table: 't', chain: name, handle: ++handle, expr },
});
const match = (left: object, right: unknown, op = '==') => ({ match: { op, left, right } });

function nft(...items: readonly object[]) {
  return nftTables(parseNft(JSON.stringify({ nftables: [{ metainfo: {} }, ...items] })), []);
}

describe('a blackhole', () => {
  it('is no problem where there is none', () => {
    assert.deepEqual(problems([]), []);
    const ours = [':SUBLET-FORWARD - [0:0]', '-A FORWARD -j SUBLET-FORWARD', '-A SUBLET-FORWARD -i vtep1024 -j ACCEPT'];
    const accepts = [...ours, '-A SUBLET-FORWARD -o vtep1024 -j ACCEPT'];
    const guard = wish.guard.rules[4].map((line) => `-A SUBLET-GUARD ${line}`);
    const raw = [
      '*raw',
      ':PREROUTING ACCEPT [0:0]',
      ':SUBLET-GUARD - [0:0]',
      '-A PREROUTING -j SUBLET-GUARD',
      ...guard,
    ];
    assert.deepEqual(problems(iptablesTables([...raw, 'COMMIT'].join('\n'), 'iptables', 4)), []);
    assert.deepEqual(problems(iptables(':FORWARD DROP [0:0]', ':INPUT ACCEPT [0:0]', ...accepts)), []);
  });

  it('in a foreign forward hook fails each overlay that it cuts off, and names the hook and the command', () => {
    const found = problems(
      nft(chain('f', 'forward'), rule('f', { reject: { type: 'icmpx', expr: 'admin-prohibited' } })),
    );
    assert.deepEqual(
      new Set(found.map(({ scope }) => (scope.kind === 'overlay' ? scope.name : 'host'))),
      new Set(['dcos', 'dcos6']),
    );
    assert.match(
      found[0]?.error ?? '',
      /from vtep1024 to m-dcos is dropped .*"reject \(handle \d+\)" in the chain f \(see "nft list chain inet t f"\).*nft insert rule inet t f iifname vtep1024 accept/,
    );
    const { overlays } = hostStatusOf(wish, found, [], true);
    assert.deepEqual(
      overlays.map(({ kind }) => kind),
      ['failed', 'failed'],
    );
  });

  it('of one family leaves the overlays of the other alone', () => {
    const found = problems(
      nft(chain('f', 'forward'), rule('f', match({ meta: { key: 'nfproto' } }, 'ipv6'), { drop: null })),
    );
    assert.deepEqual([...new Set(found.map(({ scope }) => (scope.kind === 'overlay' ? scope.name : '')))], ['dcos6']);
  });

  it('in the way of the tunnel fails the whole host, and names the port', () => {
    const found = problems(iptables(':INPUT DROP [0:0]', '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT'));
    assert.deepEqual(
      found.map(({ scope }) => scope.kind),
      ['host'],
    );
    assert.match(
      found[0]?.error ?? '',
      /UDP port 64000, the tunnel's, is dropped here when it comes from 10\.0\.0\.2: the policy DROP of the chain INPUT \(iptables, table filter\); open it: iptables -I INPUT -p udp --dport 64000 -j ACCEPT/,
    );
    const out = problems(iptables(':OUTPUT DROP [0:0]', '-A OUTPUT -p tcp -j ACCEPT'));
    assert.match(
      out[0]?.error ?? '',
      /on its way to 10\.0\.0\.2: the policy DROP of the chain OUTPUT.*iptables -I OUTPUT/,
    );
  });

  it('for one peer of several is one, and for none is none', () => {
    const from = (source: string) => iptables(':INPUT DROP [0:0]', `-A INPUT -s ${source} -j ACCEPT`);
    assert.match(problems(from('10.0.0.2/32'))[0]?.error ?? '', /when it comes from 10\.0\.0\.3/);
    assert.deepEqual(problems(from('10.0.0.0/24')), []);
    const alone = desired(exampleInput([]), { underlay });
    const found = diff(alone, { ...host(from('10.9.0.0/24')), ...withoutPeers }).problems;
    assert.deepEqual(found, [], 'nobody sends anything yet');
  });

  it('that only may be one is a note', () => {
    const found = problems(iptables(':INPUT DROP [0:0]', '-A INPUT -m mark --mark 0x1 -j ACCEPT'));
    assert.deepEqual(
      found.map(({ note }) => note),
      [true],
    );
    assert.match(found[0]?.error ?? '', /may be dropped here/);
    const { overlays } = hostStatusOf(wish, found, [], true);
    assert.ok(overlays.every((overlay) => overlay.kind === 'ok' && overlay.notes.length === 1));
  });

  it('may be where nothing could be read, which is said', () => {
    const unread = ['"nft -j list ruleset" failed: Operation not permitted'];
    const [note] = diff(wish, { ...host([]), filters: { tables: [], unread } }).problems;
    assert.equal(note?.note, true);
    assert.match(note?.error ?? '', /is unknown: "nft -j list ruleset" failed/);
  });

  it('is not drawn from a rule that can not be judged', () => {
    const xt = nft(
      chain('i', 'input'),
      rule('i', { xt: null }, { drop: null }),
      rule('i', { 'ct count': { val: 9 } }, { reject: null }),
    );
    assert.deepEqual(problems(xt), []);
  });

  it('is not looked for in the forward hook before our own jump is there', () => {
    const built = host(iptables(':FORWARD DROP [0:0]'));
    assert.match(problems(built.filters.tables)[0]?.error ?? '', /the policy DROP of the chain FORWARD/);
    const without = { ...built, tables: { ...built.tables, 4: bareHost.tables[4] } };
    const plan = diff(wish, without);
    assert.deepEqual(plan.problems, []);
    assert.deepEqual(predict(without, plan.steps).filters.tables, [], 'what is let through then is read again');
  });

  it('names the tool that the firewall belongs to', () => {
    const ufw = problems(iptables(':INPUT DROP [0:0]', ':ufw-user-input - [0:0]', '-A INPUT -j ufw-user-input'));
    assert.match(ufw[0]?.error ?? '', /open it: ufw allow 64000\/udp/);
    const firewalld = JSON.parse(
      JSON.stringify([chain('filter_INPUT', 'input'), rule('filter_INPUT', { reject: null })]).replaceAll(
        '"t"',
        '"firewalld"',
      ),
    );
    assert.match(
      problems(nft(...firewalld))[0]?.error ?? '',
      /open it: firewall-cmd --permanent --add-port=64000\/udp/,
    );
  });
});

const empty: ReadonlyMap<string, string> = new Map();
const withoutPeers = { neighbours: empty, fdb: empty, routes: empty, sourceRoutes: empty };

describe('the reader of packet filters', () => {
  const saved = { 4: { kind: 'unasked' }, 6: { kind: 'unasked' } } as const;
  const printed = JSON.stringify({ nftables: [{ chain: { family: 'inet', table: 't', name: 'i', hook: 'input' } }] });

  function reader(tookMs: number) {
    let nowMs = 0;
    const commands: string[] = [];
    const run: Runner = {
      run: async (command, args) => {
        commands.push(command);
        if (command === 'nft') nowMs += tookMs;
        return {
          code: 0,
          stdout: command === 'nft' ? printed : args.includes('--version') ? 'v1.8.9 (nf_tables)' : '',
          stderr: '',
        };
      },
    };
    const pass = (ms: number) => {
      nowMs += ms;
    };
    return { reader: new FilterReader(run, { now: () => nowMs, readText: async () => '' }), commands, pass };
  }

  it('knows the devices of a hook, which nft before 1.1 prints in its own language alone', async () => {
    const chain = (name: string, dev?: unknown) => {
      const hook = { family: 'netdev', table: 't', name, type: 'filter', hook: 'ingress', prio: 0 };
      return { chain: dev === undefined ? hook : { ...hook, dev } };
    };
    const printed =
      'table netdev t {\n\tchain a {\n\t\ttype filter hook ingress device "eth0" priority filter; policy accept;\n\t}\n' +
      '\tchain b {\n\t\ttype filter hook ingress devices = { "eth0", eth1 } priority filter; policy drop;\n\t}\n}\n';
    assert.deepEqual(
      [...hookDevices(printed)],
      [
        ['netdev t a', ['eth0']],
        ['netdev t b', ['eth0', 'eth1']],
      ],
    );
    const read = async (text: string, ...chains: readonly object[]) => {
      const run: Runner = {
        run: async (_, args) => ({
          code: 0,
          stdout: args.includes('-j') ? JSON.stringify({ nftables: chains }) : text,
          stderr: '',
        }),
      };
      const ruleset = await readNft(run);
      return ruleset.kind === 'read' ? ruleset.value.chains.map(({ dev }) => dev) : assert.fail();
    };
    assert.deepEqual(await read(printed, chain('a'), chain('b'), chain('c')), [['eth0'], ['eth0', 'eth1'], []]);
    assert.deepEqual(await read('', chain('a', 'eth7'), chain('b', ['eth8', 'eth9'])), ['eth7', ['eth8', 'eth9']]);
  });

  it('reads nftables seldom where that takes long', async () => {
    const { reader: slow, commands, pass } = reader(1_000);
    const nfts = () => commands.filter((command) => command === 'nft').length;
    const first = await slow.read('iptables', saved);
    pass(3_000);
    assert.deepEqual(await slow.read('iptables', saved), first);
    assert.equal(nfts(), 1, 'a second in twenty');
    pass(16_000);
    await slow.read('iptables', saved);
    assert.equal(nfts(), 2);
    const quick = reader(10);
    for (let n = 0; n < 3; n++) {
      quick.pass(3_000);
      await quick.reader.read('iptables', saved);
    }
    assert.equal(quick.commands.filter((command) => command === 'nft').length, 3);
  });

  it('does not ask the older iptables where the kernel has no such tables', async () => {
    const { reader: one, commands } = reader(1);
    await one.read('iptables', saved);
    assert.ok(!commands.some((command) => command.includes('legacy')), commands.join());
  });

  it('says what it could not read', async () => {
    const run: Runner = {
      run: async (command) => ({ code: command === 'nft' ? 1 : 0, stdout: '', stderr: 'Error: no JSON' }),
    };
    const { unread } = await new FilterReader(run, { readText: async () => '' }).read('iptables', saved);
    assert.deepEqual(unread, ['"nft -j list ruleset" failed: Error: no JSON']);
  });

  it('takes the word of iptables for its own matches, and of nft for what others put between them', () => {
    const ruleset: NftRuleset = parseNft(
      JSON.stringify({
        nftables: [
          {
            chain: {
              family: 'ip',
              table: 'filter',
              name: 'INPUT',
              type: 'filter',
              hook: 'input',
              prio: 0,
              policy: 'accept',
            },
          },
          { rule: { family: 'ip', table: 'filter', chain: 'INPUT', handle: 1, expr: [{ xt: null }, { drop: null }] } },
          {
            rule: {
              family: 'ip',
              table: 'filter',
              chain: 'INPUT',
              handle: 2,
              expr: [match({ numgen: { mode: 'random' } }, 1), { drop: null }],
            },
          },
        ],
      }),
    );
    // iptables prints a test that it does not know as none at all.
    const printedTables = iptables(
      ':INPUT ACCEPT [0:0]',
      '-A INPUT -m conntrack --ctstate INVALID -j DROP',
      '-A INPUT -j DROP',
    );
    const [table] = nftTables(ruleset, printedTables);
    const rules = table?.chains.get('INPUT')?.rules ?? [];
    assert.deepEqual(
      rules.map(({ when }) => when.map(({ kind }) => kind)),
      [['state'], ['unknown']],
    );
    assert.deepEqual(table?.tool, { kind: 'iptables', command: 'iptables' });
  });
});
