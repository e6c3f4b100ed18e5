import assert from 'node:assert/strict';
import { type Cidr4, parseCidr4 } from '#address/cidr4.js';
import { parseCidr6 } from '#address/cidr6.js';
import { clusterService } from '#api/services.js';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import { TestMasters, testOverlay, testSettings } from '#master/testing/test-masters.js';

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

function overlay(name: string, subnet: string, prefix = 24): Overlay {
  return { name, v4: { subnet: parseCidr4(subnet), prefix }, v6: undefined, enabled: true };
}

function with6(of: Overlay, subnet6: string, prefix = 80): Overlay {
  return { ...of, v6: { subnet: parseCidr6(subnet6), prefix } };
}

async function sublet(masters: TestMasters, command: string): Promise<void> {
  const terminal = new RecordedTerminal();
  const [name, ...words] = command.split(' ');
  assert.equal(name, 'sublet');
  const exit = await run(['--master', masters.master(0).api, ...words], terminal);
  assert.equal(exit, 0, `${command}: ${terminal.notes}`);
}

async function warnings(masters: TestMasters) {
  const { warnings } = await masters.client().call(clusterService.getStatus, {}, { idempotent: true });
  return warnings.map(({ message, remedy }) => ({ message: message ?? '', remedy: remedy ?? '' }));
}

/** The command lines that a remedy names. */
function commandsIn(remedy: string): readonly string[] {
  return /sublet .*$/.exec(remedy)?.[0].split(' && ') ?? [];
}

type File = { readonly settings?: Partial<NetworkSettings>; readonly overlays?: readonly Overlay[] };
type Case = {
  readonly what: string;
  readonly plan?: { readonly settings?: Partial<NetworkSettings>; readonly overlays?: readonly Overlay[] };
  /** What operators and agents have done since the network was created. */
  readonly since?: readonly string[];
  readonly agents?: readonly string[];
  readonly file: File;
  /** The commands that are named for each difference, in order. */
  readonly named: readonly (readonly string[])[];
};

const wide: Cidr4 = parseCidr4('44.128.0.0/16');

const mended: readonly Case[] = [
  {
    what: 'a larger VTEP subnet, under agents',
    agents: ['agent-1'],
    file: { settings: { vtepSubnet: wide } },
    named: [['sublet network grow --vtep-subnet 44.128.0.0/16']],
  },
  {
    what: 'an IPv6 VTEP subnet',
    agents: ['agent-1'],
    file: { settings: { vtepSubnet6: parseCidr6('fd01:a::/64') } },
    named: [['sublet network grow --vtep-subnet6 fd01:a::/64']],
  },
  {
    what: 'VTEP subnets that can only grow together',
    plan: { settings: { vtepSubnet6: parseCidr6('fd01:a::/116') } },
    file: { settings: { vtepSubnet: wide, vtepSubnet6: parseCidr6('fd01:a::/112') } },
    named: [
      ['sublet network grow --vtep-subnet 44.128.0.0/16 --vtep-subnet6 fd01:a::/112'],
      ['sublet network grow --vtep-subnet6 fd01:a::/112'],
    ],
  },
  {
    what: 'the MTU',
    file: { settings: { vtepMtu: 1400 } },
    named: [['sublet network set --vtep-mtu 1400']],
  },
  {
    what: 'a long quarantine',
    agents: ['agent-1'],
    file: { settings: { quarantineMs: 300 * dayMs } },
    named: [['sublet network set --quarantine 300d']],
  },
  {
    what: 'a quarantine of an odd length',
    file: { settings: { quarantineMs: hourMs + 1 } },
    named: [['sublet network set --quarantine 1h1ms']],
  },
  {
    what: 'a TTL, with the quarantine that it needs',
    file: { settings: { reclaimMs: dayMs } },
    named: [['sublet network set --quarantine 6h --reclaim 1d']],
  },
  {
    what: 'a TTL and a quarantine',
    file: { settings: { reclaimMs: dayMs, quarantineMs: 7 * hourMs } },
    named: [['sublet network set --quarantine 7h'], ['sublet network set --quarantine 7h --reclaim 1d']],
  },
  {
    what: 'no TTL any more, and a quarantine too short for one',
    plan: { settings: { reclaimMs: dayMs, quarantineMs: 6 * hourMs } },
    agents: ['agent-1'],
    file: { settings: { reclaimMs: undefined, quarantineMs: 60_000 } },
    named: [['sublet network set --quarantine 1m --reclaim never'], ['sublet network set --reclaim never']],
  },
  {
    what: 'an overlay that is enabled, and one that is not',
    plan: { overlays: [testOverlay, { ...overlay('blue', '10.128.0.0/16'), enabled: false }] },
    agents: ['agent-1'],
    file: { overlays: [{ ...testOverlay, enabled: false }, overlay('blue', '10.128.0.0/16')] },
    named: [['sublet overlay disable dcos'], ['sublet overlay enable blue']],
  },
  {
    what: 'an overlay that is larger, in one family or both',
    plan: {
      settings: { ...testSettings, vtepSubnet6: parseCidr6('fd01:a::/64') },
      overlays: [with6(overlay('a', '10.128.0.0/16'), 'fd01:b::/64'), with6(testOverlay, 'fd01:c::/64')],
    },
    agents: ['agent-1'],
    file: {
      overlays: [
        with6(overlay('a', '10.128.0.0/15'), 'fd01:b::/64'),
        { ...with6(overlay('dcos', '8.0.0.0/7'), 'fd01:c::/56'), enabled: false },
      ],
    },
    named: [
      ['sublet overlay grow a --subnet 10.128.0.0/15'],
      ['sublet overlay grow dcos --subnet 8.0.0.0/7 --subnet6 fd01:c::/56', 'sublet overlay disable dcos'],
    ],
  },
  {
    what: 'an overlay of other pieces or with another family, that nobody holds',
    plan: { overlays: [overlay('a', '10.128.0.0/16'), overlay('b', '10.129.0.0/16')] },
    file: {
      overlays: [
        overlay('a', '10.128.0.0/16', 25),
        { ...with6(overlay('b', '10.129.0.0/16'), 'fd01:b::/64'), enabled: false },
      ],
    },
    named: [
      ['sublet overlay remove a', 'sublet overlay add a --subnet 10.128.0.0/16 --prefix 25'],
      [
        'sublet overlay remove b',
        'sublet overlay add b --subnet 10.129.0.0/16 --prefix 24 --subnet6 fd01:b::/64 --prefix6 80 --disabled',
      ],
    ],
  },
  {
    what: 'an overlay that was removed',
    since: ['sublet overlay remove dcos'],
    file: { overlays: [testOverlay] },
    named: [['sublet overlay add dcos --subnet 9.0.0.0/8 --prefix 24']],
  },
  {
    what: 'an overlay that the file lacks',
    file: { overlays: [] },
    named: [['sublet overlay remove dcos']],
  },
];

