import assert from 'node:assert/strict';
import { status as code } from '@grpc/grpc-js';
import type { Command } from 'commander';
import { operatorService } from '#api/services.js';
import { complete, pathOf } from '#cli/completion/candidates.js';
import { afterBreak, splitLine } from '#cli/completion/command-line.js';
import { askLive, liveValues } from '#cli/completion/live-values.js';
import { commands, commandTree, fill, makeProgram, run } from '#cli/program.js';
import { CannedMaster, CannedRefusal } from '#cli/testing/canned-master.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

const terminal = new RecordedTerminal(80);

/** What is offered, without the masters; kinds that they are asked for come out as `agent?`. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const { candidates, paths } = await complete(words, commandTree(terminal), async (kind) => [
    { value: `${kind}?`, about: '' },
  ]);
  return [...candidates.map(({ value }) => value), ...(paths === 'none' ? [] : [`:${paths}`])];
}

async function allCommands(): Promise<readonly Command[]> {
  const program = makeProgram(terminal);
  for (const command of program.commands) await fill(command, terminal);
  const below = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(below)];
  return program.commands.flatMap(below);
}

describe('completion', () => {
  it('names the shells where none is given', async () => {
    const alone = new RecordedTerminal();
    assert.equal(await run(['completion'], alone), 2);
    assert.equal(
      alone.notes,
      'sublet: SHELL: one of bash, zsh, fish is needed\n  Like: source <(sublet completion bash)\n',
    );
  });

  it('offers every command, and those below one', async () => {
    assert.deepEqual([...(await offered(''))].sort(), commands.map(({ name }) => name).sort());
    assert.deepEqual(await offered('overl'), ['overlays', 'overlay']);
    assert.deepEqual(await offered('overlay', ''), ['add', 'enable', 'disable', 'grow', 'drain', 'remove']);
    assert.deepEqual(await offered('overlay', 'add', ''), [], 'a new name is nobody’s to know');
    assert.deepEqual(await offered('nonsense', 'x', ''), []);
  });

  it('offers options, and the values that they may have', async () => {
    assert.deepEqual(await offered('overlay', 'add', '--sub'), ['--subnet', '--subnet6']);
    assert.ok((await offered('status', '--')).includes('--tls-ca'));
    assert.deepEqual(await offered('overlays', '-o', ''), ['table', 'wide', 'json', 'yaml', 'name', 'jsonpath=']);
    assert.deepEqual(await offered('status', '--output=y'), ['--output=yaml']);
    assert.deepEqual(await offered('-o', 'ja'), []);
    assert.deepEqual(await offered('agents', '--state', 'f'), ['failed']);
    assert.deepEqual(await offered('completion', ''), ['bash', 'zsh', 'fish']);
    assert.deepEqual(await offered('agents', '--timeout', ''), []);
  });

  it('offers paths where a file or a folder is to be named', async () => {
    assert.deepEqual(await offered('master', '--config', ''), [':files']);
    assert.deepEqual(await offered('config', 'check', ''), [':files']);
    assert.deepEqual(await offered('master', '--data-dir', 'x'), [':folders']);
    assert.deepEqual(await offered('apply', '-f', ''), [':files']);
  });

  it('asks the masters where they know what may stand there', async () => {
    assert.deepEqual(await offered('agents', ''), ['replace', 'agent?']);
    assert.deepEqual(await offered('agents', '--master', 'x', 'ag'), ['agent?']);
    assert.deepEqual(await offered('release', 'a', 'b', '--force', ''), ['agent?']);
    assert.deepEqual(await offered('reserve', 'dcos', '9.0.0.0/24', '--for', ''), ['agent?']);
    assert.deepEqual(await offered('reserve', 'dcos', '9.0.0.0/24', '--for=a'), ['--for=agent?']);
    assert.deepEqual(await offered('reserve', ''), ['overlay?']);
    assert.deepEqual(await offered('members', 'remove', ''), ['member?']);
    assert.deepEqual(await offered('transfer', 'x', ''), [], 'it takes one name');
    assert.deepEqual(await offered('agents', '--', '--'), [], 'no options after --');
  });

  it('asks for values of commands that there are', async () => {
    const places = (await allCommands()).flatMap((command) => [
      ...command.registeredArguments.map((argument) => `${pathOf(command)} ${argument.name()}`),
      ...command.options.map(({ long }) => `${pathOf(command)} ${long}`),
    ]);
    assert.deepEqual(
      Object.keys(liveValues).filter((place) => !places.includes(place)),
      [],
    );
    // Each that takes an agent or an overlay is among them; `overlay add` takes a new one.
    const named = places.filter(
      (place) => / (?:OVERLAY|AGENT|--overlay|--agent|--by)$/.test(place) && place !== 'master --overlay',
    );
    assert.deepEqual(
      named.filter((place) => liveValues[place] === undefined),
      [],
    );
  });
});

describe('values that the masters know', () => {
  let master: CannedMaster;
  let answer: () => { agents: { agentId: string; nodeIp: string }[] };
  before(async () => {
    master = await new CannedMaster().on(operatorService.listAgents, () => answer()).listen();
  });
  after(() => master[Symbol.asyncDispose]());

  const values = async (...words: readonly string[]) =>
    (await complete([...words, ''], commandTree(terminal), askLive)).candidates.map(
      ({ value, about }) => `${value} ${about}`,
    );

  it('come from the masters of the command line', async () => {
    answer = () => ({ agents: [{ agentId: 'agent-1', nodeIp: '10.0.0.1' }] });
    assert.deepEqual(await values('release', '--master', master.address), ['agent-1 10.0.0.1']);
    assert.deepEqual(await values('--master', master.address, 'release'), ['agent-1 10.0.0.1']);
  });

  it('are left out when a shell would take them for something else', async () => {
    answer = () => ({
      agents: ['$(reboot)', '-rf', 'a b', "a'", '', 'ok.1:x'].map((agentId) => ({ agentId, nodeIp: 'n' })),
    });
    assert.deepEqual(await values('release', '--master', master.address), ['ok.1:x n']);
  });

  it('are none when no master answers, or refuses', async () => {
    answer = () => {
      throw new CannedRefusal(code.PERMISSION_DENIED, 'no');
    };
    assert.deepEqual(await values('release', '--master', master.address), []);
    assert.deepEqual(await values('release', '--master', '127.0.0.1:9'), []);
    assert.deepEqual(await values('release', '--master', 'nonsense'), []);
    assert.deepEqual(terminal.raw, '');
  });
});

describe('a command line that is typed', () => {
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ['sublet ', ['sublet', '']],
    ['sublet age', ['sublet', 'age']],
    ['A=1 B="x y" sublet  a', ['sublet', 'a']],
    ['sublet "a b" \'c"\' d\\ e ""', ['sublet', 'a b', 'c"', 'd e', '']],
    ['sublet "unfinished x', ['sublet', 'unfinished x']],
    ['sublet --for=', ['sublet', '--for=']],
  ];
  for (const [line, wanted] of lines) {
    it(`has words: ${line}`, () => assert.deepEqual(splitLine(line), wanted));
  }

  it('has breaks within words, where bash begins to replace', () => {
    assert.equal(afterBreak('--for=agent-1', '--for=a', ' :='), 'agent-1');
    assert.equal(afterBreak('fd01:b::/80', 'fd01:b', ' :='), 'b::/80');
    assert.equal(afterBreak('--for=agent-1', '--for=a', ' '), '--for=agent-1');
  });
});
