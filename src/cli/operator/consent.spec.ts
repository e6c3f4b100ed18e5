import assert from 'node:assert/strict';
import { status as code } from '@grpc/grpc-js';
import { clusterService, operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { agent1, agent2, sampleOverlays, status } from '#cli/testing/samples.js';

/** The commands that change what can't be changed back, and the call that makes the change. */
const lasting: readonly (readonly [readonly string[], string, RegExp])[] = [
  [['overlay', 'grow', 'dcos', '--subnet', '8.0.0.0/7'], 'UpdateOverlay', /65,536 blocks become 131,072/],
  [['overlay', 'remove', 'dcos'], 'RemoveOverlay', /held by 1 agent: the masters refuse/],
  [['overlay', 'drain', 'dcos'], 'UpdateOverlay', /1 agent holds a block of dcos\. Each takes dcos off its host/],
  [
    ['agents', 'replace', 'agent-1', '--by', 'agent-9'],
    'ReplaceAgent',
    /agent-1: live at 10\.0\.0\.1, .* the masters refuse while it is live.*quarantined for 15m: start agent-9 after/s,
  ],
  [
    ['agents', 'replace', 'agent-1', '--by', 'agent-1', '--old-is-off'],
    'ReplaceAgent',
    /Nothing is quarantined: if agent-1 runs on, two hosts have one address/,
  ],
  [
    ['network', 'grow', '--vtep-subnet', '44.128.0.0/16'],
    'UpdateNetwork',
    /44\.128\.0\.0\/20 becomes 44\.128\.0\.0\/16/,
  ],
  [['release', 'agent-1', '--force'], 'ReleaseAgents', /agent-1: live at 10\.0\.0\.1, holds 9\.0\.0\.0\/24/],
  [
    ['members', 'replace', 'm3', 'm2'],
    'ReplaceMember',
    /Master m3 at 10\.0\.0\.13:7071 is removed for good in the same step/,
  ],
  [['members', 'remove', 'm3'], 'RemoveMember', /3 voters become 2: 2 of them must be up, 0 may be down/],
  [['adoption', 'end'], 'EndAdoption', /not in adoption: nothing changes/],
];

describe('consent to what cannot be undone', () => {
  let master: CannedMaster;

  before(async () => {
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => status)
      .on(clusterService.listMembers, () => ({ members: status.members, leader: 'm1', accountOf: 'm1' }))
      .on(clusterService.removeMember, () => ({ members: status.members.slice(0, 2) }))
      .on(clusterService.replaceMember, () => ({ members: status.members.slice(0, 2) }))
      .on(clusterService.endAdoption, () => ({ revision: 7 }))
      .on(operatorService.listAgents, () => ({ agents: [agent1, agent2], revision: 9 }))
      .on(operatorService.getAgent, ({ agentId }) => {
        if (agentId === 'agent-1') return { agent: agent1 };
        throw new CannedRefusal(code.NOT_FOUND, `agent_id: "${agentId}" holds nothing`);
      })
      .on(operatorService.listOverlays, () => sampleOverlays)
      .on(operatorService.getNetwork, () => ({ network: { vtepSubnet: '44.128.0.0/20', quarantineMs: 900_000 } }))
      .on(operatorService.previewChange, () => ({ changes: true, revision: 9 }))
      .on(operatorService.updateOverlay, () => ({ overlay: { name: 'dcos' } }))
      .on(operatorService.removeOverlay, () => ({ revision: 9 }))
      .on(operatorService.updateNetwork, () => ({ network: {} }))
      .on(operatorService.releaseAgents, () => ({ revision: 9 }))
      .on(operatorService.replaceAgent, () => ({ reserved: ['9.0.0.0/24', '44.128.0.1/32'], quarantineMs: 900_000 }))
      .on(operatorService.reserve, () => ({ revision: 9 }))
      .listen();
  });
  after(() => master[Symbol.asyncDispose]());
  beforeEach(() => {
    master.asked.length = 0;
  });

  /** `answer`: what is typed on a terminal; undefined: there is none. */
  async function ran(answer: string | undefined, ...args: readonly string[]) {
    const terminal = new RecordedTerminal(80, answer);
    const exit = await run([...args, '--master', master.address], terminal);
    return { exit, out: terminal.out, notes: terminal.notes };
  }

  const wrote = (method: string): boolean => master.asked.some(({ path }) => path.endsWith(`/${method}`));

  for (const [args, method, says] of lasting) {
    const name = `sublet ${args.join(' ')}`;

    it(`is asked for on a terminal, after what it does is said: ${name}`, async () => {
      const { exit, notes } = await ran('y', ...args);
      assert.equal(exit, 0, notes);
      assert.match(notes.replaceAll(/\n {2}/g, ' '), says);
      assert.match(notes, /Go on\? \[y\/N\] $/);
      assert.ok(wrote(method));
    });

    it(`is not given by any other answer, or none: ${name}`, async () => {
      for (const answer of ['', 'n', 'yess', 'no, wait: y']) {
        const { exit, notes } = await ran(answer, ...args);
        assert.equal(exit, 1);
        assert.match(notes, /sublet: nothing was changed: the answer was not yes\n$/);
      }
      assert.ok(!wrote(method));
    });

    it(`is given by --yes, and not asked for without a terminal: ${name}`, async () => {
      assert.deepEqual((await ran('n', ...args, '--yes')).notes, '');
      assert.ok(wrote(method));
      master.asked.length = 0;
      assert.deepEqual((await ran(undefined, ...args)).notes, '');
      assert.ok(wrote(method));
    });

    it(`is not needed to see what it does: ${name} --dry-run`, async () => {
      const { exit, out } = await ran(undefined, ...args, '--dry-run');
      assert.equal(exit, 0);
      assert.match(out.replaceAll(/\n {2}/g, ' '), says);
      assert.match(out, /\nNothing was changed: --dry-run\.\n$/);
      const json = JSON.parse((await ran('n', ...args, '--dry-run', '-o', 'json')).out);
      assert.equal(json.dryRun, true);
      assert.ok(json.consequences.length > 0);
      assert.ok(!wrote(method));
    });
  }

  it('is not asked for where silent agents are released', async () => {
    assert.equal((await ran('n', 'release', 'agent-1')).notes, '');
    assert.ok(wrote('ReleaseAgents'));
  });

  it('fails a dry run whose overlay, agent or master is not there', async () => {
    for (const args of [
      ['overlay', 'remove', 'blue'],
      ['release', 'agent-9'],
      ['members', 'remove', 'm9'],
    ]) {
      assert.equal((await ran(undefined, ...args, '--dry-run')).exit, 1, args.join(' '));
    }
  });

  it('comes with what an exclusion and a reservation leave undone', async () => {
    const exclusion = await ran(undefined, 'exclude', 'dcos', '9.0.0.0/16');
    assert.equal(
      exclusion.out,
      'Excluded 9.0.0.0/16 of dcos.\n1 agent keeps what it holds in 9.0.0.0/16: agent-1. To free it: sublet release\n  ID\n',
    );
    assert.match(
      (await ran(undefined, 'exclude', 'dcos', '9.1.0.0/16')).out,
      /No agent holds a block in 9\.1\.0\.0\/16/,
    );
    const other = await ran(undefined, 'reserve', 'dcos', '9.0.0.0/24', '--for', 'db-1');
    assert.match(other.out, /agent-1 holds 9\.0\.0\.0\/24 now: the masters refuse the reservation/);
    const free = await ran(undefined, 'reserve', 'dcos', '9.0.9.0/24', '--for', 'db-1');
    assert.match(free.out, /holds: db-1 gets 9\.0\.9\.0\/24 at its first\n {2}registration/);
    master.asked.length = 0;
    await ran(undefined, 'exclude', 'dcos', '9.0.0.0/16', '--dry-run');
    await ran(undefined, 'reserve', 'dcos', '9.0.0.0/24', '--for', 'db-1', '--dry-run');
    assert.ok(!wrote('Reserve'));
  });

  it('shows the holders of blocks of an overlay that is drained, and waits no longer than asked', async () => {
    const asked = await ran(undefined, 'overlay', 'drain', 'dcos');
    assert.equal(asked.exit, 0);
    assert.equal(asked.out, '1 agent holds a block of dcos:\n- agent-1: is taking it off its host\n');
    const waited = await ran(undefined, 'overlay', 'drain', 'dcos', '--wait', '1ms');
    assert.equal(waited.exit, 1);
    assert.match(waited.notes, /1 agent still holds a block of dcos/);
    const none = await ran(undefined, 'overlay', 'drain', 'blue', '--yes');
    assert.match(
      none.out,
      /^No agent holds a block of blue\. When the quarantine is over: sublet overlay\n {2}remove blue\n$/,
    );
  });

  it('says when the new host of a replaced agent may start', async () => {
    const { out } = await ran(undefined, 'agents', 'replace', 'agent-2', '--by', 'agent-9');
    assert.equal(
      out.replaceAll('\n  ', ' '),
      'Released agent-2. Reserved for agent-9: 9.0.0.0/24, 44.128.0.1/32. Start agent-9 in 15m, not before.\n',
    );
  });
});
