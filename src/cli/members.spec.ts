import assert from 'node:assert/strict';
import { clusterService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal, secondsAgo } from '#cli/testing/recorded-terminal.js';
import { sublet } from '#proto/sublet.js';

const { LEADER, FOLLOWER, LEARNER } = {
  LEADER: sublet.v1.MemberRole.MEMBER_ROLE_LEADER,
  FOLLOWER: sublet.v1.MemberRole.MEMBER_ROLE_FOLLOWER,
  LEARNER: sublet.v1.MemberRole.MEMBER_ROLE_LEARNER,
};
const risk = 'only 1 of 3 that vote would be up and caught up, and 2 are needed';
type Members = sublet.v1.ListMembersResponse.$Properties;

const oneDead: Members = {
  leader: 'm1',
  accountOf: 'm1',
  members: [
    { name: 'm1', peer: '10.0.0.1:7071', role: LEADER, matchIndex: 9, lag: 0, alive: true, self: true, stopRisk: risk },
    {
      name: 'm2',
      peer: '10.0.0.2:7071',
      role: FOLLOWER,
      matchIndex: 9,
      lag: 0,
      alive: true,
      stopRisk: risk,
      lastContact: secondsAgo(0),
    },
    {
      name: 'm3',
      peer: '10.0.0.3:7071',
      role: FOLLOWER,
      matchIndex: 7,
      lag: 2,
      alive: false,
      lastContact: secondsAgo(125),
    },
  ],
};

