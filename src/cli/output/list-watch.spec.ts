import assert from 'node:assert/strict';
import { status as code } from '@grpc/grpc-js';
import { operatorService } from '#api/services.js';
import { Failure } from '#cli/failure.js';
import { run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal, secondsAgo } from '#cli/testing/recorded-terminal.js';
import { agent1, agent2 } from '#cli/testing/samples.js';
import { sublet } from '#proto/sublet.js';

type Agent = sublet.v1.Agent.$Properties;

describe('a list that is watched', () => {
  let master: CannedMaster;
  let agents: readonly Agent[] = [];
  let away = false;

  before(async () => {
    master = await new CannedMaster()
      .on(operatorService.listAgents, () => {
        if (away) throw new CannedRefusal(code.UNAVAILABLE, 'the masters have no leader');
        return { agents: [...agents], revision: 9 };
      })
      .listen();
  });
  after(() => master[Symbol.asyncDispose]());

  /** What is printed for each of the lists, one look after the other; undefined: no master answers. */
  async function watched(looks: readonly (readonly Agent[] | undefined)[], ...args: readonly string[]) {
    const terminal = new RecordedTerminal(80);
    const pauses: number[] = [];
    const printed: string[] = [];
    let at = 0;
    let before = '';
    const prepare = (): void => {
      away = looks[at] === undefined;
      agents = looks[at] ?? [];
    };
    prepare();
    terminal.paused = async (ms) => {
      pauses.push(ms);
      printed.push(terminal.out.slice(before.length));
      before = terminal.out;
      at++;
      if (at === looks.length) throw new Failure(1, 'enough');
      prepare();
    };
    const exit = await run(['agents', '-w', ...args, '--master', master.address], terminal);
    return { exit, printed, pauses, notes: terminal.notes };
  }

  const silent: Agent = {
    ...agent1,
    presence: { state: sublet.v1.PresenceState.PRESENCE_STATE_SILENT, silentSince: secondsAgo(31) },
  };
  const heardAgain: Agent = { ...agent1, presence: { ...agent1.presence, lastHeard: secondsAgo(1) } };

  it('prints the list, then what is new, changed or gone, in the same columns', async () => {
    const { printed, notes } = await watched([[agent1], [agent1], [heardAgain], [silent, agent2], [agent2]]);
    assert.deepEqual(printed, [
      'AGENT    NODE IP   PRESENCE  VTEP        OVERLAY  SUBNET       ON THE HOST\n' +
        'agent-1  10.0.0.1  live      44.128.0.1  dcos     9.0.0.0/24   ok\n' +
        '                                         dcos6    fd01:b::/80  failed\n',
      '',
      '',
      'agent-2  10.0.0.2  silent 1h2m  44.128.0.2  -        -            -\n' +
        'agent-1  10.0.0.1  silent 31s   44.128.0.1  dcos     9.0.0.0/24   was ok\n' +
        '                                            dcos6    fd01:b::/80  was failed\n',
      'agent-1  gone\n',
    ]);
    assert.equal(notes, 'sublet: enough\n');
  });

  it('prints titles with the first items, and none with --no-headers', async () => {
    const { printed } = await watched([[], [agent2], [agent1, agent2]]);
    assert.equal(printed[0], '');
    assert.match(printed[1] ?? '', /^AGENT .*\nagent-2 .*\n$/);
    assert.match(printed[2] ?? '', /^agent-1 /);
    const bare = await watched([[], [agent2]], '--no-headers');
    assert.match(bare.printed[1] ?? '', /^agent-2 /);
  });

  it('prints each change as a line of JSON, a document of YAML, or a name', async () => {
    const looks = [[agent1], [silent], []];
    const json = await watched(looks, '-o', 'json');
    assert.deepEqual(
      json.printed.map((line) => [JSON.parse(line).type, JSON.parse(line).object.agentId, line.split('\n').length]),
      [
        ['ADDED', 'agent-1', 2],
        ['MODIFIED', 'agent-1', 2],
        ['DELETED', 'agent-1', 2],
      ],
    );
    const yaml = await watched(looks, '-o', 'yaml');
    assert.match(yaml.printed[1] ?? '', /^---\ntype: MODIFIED\nobject:\n {2}agentId: agent-1\n/);
    assert.deepEqual((await watched(looks, '-o', 'name')).printed, ['agent-1\n', 'agent-1\n', 'agent-1\n']);
    const path = await watched(looks, '-o', 'jsonpath={.type} {.object.agentId}');
    assert.deepEqual(path.printed, ['ADDED agent-1\n', 'MODIFIED agent-1\n', 'DELETED agent-1\n']);
  });

  it('goes on when masters answer again, says once that none does, and ends when none does for long', async () => {
    const again = await watched([[agent1], undefined, undefined, [agent1, agent2]]);
    assert.deepEqual(again.printed.slice(1, 3), ['', '']);
    assert.match(again.printed[3] ?? '', /^agent-2 /);
    assert.equal(again.notes, 'No master answers; asking again…\nsublet: enough\n');
    const lost = await watched([[agent1], ...Array.from({ length: 30 }, () => undefined)]);
    assert.equal(lost.exit, 3);
    assert.equal(lost.printed.length, 20);
    const nowAndThen = Array.from({ length: 11 }, () => [undefined, undefined, [agent1]]).flat();
    assert.equal((await watched([[agent1], ...nowAndThen])).exit, 1, 'only looks in a row count');
    assert.equal((await watched([undefined])).exit, 3, 'at once, when none answers at first');
  });

  it('looks as often as it is asked to', async () => {
    assert.deepEqual((await watched([[], []])).pauses, [2_000, 2_000]);
    assert.deepEqual((await watched([[], []], '--every', '5s')).pauses, [5_000, 5_000]);
    for (const args of [
      ['agents', '--every', '5s'],
      ['agents', '-w', '--every', '1ms'],
      ['agents', '-w', 'agent-1'],
    ]) {
      assert.equal(await run([...args, '--master', master.address], new RecordedTerminal()), 2, args.join(' '));
    }
  });
});
