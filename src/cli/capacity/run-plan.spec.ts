/** `sublet plan` against canned masters and files. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal, secondsAgo } from '#cli/testing/recorded-terminal.js';
import { parseAgentId } from '#ipam/identity.js';
import { PlanUnderTest } from '#ipam/testing/plan-under-test.js';

const day = 86_400;

describe('sublet plan', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-capacity-'));
  let master: CannedMaster;
  /** Newest first: days ago, what, and its detail. */
  let changes: readonly (readonly [number, string, string?])[] = [];

  before(async () => {
    const network = {
      vtepSubnet: '44.128.0.0/20',
      quarantineMs: 900_000,
      overlays: [
        { name: 'dcos', subnet: '9.0.0.0/16', prefix: 24, subnet6: 'fd01:b::/64', prefix6: 80, enabled: true },
        { name: 'old', subnet: '9.1.0.0/16', prefix: 24, enabled: false },
      ],
    };
    const usage = { held: 40, reserved: 2, excluded: 64, quarantined: 4, free: 146, total: 256 };
    const usage6 = { held: 40, free: 65_496, total: 65_536 };
    master = await new CannedMaster()
      .on(operatorService.getNetwork, () => ({ network, revision: 90, clusterId: 'sublet' }))
      .on(operatorService.listReservations, () => ({
        reservations: [
          { overlay: 'dcos', subnet: '9.0.64.0/18' },
          { overlay: 'dcos', subnet: '9.0.0.0/24', agentId: 'a' },
        ],
        revision: 90,
      }))
      .on(operatorService.listOverlays, () => ({
        overlays: [
          { overlay: network.overlays[0] ?? null, usage, usage6 },
          { overlay: network.overlays[1] ?? null, usage: { free: 256, total: 256 } },
        ],
        vtep: { held: 40, free: 4_054, total: 4_094 },
        revision: 91,
      }))
      .on(operatorService.listHistory, ({ what, limit, beforeRevision }) => {
        const all = changes
          .map(([daysAgo, word, detail = ''], at) => ({
            revision: changes.length - at,
            time: secondsAgo(Math.round(daysAgo * day)),
            what: word,
            detail,
          }))
          .filter((entry) => what.includes(entry.what) && (beforeRevision === 0 || entry.revision < beforeRevision));
        return { entries: all.slice(0, limit).reverse(), revision: 91 };
      })
      .listen();
  });
  after(async () => {
    await master[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  async function ran(...args: readonly string[]) {
    const terminal = new RecordedTerminal(120);
    const exit = await run(['plan', ...args, '--master', master.address], terminal);
    return { exit, out: terminal.out, notes: terminal.notes };
  }

  async function json(...args: readonly string[]) {
    const { exit, out, notes } = await ran(...args, '-o', 'json');
    assert.equal(exit, 0, notes);
    return JSON.parse(out);
  }

  function written(text: string): string {
    const file = join(folder, 'plan.yaml');
    writeFileSync(file, text);
    return file;
  }

  it('says when an overlay is full by the rates', async () => {
    const { exit, out } = await ran('--arrivals', '10/day', '--departures', '21/week', '--days', '60');
    assert.equal(exit, 0);
    assert.equal(
      out,
      [
        'The plan at revision 91: 40 agents, quarantine 15m.',
        '60 days with 10 arrivals and 3 departures a day:',
        'Disabled, so not counted: old.',
        'OVERLAY  SUBNET         SIZE   TOTAL  HELD    FREE              FULL  THEN HELD  QUARANTINED    FREE',
        'dcos     9.0.0.0/16     /24      256    40     146  in about 21 days        189            1       0',
        'dcos     fd01:b::/64    /80   65,536    40  65,496                no        189            1  65,346',
        'VTEPs    44.128.0.0/20  /32    4,094    40   4,054                no        460            1   3,633',
        'dcos is full in about 21 days; 271 arrivals without a block of it. Grow it: sublet overlay grow dcos --subnet CIDR',
        '',
      ].join('\n'),
    );
  });

  it('has the same as JSON, with agents that arrive at once', async () => {
    const { revision, agents, newcomers, rates, spaces, end, disabled } = await json(
      ...['--arrivals', '10/day', '--agents', '100', '--days', '10'],
    );
    assert.deepEqual(
      { revision, agents, newcomers, rates, end, disabled },
      {
        revision: 91,
        agents: 40,
        newcomers: 60,
        rates: { arrivalsPerDay: 10, departuresPerDay: 0, from: 'options' },
        end: { agents: 200, refused: 0 },
        disabled: ['old'],
      },
    );
    const now = { held: 40, reserved: 2, excluded: 64, quarantined: 4, free: 146, total: 256 };
    assert.deepEqual(spaces[0], {
      overlay: 'dcos',
      subnet: '9.0.0.0/16',
      prefix: 24,
      instead: false,
      now,
      fullInDays: 9,
      without: 10,
      end: { ...now, held: 190, quarantined: 0, free: 0 },
    });
    assert.deepEqual([spaces[1].fullInDays, spaces[2].overlay], [null, '']);
  });

  it('shows what other pieces would change', async () => {
    const { spaces } = await json(
      '--arrivals',
      '10/day',
      '--days',
      '40',
      '--prefix',
      'dcos=25',
      '--prefix6',
      'dcos=70',
    );
    type Shown = { subnet: string; prefix: number; instead: boolean; now: { free: number }; fullInDays: number | null };
    assert.deepEqual(
      spaces.map(({ subnet, prefix, instead, now, fullInDays }: Shown) => [
        ...[subnet, prefix, instead, now.free, fullInDays],
      ]),
      [
        // Those that are quarantined come back after a quarter of an hour.
        ['9.0.0.0/16', 24, false, 146, 15],
        ['fd01:b::/64', 80, false, 65_496, null],
        ['9.0.0.0/16', 25, true, 338, 34.2],
        ['fd01:b::/64', 80, true, 65_496, null],
        ['9.0.0.0/16', 24, true, 146, null],
        ['fd01:b::/64', 70, true, 24, 2.4],
        ['44.128.0.0/20', 32, false, 4_054, null],
      ],
    );
    const { out } = await ran('--arrivals', '10/day', '--days', '40', '--prefix', 'dcos=25');
    assert.match(out, /\/25 instead/);
    assert.match(out, /dcos with \/25 is full in about 34 days; 58 arrivals without a block of it\.\n/);
  });

  it('takes the rates of the history, and says how much there was', async () => {
    changes = [
      ...Array.from({ length: 1_500 }, (_, at): readonly [number, string, string] => [at / 100, 'register', 'arrived']),
      [15, 'release'],
      [16, 'leave'],
      [16, 'expire'],
      [17, 'replace-agent'],
      [18, 'register', 'taken over'],
      [18, 'register', 'returned; not allocated: dcos IPv4 (exhausted)'],
      [20, 'register', 'arrived'],
      [40, 'release'],
    ];
    const { rates } = await json('--days', '5');
    assert.deepEqual(rates, {
      arrivalsPerDay: 1_502 / 20,
      departuresPerDay: 4 / 20,
      from: 'history',
      historyDays: 20,
      arrivals: 1_502,
      departures: 4,
    });
    const window = (await json('--days', '5', '--history', '10d')).rates;
    assert.deepEqual([window.historyDays, window.arrivals, window.departures], [10, 1_001, 0]);
    const { out } = await ran('--days', '5');
    assert.match(
      out,
      /^5 days with 75\.1 arrivals and 0\.2 departures a day \(by 20 days of history: 1,502 arrivals, 4 departures\):$/m,
    );
  });

  it('knows arrivals and departures by the words of the plan', async () => {
    const plan = new PlanUnderTest();
    for (const id of ['n-1', 'n-2', 'n-3', 'n-4']) plan.register(id);
    plan.release('n-1');
    const { epoch } = plan.ipam.lease(parseAgentId('n-2')) ?? assert.fail('no lease');
    plan.run({ kind: 'leave', agentId: parseAgentId('n-2'), epoch });
    plan.register('n-1', { sequence: 2 });
    // The same agent at another address, and after a new installation: neither is an arrival.
    plan.register('n-3', { node: '10.0.1.3', sequence: 2 });
    plan.register('n-4', { instance: 'n-4-2', holders: [plan.judge('n-4', true)] });
    const entries = plan.ipam.history({ after: 0, limit: 100 });
    changes = [...entries].reverse().map(({ what, detail }) => [2, what, detail] as const);
    const { rates } = await json();
    assert.deepEqual([rates.arrivals, rates.departures], [5, 2]);
  });

  it('makes no forecast of less than a day of history', async () => {
    for (const [found, said] of [
      [[], 'has no agent that came or went'],
      [[[0.5, 'register', 'arrived']], 'covers 12h'],
      [[[5, 'release']], 'has no agent that came or went'],
    ] as const) {
      changes = found;
      const { exit, notes } = await ran();
      assert.equal(exit, 1);
      assert.equal(
        notes,
        `sublet: the history ${said}: a forecast needs at least 1d of it\n  Give the rates: sublet plan --arrivals 20/day --departures 5/day\n`,
      );
    }
  });

  it('simulates the plan of a file, and asks no master', async () => {
    const asked = master.asked.length;
    const file = written(`
network:
  overlays:
    - { name: dcos, subnet: 9.0.0.0/20, prefix: 24 }
    - { name: off, subnet: 9.1.0.0/20, prefix: 24, enabled: false }
lease: { quarantine: 1h }
exclusions: [{ overlay: dcos, subnet: 9.0.8.0/22 }]
reservations: [{ overlay: dcos, subnet: 9.0.0.0/24, agent: a }]
`);
    const { out } = await ran('-f', file, '--agents', '4', '--arrivals', '1/day', '--days', '6');
    assert.match(out, /^The plan of the file: 0 agents and 4 agents more at once, quarantine 1h\.$/m);
    assert.match(out, /^The file has no network\.vtep_subnet: tunnel endpoints are not counted\.$/m);
    assert.match(out, /^Nothing is full within 6 days; then the plan has 10 agents\.$/m);
    const { spaces } = await json('-f', file, '--agents', '20', '--prefix', 'dcos=25');
    assert.deepEqual(spaces[0].now, { held: 0, reserved: 1, excluded: 4, quarantined: 0, free: 11, total: 16 });
    assert.deepEqual([spaces[0].fullInDays, spaces[0].without, spaces[1].now.free], [0, 9, 23]);
    const full = await ran('-f', written('network: { vtep_subnet: 44.128.0.0/28 }\n'), '--agents', '20');
    assert.match(full.out, /^No overlay allocates\.$/m);
    assert.match(
      full.out,
      /^The VTEP subnet 44\.128\.0\.0\/28 is full from the start; 6 arrivals refused\. Grow it: sublet network grow --vtep-subnet\s+CIDR$/m,
    );
    const six = written('network: { overlays: [{ name: six, subnet6: "fd01:b::/64", prefix6: 68 }] }\n');
    const { out: grown } = await ran('-f', six, '--agents', '20');
    assert.match(
      grown,
      /^six is full from the start; 4 arrivals without a block of it\. Grow it: sublet overlay grow six --subnet6\s+CIDR$/m,
    );
    assert.equal(master.asked.length, asked);
  });

  it('refuses what can’t be', async () => {
    const file = written('network: { overlays: [{ name: six, subnet6: "fd01:b::/64", prefix6: 80 }] }\n');
    const refused: readonly (readonly [readonly string[], RegExp])[] = [
      [['--arrivals', '5'], /'5' is invalid: a number by hour, day or week is allowed, like 20\/day/],
      [['--arrivals', '50000/hour'], /at most 1000000\/day/],
      [['--days', '0'], /--days: 0 is out of range: 1 to 3650 is allowed/],
      [['--history', '1h'], /a length of time from 1d to 366d is allowed/],
      [['--agents', '1000001'], /at most 1000000 is allowed/],
      [['--arrivals', '1/day', '--agents', '39'], /--agents: 39 is less than the 40 agents that the plan has/],
      [['--arrivals', '100000/day'], /make 109,500,000 steps over all overlays: at most 20,000,000 are allowed/],
      [['--prefix', 'dcos'], /the name of an overlay and a length are allowed, like dcos=25/],
      [['--arrivals', '1/day', '--prefix', 'old=25'], /--prefix: no overlay "old" allocates; those that do: dcos/],
      [
        ['--arrivals', '1/day', '--prefix', 'dcos=15'],
        /--prefix: dcos=15 is out of range: 16 \(that of 9\.0\.0\.0\/16\) to 28/,
      ],
      [
        ['--arrivals', '1/day', '--prefix6', 'dcos=127'],
        /--prefix6: dcos=127 is out of range: 64 .* to 126 is allowed/,
      ],
      [['-f', file], /-f: a file has no history: --arrivals or --agents is needed with it/],
      [['-f', file, '--agents', '1', '--prefix', 'six=25'], /--prefix: overlay six has no IPv4/],
    ];
    for (const [args, said] of refused) {
      const { exit, notes } = await ran(...args);
      assert.equal(exit, 2, args.join(' '));
      assert.match(notes.replace(/\n {2}/g, ' '), said);
    }
  });
});