const notMended: readonly (Case & { readonly why: RegExp })[] = [
  {
    what: 'a VTEP subnet that is not a supernet',
    file: { settings: { vtepSubnet: parseCidr4('44.128.0.0/21') } },
    named: [[]],
    why: /^change the file: vtep_subnet 44\.128\.0\.0\/21 is not a supernet of 44\.128\.0\.0\/20: it can only grow$/,
  },
  {
    what: 'what was fixed when the network was created',
    file: { settings: { vni: 7, vxlanPort: 4789 } },
    named: [[], []],
    why: /^change the file: this was fixed when the network was established$/,
  },
  {
    what: 'a shorter life of leases under agents',
    agents: ['agent-1'],
    file: { settings: { reclaimMs: dayMs } },
    named: [[]],
    why: /^change the file: lease\.reclaim can't go from never to 1d while agents hold leases \(1 do\)/,
  },
  {
    what: 'a smaller overlay',
    file: { overlays: [overlay('dcos', '9.0.0.0/9')] },
    named: [[]],
    why: /^change the file: subnet 9\.0\.0\.0\/9 is not a supernet of 9\.0\.0\.0\/8: it can only grow$/,
  },
  {
    what: 'an overlay of other pieces that would overlap another',
    plan: { overlays: [testOverlay, overlay('blue', '10.128.0.0/16')] },
    file: { overlays: [overlay('dcos', '8.0.0.0/6', 25), overlay('blue', '10.128.0.0/16')] },
    named: [[]],
    why: /^change the file: .*8\.0\.0\.0\/6 of overlay "dcos" overlaps 10\.128\.0\.0\/16 of overlay "blue"/,
  },
  {
    what: 'an overlay that would overlap another',
    file: { overlays: [testOverlay, overlay('over', '9.200.0.0/16')] },
    named: [[]],
    why: /^change the file, or what stands in its way: .*9\.200\.0\.0\/16 of overlay "over" overlaps 9\.0\.0\.0\/8/,
  },
];

async function started({ plan = {}, since = [], agents = [], file }: Case): Promise<TestMasters> {
  const { settings = {}, overlays } = file;
  const masters = await TestMasters.start({ ...plan, file: { settings, overlays } });
  for (const agentId of agents) await masters.register(agentId);
  for (const command of since) await sublet(masters, command);
  return masters;
}

describe('rule 9: a file that disagrees is reported with the command that ends it', () => {
  for (const each of mended) {
    it(`which does so, for ${each.what}`, async () => {
      for (const [at, commands] of each.named.entries()) {
        await using masters = await started(each);
        const told = await warnings(masters);
        assert.deepEqual(
          told.map(({ remedy }) => commandsIn(remedy)),
          each.named,
        );
        for (const command of commands) await sublet(masters, command);
        const left = await warnings(masters);
        assert.equal(
          left.some(({ message }) => message === told[at]?.message),
          false,
          told[at]?.message,
        );
      }
    });
  }

  for (const each of notMended) {
    it(`or with why there is none, for ${each.what}`, async () => {
      await using masters = await started(each);
      const told = await warnings(masters);
      assert.deepEqual(
        told.map(({ remedy }) => commandsIn(remedy)),
        each.named,
      );
      for (const { remedy } of told) assert.match(remedy, each.why);
    });
  }

  it('as things stand now: what was in the way and is no more is added by the command that is named then', async () => {
    const over = { ...overlay('over', '9.200.0.0/16'), enabled: false };
    await using masters = await started({
      what: 'an obstacle',
      file: { overlays: [over] },
      named: [],
    });
    const [first] = await warnings(masters);
    assert.match(first?.remedy ?? '', /overlaps 9\.0\.0\.0\/8 of overlay "dcos"/);
    await sublet(masters, 'sublet overlay remove dcos');
    const [second, ...others] = await warnings(masters);
    assert.deepEqual(others, []);
    assert.match(second?.message ?? '', /has an overlay "over" that the plan does not have/);
    const added = 'sublet overlay add over --subnet 9.200.0.0/16 --prefix 24 --disabled';
    assert.equal(second?.remedy, `it is added when m1 takes the lead, or with: ${added}`);
    await sublet(masters, added);
    assert.deepEqual(await warnings(masters), []);
  });
});
