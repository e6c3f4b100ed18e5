/** `--dry-run` against a plan that is at work: it says what the change would be answered with, and changes nothing. */
import assert from 'node:assert/strict';
import type { Command } from 'commander';
import { commandTree, run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { TestMasters } from '#master/testing/test-masters.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

/** In this order: each finds what those before it have made. */
const changes: readonly (readonly [line: string, says: RegExp])[] = [
  [
    'overlay add web --subnet 10.64.0.0/16 --prefix 24',
    /^Overlay web: 10\.64\.0\.0\/16 in pieces of \/24, enabled, would be added\. 3 agents get a block/,
  ],
  ['overlay add off --subnet 10.65.0.0/24 --prefix 25 --disabled', /No agent gets a block of it until it is enabled/],
  ['overlay add two --subnet 10.66.0.0/24 --prefix 25', /It has 2 blocks: 1 agent gets none\./],
  ['network grow --vtep-subnet6 fd01:a::/64', /^VTEP subnet: none becomes fd01:a::\/64/],
  [
    'overlay add both --subnet 10.67.0.0/24 --prefix 26 --subnet6 fd02:b::/64 --prefix6 65',
    /It has 2 blocks: 1 agent gets none\./,
  ],
  ['overlay disable dcos', /No agent gets a block of dcos from then on\. 3 agents hold a block of dcos, and keep it\./],
  ['overlay enable dcos', /Agents get blocks of dcos again\. 3 agents hold a block of dcos now/],
  ['overlay grow dcos --subnet 8.0.0.0/7', /9\.0\.0\.0\/8 becomes 8\.0\.0\.0\/7, 65,536 blocks become 131,072/],
  ['network set --quarantine 1h --vtep-mtu 1400', /^VTEP MTU: .* becomes 1400\. .* Quarantine: 15m becomes 1h/],
  ['network set --reclaim never', /^The lease of a silent agent ends: after 1h becomes never\./],
  ['network grow --vtep-subnet 44.128.0.0/16', /becomes 44\.128\.0\.0\/16/],
  ['reserve dcos 9.0.50.0/24 --for db-1', /9\.0\.50\.0\/24 of dcos would be reserved for db-1\./],
  ['unreserve dcos 9.0.50.0/24', /9\.0\.50\.0\/24 of dcos is reserved for db-1 now, and can be allocated/],
  ['exclude dcos 9.64.0.0/10', /9\.64\.0\.0\/10 of dcos would be excluded/],
  ['unreserve dcos 9.64.0.0/10', /9\.64\.0\.0\/10 of dcos is excluded now/],
  ['release agent-1 --force', /agent-1: live at 10\.0\.0\.1, holds 9\.0\.0\.0\/24/],
  ['overlay drain dcos', /2 agents hold a block of dcos/],
];

const refusals: readonly string[] = [
  'overlay add dcos --subnet 10.64.0.0/16 --prefix 24',
  'overlay add web --subnet 9.1.0.0/16 --prefix 24',
  'overlay enable nowhere',
  'overlay grow dcos --subnet 9.0.0.0/9',
  'overlay remove dcos',
  'overlay drain dcos --expected-revision 1',
  'network set --reclaim 1s',
  'network grow --vtep-subnet 44.0.0.0/24',
  'reserve dcos 9.0.0.0/24 --for db-1',
  'reserve dcos 9.0.50.0/25 --for db-1',
  'unreserve dcos 9.8.0.0/24',
  'exclude nowhere 9.64.0.0/10',
  'release agent-1',
  'agents replace agent-1 --by agent-9',
];

/** Changes that no revision binds. */
const others = [
  ...['members add', 'members promote', 'members replace', 'members remove', 'members move', 'transfer'],
  ...['token create', 'token revoke', 'agent prune'],
];

describe('--dry-run', () => {
  let masters: TestMasters;

  beforeEach(async () => {
    masters = await TestMasters.start({
      clock: new VirtualTime(),
      wallClock: () => 1_750_000_000_000,
      settings: { reclaimMs: 3_600_000 },
    });
    for (const id of ['agent-1', 'agent-2', 'agent-3']) await masters.register(id);
  });
  afterEach(() => masters[Symbol.asyncDispose]());

  const revision = (): number => masters.master(0).machine.ipam.revision;

  async function ran(line: string, ...more: readonly string[]) {
    const terminal = new RecordedTerminal();
    const exit = await run([...line.split(' '), ...more, '--master', masters.master(0).api], terminal);
    return { exit, out: terminal.out.replaceAll('\n', ' '), notes: terminal.notes };
  }

  it('says what a change does that is made then', async () => {
    for (const [line, says] of changes) {
      const before = revision();
      const dry = await ran(line, '--dry-run');
      assert.equal(dry.exit, 0, `${line}: ${dry.notes}`);
      assert.match(dry.out, says, line);
      assert.match(dry.out, / Nothing was changed: --dry-run\. $/);
      assert.equal(revision(), before, line);
      const { exit, notes } = await ran(line);
      assert.equal(exit, 0, `${line}: ${notes}`);
      assert.ok(revision() > before, line);
    }
  });

  it('is refused as the change is, in the same words', async () => {
    for (const line of refusals) {
      const before = revision();
      const dry = await ran(line, '--dry-run');
      const { exit, notes } = await ran(line);
      assert.equal(exit, 1, `${line}: ${notes}`);
      assert.deepEqual(dry, { exit, out: '', notes }, line);
      assert.equal(revision(), before, line);
    }
  });

  it('says where the plan is so already', async () => {
    for (const line of ['overlay enable dcos', 'network set --quarantine 15m']) {
      const { out } = await ran(line, '--dry-run');
      assert.equal(out, 'Nothing would change: the plan is so already. Nothing was changed: --dry-run. ', line);
    }
  });

  it('is an option of every command that changes the plan or the masters', async () => {
    const tree = commandTree(new RecordedTerminal());
    const lacking: string[] = [];
    const seen = new Set<string>();
    const look = (command: Command, path: string): void => {
      const has = (flag: string): boolean => command.options.some(({ long }) => long === flag);
      // `diff` changes nothing, and is bound to a revision as `apply` is.
      if ((has('--expected-revision') && path !== 'diff') || others.includes(path)) {
        seen.add(path);
        if (!has('--dry-run')) lacking.push(path);
      }
      for (const inner of command.commands) look(inner, `${path} ${inner.name()}`.trim());
    };
    for (const command of tree.program.commands) {
      await tree.fill(command);
      look(command, command.name());
    }
    assert.deepEqual(lacking, []);
    assert.deepEqual(
      others.filter((path) => !seen.has(path)),
      [],
    );
    assert.ok(seen.size > 20, [...seen].join(', '));
  });
});