/** Runs `sublet members ARGS` against a master that answers with these, in turn. */
async function members(answers: readonly Members[], ...args: readonly string[]) {
  let asked = 0;
  await using master = await new CannedMaster()
    .on(clusterService.listMembers, () => answers[Math.min(asked++, answers.length - 1)] ?? {})
    .on(clusterService.addMember, ({ name }) => ({ member: { name, role: LEARNER } }))
    .on(clusterService.promoteMember, ({ name }) => ({ member: { name } }))
    .on(clusterService.replaceMember, ({ by }) => ({ members: [{ name: 'm1' }, { name: by }] }))
    .listen();
  const terminal = new RecordedTerminal(80);
  const exit = await run(['members', ...args, '--master', master.address], terminal);
  const paths = master.asked.map(({ path }) => path.replace(/.*\//, ''));
  return { exit, out: terminal.out, notes: terminal.notes, paths };
}

describe('sublet members', () => {
  it('names the masters that must not stop and why, once, below a table that fits a terminal', async () => {
    const { exit, out } = await members([oneDead]);
    assert.equal(
      out,
      [
        'MASTER  ROLE      PEERS          MATCH  LAG  HEARD          DISK FREE  MAY STOP',
        'm1      leader    10.0.0.1:7071      9    0  here                   -  no',
        'm2      follower  10.0.0.2:7071      9    0  now                    -  no',
        'm3      follower  10.0.0.3:7071      7    2  dead for 2m5s          -  yes',
        '',
        '! m1, m2 must not stop now: only 1 of 3 that vote would be up and caught up, and',
        '  2 are needed.',
        '',
      ].join('\n'),
    );
    assert.equal(exit, 0);
  });

  it('names a master whose certificates are revoked, and the command that takes it back', async () => {
    const by = { since: { seconds: 1_700_000_000 }, by: 'admin/alice@10.0.0.9' };
    const [m1, m2 = {}, m3 = {}] = oneDead.members ?? [];
    const later = { ...by, acceptedFrom: { seconds: 1_700_000_060 } };
    const revoked = { ...oneDead, members: [m1 ?? {}, { ...m2, revocation: by }, { ...m3, revocation: later }] };
    const { out } = await members([revoked]);
    assert.match(
      out,
      /! The certificates of m2 are revoked 2023-11-1\d \d\d:\d\d:20 by\n {2}admin\/alice@10\.0\.0\.9\.\n/,
    );
    assert.match(out, /\n {2}sublet certs unrevoke master\/m2\n$/);
    assert.doesNotMatch(out, /m3 are revoked/);
  });

  it('says what to do when there is no leader, and when the master that was asked takes no part', async () => {
    const orphaned = await members([{ members: [{ name: 'm2', self: true }], accountOf: 'm2' }]);
    assert.match(orphaned.out, /There is no leader: this is how m2 sees it\./);
    assert.match(orphaned.out, /\n {2}sublet snapshot recover --help\n$/);
    const waiting = await members([{ accountOf: 'm4' }]);
    assert.equal(waiting.out, '! m4 takes no part in a cluster yet. What it waits for:\n  sublet status\n');
  });

  it('advises the founder of a cluster of one to set join, when it is no longer alone', async () => {
    const alone: Members = { members: [{ name: 'm1', role: LEADER, self: true }] };
    const { exit, out } = await members([alone], 'add', 'm2=10.0.0.2:7071');
    assert.equal(exit, 0);
    assert.equal(
      out,
      [
        'Added m2 as a learner. Once it has caught up (sublet members), give it its vote:',
        '  sublet members promote m2',
        '',
        '! m1 bootstrapped this cluster alone, and with a lost disk, while no other',
        '  master is up, would bootstrap another one, which leases addresses that are',
        '  held. Start it from now on with --join (cluster.join) in the place of',
        '  --member (cluster.members), naming the others; it is not read while m1 has',
        '  its store:',
        '  sublet master --name m1 --join 10.0.0.2:7071 …',
        '',
      ].join('\n'),
    );
    const learner = { name: 'm2', role: LEARNER };
    const again = await members([{ members: [...(alone.members ?? []), learner] }], 'add', 'm3=10.0.0.3:7071');
    assert.match(again.out, /--join 10\.0\.0\.3:7071/);
    const many = await members([oneDead], 'add', 'm4=10.0.0.4:7071');
    assert.doesNotMatch(many.out, /--join/);
  });

  it('adds a learner that is to stay one, and says what it is for', async () => {
    const { exit, out, paths } = await members([oneDead], 'add', 'w1=10.0.0.9:7071', '--learner');
    assert.deepEqual([exit, paths.at(-1)], [0, 'AddMember']);
    assert.match(
      out,
      /^Added w1 as a learner\. It serves watches and hands other calls of agents on to the leader\.\n/,
    );
    assert.doesNotMatch(out, /promote/);
  });

  it('replaces once the newcomer has caught up, and not before', async () => {
    const learner = (lag: number): Members => ({
      members: [{ name: 'm4', role: LEARNER, alive: true, matchIndex: 1, lag }],
    });
    const { exit, out, notes, paths } = await members(
      [learner(5_000), learner(1_001), learner(1_000)],
      ...['replace', 'm3', 'm4=10.0.0.4:7071'],
    );
    assert.deepEqual([exit, notes], [0, 'Waiting until m4 has caught up …\n']);
    assert.equal(out, 'm4 votes in the place of m3. There are m1, m4.\n');
    assert.deepEqual(paths, ['AddMember', 'ListMembers', 'ListMembers', 'ListMembers', 'ReplaceMember']);
  });

  it('gives up waiting after the time that it was given, and says how to go on', async () => {
    const dead: Members = { members: [{ name: 'm4', role: LEARNER, alive: false }] };
    const { exit, notes, paths } = await members([dead], 'replace', 'm3', 'm4', '--wait', '1ms');
    assert.equal(exit, 1);
    assert.match(
      notes,
      /m4 is not heard of; nothing was replaced\n {2}It goes on\. Ask again when it has: sublet members replace m3 m4\n/,
    );
    assert.ok(!paths.includes('ReplaceMember'));
  });

  it('says what each change does with --dry-run, and asks for the list alone', async () => {
    const learner = { name: 'm4', peer: '10.0.0.4:7071', role: LEARNER, matchIndex: 9, lag: 0, alive: true };
    const four: Members = { ...oneDead, members: [...(oneDead.members ?? []), learner] };
    for (const [args, says] of [
      [['add', 'm5=10.0.0.5:7071'], /^m5 at 10\.0\.0\.5:7071 becomes a learner.*The 3 votes stay/],
      [['add', 'm4=10.0.0.4:7071'], /^m4 at 10\.0\.0\.4:7071 is a member already: nothing changes\./],
      [
        ['promote', 'm4'],
        /^m4 has caught up, and gets a vote\. 3 voters become 4: 3 of them must be up, 1 may be down\./,
      ],
      [['promote', 'm2'], /^m2 votes already: nothing changes\./],
      [
        ['replace', 'm3', 'm4'],
        /^m4 gets the vote once .* Master m3 at 10\.0\.0\.3:7071 is removed for good.*can’t be undone/,
      ],
      [['replace', 'm3', 'm5=10.0.0.5:7071'], /^m5 at 10\.0\.0\.5:7071 is added as a learner, and gets the vote/],
      [['move', 'm3=10.1.0.3:7071'], /^m3 is recorded at 10\.1\.0\.3:7071 in the place of 10\.0\.0\.3:7071/],
      [
        ['move', 'm3=10.1.0.3:7071', 'm2=10.1.0.2:7071'],
        /^m3 is recorded at 10\.1\.0\.3:7071 .* m2 is recorded at 10\.1\.0\.2:7071 in the place of 10\.0\.0\.2:7071/,
      ],
      [['move', 'm3=10.0.0.3:7071'], /^m3 is recorded at 10\.0\.0\.3:7071 already: nothing changes\./],
    ] as const) {
      const { exit, out, notes, paths } = await members([four], ...args, '--dry-run');
      assert.equal(exit, 0, notes);
      assert.match(out.replaceAll(/\n\s*/g, ' '), says);
      assert.match(out, /Nothing was changed: --dry-run\.\n$/);
      assert.deepEqual(paths, ['ListMembers']);
    }
    for (const [args, says] of [
      [['add', 'm3=10.0.0.9:7071'], /there is a master "m3" at 10\.0\.0\.3:7071 already/],
      [['promote', 'm9'], /there is no master "m9": there is m1, m2, m3, m4/],
      [['replace', 'm9', 'm4'], /there is no master "m9"/],
      [['move', 'm9=10.0.0.9:7071'], /there is no master "m9"/],
    ] as const) {
      const { exit, notes } = await members([four], ...args, '--dry-run');
      assert.equal(exit, 1);
      assert.match(notes, says);
    }
    for (const behind of [{ lag: 1_000_000 }, { alive: false }, { matchIndex: 0 }]) {
      const late: Members = { ...four, members: [...(oneDead.members ?? []), { ...learner, ...behind }] };
      const { notes } = await members([late], 'promote', 'm4', '--dry-run');
      assert.match(notes, /m4 has not caught up: the masters refuse/, JSON.stringify(behind));
    }
  });

  it('gives a vote once the learner has caught up, with --wait', async () => {
    const learner = { name: 'm4', peer: '10.0.0.4:7071', role: LEARNER, matchIndex: 9, lag: 1_000_000, alive: true };
    const late: Members = { ...oneDead, members: [learner] };
    const ready: Members = { ...oneDead, members: [{ ...learner, lag: 0 }] };
    const waited = await members([late, late, ready], 'promote', 'm4', '--wait', '1m');
    assert.equal(waited.exit, 0, waited.notes);
    assert.match(waited.notes, /^Waiting until m4 has caught up …\n$/);
    assert.deepEqual(waited.paths, ['ListMembers', 'ListMembers', 'ListMembers', 'PromoteMember']);
    const { exit, notes } = await members([late], 'promote', 'm4', '--wait', '0s');
    assert.equal(exit, 1);
    assert.match(notes, /m4 lacks 1,000,000 entries of the log; nothing was promoted/);
  });

  it('hands over to one that votes and lives, by `sublet transfer --dry-run`', async () => {
    const learner = { name: 'm4', peer: '10.0.0.4:7071', role: LEARNER, alive: true };
    const four: Members = { ...oneDead, members: [...(oneDead.members ?? []), learner] };
    await using master = await new CannedMaster().on(clusterService.listMembers, () => four).listen();
    for (const [args, exit, says] of [
      [[], 0, /^m1 hands over to the master with the longest log/],
      [['m2'], 0, /^m1 hands over to m2, without a pause/],
      [['m1'], 0, /^m1 leads already: nothing changes\./],
      [['m3'], 1, /m3 is dead/],
      [['m4'], 1, /m4 is a learner, and has no vote/],
      [['m9'], 1, /there is no master "m9"/],
    ] as const) {
      const terminal = new RecordedTerminal(80);
      assert.equal(await run(['transfer', ...args, '--dry-run', '--master', master.address], terminal), exit);
      assert.match(terminal.out + terminal.notes, says);
    }
  });
});
