import assert from 'node:assert/strict';
import { clusterService, operatorService } from '#api/services.js';
import { run } from '#cli/program.js';
import { CannedMaster } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { sampleOverlays, status } from '#cli/testing/samples.js';

describe('sublet top', () => {
  let master: CannedMaster;
  let commitIndex = 100;
  let leader = 'm1';
  before(async () => {
    master = await new CannedMaster()
      .on(clusterService.getStatus, () => ({ ...status, commitIndex, leader }))
      .on(clusterService.listMembers, () => ({ members: status.members, leader, accountOf: 'm1' }))
      .on(operatorService.listOverlays, () => sampleOverlays)
      .listen();
  });
  after(() => master[Symbol.asyncDispose]());
  beforeEach(() => {
    [commitIndex, leader] = [100, 'm1'];
  });

  it('shows one screen: the leader, masters, the fullest overlays first, and what is wrong', async () => {
    const terminal = new RecordedTerminal(80);
    assert.equal(await run(['top', '--once', '--master', master.address], terminal), 0);
    const lines = terminal.out.trimEnd().split('\n');
    assert.match(lines[0] ?? '', /^cluster sublet {3}leader m1 {3}term 3 {3}revision 1234/);
    assert.doesNotMatch(terminal.out, /changes\/s|\f/, 'a rate needs two looks');
    assert.match(terminal.out, /2 agents: 1 live, 1 silent/);
    assert.match(terminal.out, /^MASTER +ROLE.*\nm1 +leader/m);
    assert.match(terminal.out, /^OVERLAY .*\ndcos .*\ndcos6 /m);
    assert.match(terminal.out, /^! overlay dcos is full/m);
    assert.doesNotMatch(terminal.out, /does not have network\.overlays\.blue/, 'a notice is no warning');
    for (const line of lines) assert.ok(line.length <= 80, line);
  });

  it('draws it anew, with the changes of the log since', async () => {
    const terminal = new RecordedTerminal(80);
    let now = 1_748_779_200_000;
    terminal.now = () => now;
    const pauses: number[] = [];
    terminal.paused = async (ms) => {
      pauses.push(ms);
      if (pauses.length === 3) throw new Error('enough');
      now += 4_000;
      commitIndex += pauses.length === 1 ? 10 : -50;
      leader = '';
    };
    await assert.rejects(run(['top', '--every', '4s', '--master', master.address], terminal), /enough/);
    const screens = terminal.out.split('\f').slice(1);
    assert.deepEqual(pauses, [4_000, 4_000, 4_000]);
    assert.deepEqual(
      screens.map((screen) => screen.replaceAll(/\s+/g, ' ').match(/leader m1|no leader|[\d.]+ changes\/s/g)),
      [['leader m1'], ['no leader', '2.5 changes/s'], ['no leader', '0.0 changes/s']],
    );
  });

  it('is not drawn more often than a look takes', async () => {
    assert.equal(await run(['top', '--every', '10ms'], new RecordedTerminal()), 2);
  });
});
