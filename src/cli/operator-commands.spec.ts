import assert from 'node:assert/strict';
import { status as code, Server, ServerCredentials } from '@grpc/grpc-js';
import { definition } from '#api/method.js';
import { agentService, clusterService, operatorService } from '#api/services.js';
import { formatAgents } from '#cli/agent-list.js';
import { formatStatus } from '#cli/commands/masters/status.js';
import { run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { agent1, agent2, history, sampleOverlays, status } from '#cli/testing/samples.js';
import { securityWords } from '#ipam/view/history.js';
import { until } from '#master/testing/until.js';
import { sublet } from '#proto/sublet.js';

const { v1 } = sublet;

const revocation = { since: { seconds: 1_700_000_000 }, by: 'admin/alice@10.0.0.9' };
const revokedBefore = { ...revocation, acceptedFrom: { seconds: 1_700_000_060 } };

describe('what operators ask', () => {
  let master: CannedMaster;
  const zone = process.env.TZ;

  before(async () => {
    process.env.TZ = 'UTC';
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => status)
      .on(operatorService.listAgents, ({ pageToken, presence }) =>
        presence === v1.PresenceState.PRESENCE_STATE_SILENT
          ? { agents: [], revision: 9 }
          : pageToken === ''
            ? { agents: [agent1], nextPageToken: 'more', revision: 9 }
            : { agents: [agent2], revision: 9 },
      )
      .on(operatorService.getAgent, ({ agentId }) => {
        if (agentId === 'agent-1') return { agent: agent1, revision: 9 };
        if (agentId === 'stolen') return { agent: { ...agent2, agentId, revocation }, revision: 9 };
        if (agentId === 'anew') return { agent: { ...agent2, agentId, revocation: revokedBefore }, revision: 9 };
        throw new CannedRefusal(code.NOT_FOUND, `agent_id: "${agentId}" holds nothing`);
      })
      .on(operatorService.listOverlays, () => sampleOverlays)
      .on(operatorService.listHistory, () => history)
      .on(operatorService.lookup, ({ ip }) => ({
        ip,
        kind: v1.LookupKind.LOOKUP_KIND_OVERLAY,
        overlay: 'dcos',
        subnet: '9.0.0.0/24',
        blockState: v1.BlockState.BLOCK_STATE_HELD,
        agentId: 'agent-1',
        bridge: 'm-dcos',
        nodeIp: '10.0.0.1',
        revision: 9,
      }))
      .on(operatorService.releaseAgents, ({ agentIds, force }) => {
        if (!force) throw new CannedRefusal(code.FAILED_PRECONDITION, `agent_ids: "${agentIds[0]}" is live`);
        return { revision: 10, released: ['9.0.0.0/24'] };
      })
      .on(operatorService.reserve, () => {
        throw new CannedRefusal(code.UNKNOWN, 'leadership was lost on the way');
      })
      .on(operatorService.listReservations, () => ({
        reservations: [
          { overlay: 'dcos', subnet: '9.0.50.0/24', agentId: 'db-1' },
          { overlay: 'dcos', subnet: '9.64.0.0/10' },
        ],
      }))
      .on(operatorService.updateNetwork, ({ vtepMtu, quarantineMs, reclaimMs }) => ({
        network: {
          vtepSubnet: '44.128.0.0/20',
          vtepMacOui: '70:b3:d5:00:00:00',
          vni: 1024,
          vtepName: 'vtep1024',
          vxlanPort: 64_000,
          vtepMtu: vtepMtu ?? 0,
          quarantineMs: quarantineMs ?? 0,
          reclaimMs: reclaimMs ?? 0,
        },
        revision: 12,
      }))
      .on(operatorService.addOverlay, ({ overlay }) => ({ overlay: overlay ?? null, revision: 11 }))
      .listen();
  });
  after(async () => {
    if (zone === undefined) delete process.env.TZ;
    else process.env.TZ = zone;
    await master[Symbol.asyncDispose]();
  });

  async function ran(columns: number | undefined, ...args: readonly string[]) {
    const terminal = new RecordedTerminal(columns);
    const exit = await run([...args, '--master', master.address], terminal);
    return { exit, out: terminal.out, notes: terminal.notes };
  }

  const golden: readonly (readonly [string, number | undefined, readonly string[], readonly string[]])[] = [
    [
      'how the cluster is',
      80,
      ['status'],
      [
        'cluster      sublet',
        'leader       m1',
        'term         3',
        'revision     1234',
        'agents       2: 1 live, 1 silent',
        'answered by  m2, version 0.1.0 on Node.js 24.21.0',
        '',
        'MASTER  ROLE      API             PEERS           MATCH  HEARD',
        'm1      leader    10.0.0.11:7070  10.0.0.11:7071      -  now',
        'm2      follower  10.0.0.12:7070  10.0.0.12:7071      -  here',
        'm3      follower  -               10.0.0.13:7071      -  1m15s',
        '',
        'SILENT AGENT  NODE IP   FOR',
        'agent-2       10.0.0.2  1h2m',
        '',
        '! overlay dcos is full: 65536 of 65536 pieces are held, reserved, excluded or',
        '  quarantined, so new agents do not get it',
        '  sublet overlay grow dcos --subnet CIDR',
        '- the file of m2 does not have network.overlays.blue, the plan does:',
        '  10.128.0.0/16 prefix 24, enabled',
        '  add it to the file',
      ],
    ],
    [
      'who holds what, on a terminal',
      80,
      ['agents'],
      [
        'AGENT    NODE IP   PRESENCE     VTEP        OVERLAY  SUBNET       ON THE HOST',
        'agent-1  10.0.0.1  live         44.128.0.1  dcos     9.0.0.0/24   ok',
        '                                            dcos6    fd01:b::/80  failed',
        'agent-2  10.0.0.2  silent 1h2m  44.128.0.2  -        -            -',
        '2 agents',
        '! agent-1, dcos6: Docker does not answer at /var/run/docker.sock',
      ],
    ],
    [
      'who holds what, in a pipe, each line complete',
      undefined,
      ['agents'],
      [
        'AGENT    NODE IP   PRESENCE     VTEP        OVERLAY  SUBNET       ON THE HOST',
        'agent-1  10.0.0.1  live         44.128.0.1  dcos     9.0.0.0/24   ok',
        'agent-1  10.0.0.1  live         44.128.0.1  dcos6    fd01:b::/80  failed: Docker does not answer at /var/run/docker.sock',
        'agent-2  10.0.0.2  silent 1h2m  44.128.0.2  -        -            -',
      ],
    ],
    [
      'one agent',
      80,
      ['agents', 'agent-1'],
      [
        'agent       agent-1',
        'host name   host-1.example',
        'node ip     10.0.0.1',
        'presence    live',
        'last heard  4s ago',
        'registered  2025-05-31 11:00:00',
        'lease       epoch 7, until it is released',
        'vtep        44.128.0.1/20  fd01:a::1/64',
        'vtep mac    70:b3:d5:80:00:01',
        'vxlan       vtep1024, VNI 1024, UDP port 64000',
        '',
        'overlay      dcos',
        'subnet       9.0.0.0/24',
        'm-dcos       9.0.0.0/25',
        'd-dcos       9.0.0.128/25',
        'on the host  ok',
        '',
        'overlay      dcos6',
        'subnet       fd01:b::/80',
        'm-dcos6      fd01:b::/81',
        'd-dcos6      fd01:b:0:0:0:8000::/81',
        'on the host  failed: Docker does not answer at /var/run/docker.sock',
      ],
    ],
    [
      'how full the overlays are',
      80,
      ['overlays'],
      [
        'OVERLAY  SUBNET       SIZE  OPEN  HELD  RESERVED  EXCLUDED  QUARANTINED    FREE',
        'dcos     9.0.0.0/8    /24   yes      1         1    16,384            2  49,148',
        'dcos6    fd01:b::/64  /80   no       1         0         0            0  65,535',
        'VTEPs                                2         0         0            0   4,092',
      ],
    ],
    [
      'whose address it is',
      80,
      ['lookup', '9.0.0.7'],
      [
        'address  9.0.0.7',
        'is       an address of an overlay',
        'overlay  dcos',
        'subnet   9.0.0.0/24',
        'state    held',
        'agent    agent-1',
        'node ip  10.0.0.1',
        'bridge   m-dcos',
      ],
    ],
    [
      'what happened',
      80,
      ['history'],
      [
        'REVISION  TIME                 WHAT               WHO         OF',
        '       2  2025-05-31 11:00:00  configure-network              44.128.0.0/20',
        '                                                              established by m1',
        '       7  11:50:00             register           agent-1     9.0.0.0/24',
        '                                                              fd01:b::/80',
        '                                                              44.128.0.1',
        '       8  11:59:00             update-network     operator@   network.vtep_mtu 0',
        '                                                  10.0.0.7    → 1400,',
        '                                                              lease.quarantine',
        '                                                              15m → 1h',
        '       9  11:59:10             remove-member      bob         m2 at',
        '                                                              10.0.0.2:7071',
        '      10  11:59:20             replace-member     bob         m3 at',
        '                                                              10.0.0.3:7071 by',
        '                                                              m4 at',
        '                                                              10.0.0.4:7071',
      ],
    ],
    [
      'what is reserved',
      80,
      ['reservations'],
      ['OVERLAY  SUBNET       FOR', 'dcos     9.0.50.0/24  db-1', 'dcos     9.64.0.0/10  (excluded)'],
    ],
    ['what was released', 80, ['release', 'agent-1', '--force'], ['Released 1 agent; quarantined now: 9.0.0.0/24.']],
    [
      'what was added',
      80,
      ['overlay', 'add', 'x', '--subnet', '9.0.0.0/8', '--prefix', '24'],
      ['Added x: 9.0.0.0/8 in pieces of /24, enabled.'],
    ],
    [
      'what was set of the network',
      80,
      ['network', 'set', '--vtep-mtu', '1400', '--quarantine', '1h30m', '--reclaim', '2d'],
      [
        'vtep subnet   44.128.0.0/20',
        'vtep mac oui  70:b3:d5:00:00:00',
        'vtep mtu      1400',
        'vxlan         vtep1024, VNI 1024, UDP port 64000',
        'leases        end after 2d of silence; quarantine 1h30m',
      ],
    ],
  ];
  for (const [title, columns, args, lines] of golden) {
    it(`shows ${title}`, async () => {
      const { exit, out, notes } = await ran(columns, ...args);
      assert.equal(notes, '');
      assert.equal(out, `${lines.join('\n')}\n`);
      assert.equal(exit, 0);
      if (columns !== undefined) for (const line of out.split('\n')) assert.ok(line.length <= columns, line);
    });
  }

  it('marks agents whose certificates are revoked, and says since when and by which principal', async () => {
    const agents = [agent1, { ...agent2, revocation }, { ...agent2, agentId: 'anew', revocation: revokedBefore }];
    assert.match(
      formatAgents(agents, new RecordedTerminal(undefined)),
      /agent-2 .* silent 1h2m, revoked .*\nanew .* silent 1h2m {2}/s,
    );
    const certificates = async (id: string) => {
      const terminal = new RecordedTerminal(120);
      assert.equal(await run(['agents', id, '--master', master.address], terminal), 0);
      return /^certificates +(.*)$/m.exec(terminal.unpainted)?.[1];
    };
    assert.equal(await certificates('agent-1'), undefined);
    assert.equal(await certificates('stolen'), 'revoked 2023-11-14 22:13:20 by admin/alice@10.0.0.9');
    assert.equal(
      await certificates('anew'),
      'revoked 2023-11-14 22:13:20 by admin/alice@10.0.0.9, but for those that begin 2023-11-14 22:14:20 or later',
    );
  });

  it('says that presence is not known, where the leader did not report it', () => {
    const unheard = new v1.GetStatusResponse({ ...status, agents: { total: 4 }, silentAgents: [] });
    const [line] = formatStatus(unheard, new RecordedTerminal(80))
      .split('\n')
      .filter((each) => each.startsWith('agents'));
    assert.equal(line, 'agents       4: 0 live, 0 silent, of 4 it is not known (the leader did not say)');
  });

  it('shows one overlay, and names those that there are', async () => {
    const { out } = await ran(80, 'overlays', 'dcos');
    assert.match(out, /^overlay +dcos\nallocates +yes\nsubnet +9\.0\.0\.0\/8 in pieces of \/24\nheld +1 of 65,536\n/);
    const json = JSON.parse((await ran(undefined, 'overlays', 'dcos', '-o', 'json')).out);
    assert.deepEqual(
      json.overlays.map(({ overlay }: { overlay: { name: string } }) => overlay.name),
      ['dcos'],
    );
    const { exit, notes } = await ran(80, 'overlays', 'nowhere');
    assert.equal(exit, 1);
    assert.match(notes, /there is no overlay "nowhere": there is dcos/);
    assert.equal((await ran(80, 'overlays', 'dcos', '--watch')).exit, 2);
  });

  it('says when overlays are full by the history, the soonest three', () => {
    const from = { arrivals: 310, departures: 12, historySeconds: 30 * 86_400 };
    const spaces = [
      { overlay: 'dcos', subnet: '9.0.0.0/16', fullInSeconds: 23 * 86_400, ...from },
      { subnet: '44.128.0.0/20', fullInSeconds: 30 * 86_400, ...from },
      { overlay: 'web', subnet: '9.1.0.0/16', fullInSeconds: 31 * 86_400, ...from },
      { overlay: 'six', subnet: 'fd01:b::/64', fullInSeconds: 32 * 86_400, ...from },
    ];
    const said = (capacityForecasts: typeof spaces): readonly string[] =>
      formatStatus(new v1.GetStatusResponse({ ...status, capacityForecasts }), new RecordedTerminal(120))
        .split('\n')
        .filter((line) => line.startsWith('capacity'));
    assert.deepEqual(said(spaces), [
      'capacity     dcos (9.0.0.0/16) is full in about 23 days: 310 arrivals, 12 departures in 30 days',
      'capacity     the VTEP subnet 44.128.0.0/20 is full in about 30 days: 310 arrivals, 12 departures in 30 days',
      'capacity     web (9.1.0.0/16) is full in about 31 days: 310 arrivals, 12 departures in 30 days',
      'capacity     and 1 more: sublet plan',
    ]);
    assert.deepEqual(said([]), []);
  });

  it('names the command that releases agents, where it is looked for below agents', async () => {
    for (const word of ['delete', 'remove', 'release']) {
      const { exit, notes } = await ran(80, 'agents', word, 'agent-1');
      assert.equal(exit, 2);
      assert.match(notes, /what agents hold is released\n {2}Like: sublet release agent-7\n$/);
    }
    assert.match((await ran(80, 'agents', 'a', 'b')).notes, /too many arguments for 'agents': 2 given, 1 allowed/);
  });

  it('names the ten agents silent for longest, and counts the rest', () => {
    const silentAgents = Array.from({ length: 100 }, (_, at) => ({ agentId: `agent-${at + 1}`, nodeIp: '10.0.0.1' }));
    const many = new v1.GetStatusResponse({
      ...status,
      agents: { total: 4_000, live: 1_000, silent: 3_000 },
      silentAgents,
    });
    const lines = formatStatus(many, new RecordedTerminal(80)).split('\n');
    const table = lines.slice(lines.findIndex((line) => line.startsWith('SILENT AGENT')) + 1);
    assert.match(table[9] ?? '', /^agent-10 /);
    assert.equal(table[10], 'and 2,990 more: sublet agents --silent');
  });

  it('prints canonical JSON, all pages as one response', async () => {
    const { out } = await ran(undefined, 'agents', '-o', 'json');
    const parsed = JSON.parse(out);
    assert.deepEqual(Object.keys(parsed), ['agents', 'revision']);
    assert.equal(parsed.revision, '9');
    assert.deepEqual(
      parsed.agents.map(({ agentId }: { agentId: string }) => agentId),
      ['agent-1', 'agent-2'],
    );
    assert.equal(parsed.agents[0].overlays[0].state.status, 'OVERLAY_STATUS_OK');
  });

  it('takes the masters and the output also before the command’s name', async () => {
    const terminal = new RecordedTerminal();
    assert.equal(await run(['--master', master.address, '-o', 'json', 'status'], terminal), 0);
    assert.equal(JSON.parse(terminal.out).clusterId, 'sublet');
  });

  it('asks for canonical addresses', async () => {
    await ran(80, 'lookup', 'FD01:B:0::1');
    assert.deepEqual(Object(master.asked.at(-1)?.request).ip, 'fd01:b::1');
  });

  it('asks for a part of what happened, and says how to see what was before', async () => {
    const { out } = await ran(80, 'history', '--what', 'release,expire', '--before', '4711', '--limit', '5');
    const { what, beforeRevision, limit } = Object(master.asked.at(-1)?.request);
    assert.deepEqual([what, beforeRevision, limit], [['release', 'expire'], 4711, 5]);
    await ran(80, 'history', '--security');
    assert.deepEqual(Object(master.asked.at(-1)?.request).what, securityWords);
    assert.equal((await ran(80, 'history', '--security', '--what', 'release')).exit, 2);
    assert.match(out, /\nEarlier ones: --before 2\n$/);
    assert.doesNotMatch((await ran(80, 'history', '--limit', '6')).out, /Earlier/);
    assert.doesNotMatch((await ran(undefined, 'history', '--limit', '5')).out, /Earlier/);
  });

  it('sets of the network only what is named, and never is no TTL', async () => {
    await ran(80, 'network', 'set', '--reclaim', 'never');
    const { reclaimMs, vtepMtu, quarantineMs } = Object(master.asked.at(-1)?.request);
    assert.deepEqual([reclaimMs, vtepMtu ?? null, quarantineMs ?? null], [0, null, null]);
    for (const args of [[], ['--quarantine', '5'], ['--reclaim', '0s'], ['--vtep-mtu', 'big']]) {
      const { exit, notes } = await ran(80, 'network', 'set', ...args);
      assert.equal(exit, 2, args.join(' '));
      assert.match(notes, /is needed|is allowed/);
    }
  });

  it('does not call the cluster empty when none of its agents is silent', async () => {
    assert.equal((await ran(80, 'agents', '--silent')).out, 'No agent is silent.\n');
  });

  it('ends with 1 when it is refused, in the master’s words', async () => {
    const refused = await ran(80, 'release', 'agent-1');
    assert.deepEqual(refused, {
      exit: 1,
      out: '',
      notes: 'sublet: agent_ids: "agent-1" is live [FAILED_PRECONDITION]\n',
    });
    const unknown = await ran(80, 'agents', 'nobody');
    assert.deepEqual(unknown, { exit: 1, out: '', notes: 'sublet: agent_id: "nobody" holds nothing [NOT_FOUND]\n' });
  });

  it('says so when it can’t be known what came of a change', async () => {
    const { exit, notes } = await ran(80, 'exclude', 'dcos', '9.64.0.0/10');
    assert.equal(exit, 1);
    assert.equal(
      notes,
      'sublet: leadership was lost on the way [UNKNOWN]\n  It may or may not have happened: look with `sublet history` before asking\n    again.\n',
    );
  });

  it('ends with 3 also when a master is there but none leads, and does not call that one unreachable', async () => {
    await using leaderless = await new CannedMaster()
      .on(operatorService.listOverlays, () => {
        throw new CannedRefusal(code.UNAVAILABLE, 'the masters have no leader');
      })
      .listen();
    const terminal = new RecordedTerminal(80);
    assert.equal(await run(['overlays', '--master', leaderless.address], terminal), 3);
    assert.equal(
      terminal.notes,
      `sublet: no master can answer now\n  ${leaderless.address}: the masters have no leader\n  Ask again in a moment. \`sublet status\` shows the leader.\n`,
    );
  });

  it('asks for a time of the history as a length before now or as a time of day', async () => {
    const asked = async (...args: readonly string[]) => {
      master.asked.length = 0;
      const { exit, notes } = await ran(80, 'history', ...args);
      const [call] = master.asked;
      return exit === 0 ? (call?.request as sublet.v1.ListHistoryRequest) : notes;
    };
    const noon = 1_748_779_200;
    const within = await asked('--since', '2h', '--until', '2025-06-01T11:30:05Z', '--who', 'ann');
    assert.ok(typeof within === 'object');
    assert.deepEqual([within.since?.seconds, within.until?.seconds, within.who], [noon - 7_200, noon - 1_795, 'ann']);
    const day = await asked('--since', '2025-06-01');
    assert.ok(typeof day === 'object');
    assert.equal(day.since?.seconds, noon - 12 * 3_600);
    assert.equal(day.until ?? null, null);
    for (const wrong of ['yesterday', '2025-13-01', '12:00', '2025-06-01T25:00']) {
      assert.match(String(await asked('--since', wrong)), /^sublet: --since: ".*" is not a time: 2h \(ago\)/);
    }
  });

  describe('watch --from', () => {
    let asked: CannedMaster;
    before(async () => {
      asked = await new CannedMaster()
        .on(operatorService.getNetwork, () => ({ clusterId: 'dev', revision: 10_011 }))
        .listen();
    });
    after(() => asked[Symbol.asyncDispose]());

    async function watched(...args: readonly string[]) {
      const terminal = new RecordedTerminal(80);
      const exit = await run(['watch', ...args, '--master', asked.address], terminal);
      return { exit, notes: terminal.notes.replaceAll(/\n +/g, ' ') };
    }

    it('refuses a revision of another cluster, and one that is not reached', async () => {
      const other = await watched('--from', '5', '--cluster-id', 'berlin');
      assert.equal(other.exit, 1);
      assert.match(other.notes, /^sublet: --cluster-id: the masters are of cluster "dev", not "berlin" A revision/);
      const late = await watched('--from', '99999999999');
      assert.equal(late.exit, 1);
      assert.match(late.notes, /^sublet: --from: revision 99999999999 is not reached: the newest is 10011 /);
      assert.equal((await watched('--cluster-id', 'dev')).exit, 2);
    });

    it('takes the cluster that is asked, and says what is no longer kept', async () => {
      const requests: unknown[] = [];
      const server = new Server();
      server.addService(
        {
          Watch: definition(agentService.watch),
          GetNetwork: definition(operatorService.getNetwork),
          GetStatus: definition(clusterService.getStatus),
        },
        {
          Watch: (call: { request: unknown; write(response: unknown): void }) => {
            requests.push(call.request);
            call.write({ snapshotBegin: { clusterId: 'dev', revision: 10_011 } });
            call.write({ snapshotEnd: { revision: 10_011 } });
          },
          GetNetwork: (_: unknown, done: (error: null, response: object) => void) =>
            done(null, { clusterId: 'dev', revision: 10_011 }),
          GetStatus: ({ request }: { request: { revision: number } }, done: (error: null, response: object) => void) =>
            done(null, { branch: `of ${request.revision}` }),
        },
      );
      const port = await new Promise<number>((resolve, reject) => {
        server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
          error === null ? resolve(bound) : reject(error),
        );
      });
      const terminal = new RecordedTerminal(80);
      const ended = run(['watch', '--from', '7', '--master', `127.0.0.1:${port}`], terminal);
      await until('it is told', () => terminal.notes.includes('Every change'));
      server.forceShutdown();
      await ended;
      const [request] = requests;
      assert.deepEqual({ ...(request as object) }, { clusterId: 'dev', fromRevision: 7, branch: 'of 7' });
      assert.match(
        terminal.notes.replaceAll(/\n +/g, ' '),
        /^The masters no longer keep the events after revision 7\. What changed up to 10011: sublet history --from 7\nRevision 10011/,
      );
    });
  });

  it('ends with 3, soon, when no master answers', async () => {
    const terminal = new RecordedTerminal(80);
    assert.equal(await run(['watch', '--master', '127.0.0.1:9'], terminal), 3);
    assert.match(terminal.notes, /^sublet: no master reachable\n {2}127\.0\.0\.1:9: nothing listens there/);
  });
});
