import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { commands, fill, makeProgram, run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';

const main = fileURLToPath(new URL('main.js', import.meta.url));

async function ran(...args: readonly string[]): Promise<{ code: number; out: string; notes: string }> {
  const terminal = new RecordedTerminal();
  const code = await run(args, terminal);
  return { code, out: terminal.out, notes: terminal.notes };
}

/** Every command that can be called, with its path: `overlay add`. */
async function leaves(): Promise<readonly (readonly [string, Command])[]> {
  const terminal = new RecordedTerminal(80);
  const program = makeProgram(terminal);
  for (const command of program.commands) await fill(command, terminal);
  const walk = (command: Command, path: string): (readonly [string, Command])[] =>
    command.commands.length === 0
      ? [[path, command]]
      : command.commands.flatMap((inner) => walk(inner, `${path} ${inner.name()}`));
  return program.commands.flatMap((command) => walk(command, command.name()));
}

/** The help with what is added before and after it. */
function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (more) => (text += more) });
  command.outputHelp();
  return text;
}

describe('the command line', () => {
  it('explains each command, with examples, in 80 columns', async () => {
    for (const [path, command] of await leaves()) {
      const help = helpOf(command);
      assert.match(help, /\nExamples:\n/, path);
      assert.match(help, new RegExp(`Usage: sublet ${path}`), path);
      assert.ok(
        command.description().endsWith('.') || command.description().endsWith('?'),
        `${path}: ${command.description()}`,
      );
      const wide = help.split('\n').filter((line) => line.length > 80 && !line.startsWith('  $ '));
      assert.deepEqual(wide, [], path);
    }
  });

  it('says how npm takes options, where npm has taken them away', async () => {
    const event = process.env.npm_lifecycle_event;
    try {
      process.env.npm_lifecycle_event = 'sublet';
      assert.match(
        (await ran('status', '127.0.0.1:7080')).notes,
        /too many arguments for 'status': 1 given, 0 allowed\n {2}With npm, two hyphens come before options: npm run -s sublet -- /,
      );
      delete process.env.npm_lifecycle_event;
      assert.doesNotMatch((await ran('status', '127.0.0.1:7080')).notes, /npm/);
    } finally {
      if (event === undefined) delete process.env.npm_lifecycle_event;
      else process.env.npm_lifecycle_event = event;
    }
  });

  it('breaks no word of a refusal at the end of the line', async () => {
    const terminal = new RecordedTerminal(80);
    assert.equal(await run(['agents', '-o', 'jso'], terminal), 2);
    assert.match(terminal.notes, /^sublet: option .*\n {2}json, yaml, name or/);
    assert.deepEqual(
      terminal.notes.split('\n').filter((line) => line.length > 80),
      [],
    );
  });

  it('ends a process with 2 whose configuration is not there: starting it again would not help', async () => {
    const { code, notes } = await ran('master', '--config', '/nonexistent/master.json');
    assert.equal(code, 2);
    assert.equal(notes, 'sublet: /nonexistent/master.json: there is no such file\n');
  });

  it('shows all commands in its help, and ends with 0', async () => {
    const { code, out, notes } = await ran('--help');
    assert.equal(code, 0);
    assert.equal(notes, '');
    for (const { name, summary } of commands) {
      assert.match(out, new RegExp(`^  ${name} +${summary.replace(/[?]/g, '\\?')}$`, 'm'));
    }
    assert.equal((await ran('help')).out, out);
    assert.equal((await ran('help', 'overlay', 'add')).out, (await ran('overlay', 'add', '--help')).out);
  });

  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /Usage: sublet/],
    [['statsu'], /^sublet: unknown command 'statsu' \(Did you mean status\?\)\n {2}See: sublet --help\n$/],
    [
      ['status', '--mastr', 'x'],
      /^sublet: unknown option '--mastr' \(Did you mean --master\?\)\n {2}See: sublet status --help\n$/,
    ],
    [
      ['status', 'extra'],
      /^sublet: too many arguments for 'status': 1 given, 0 allowed\n {2}.*See: sublet status --help/s,
    ],
    [['status', '-o', 'xml'], /argument 'xml' is invalid: table, json, yaml or jsonpath=TEMPLATE is allowed/],
    [['agents', '-o', 'xml'], /is invalid: table, wide, json, yaml, name or jsonpath=TEMPLATE is allowed/],
    [['history', '-o', 'name'], /is invalid: table, wide, json, yaml or jsonpath=TEMPLATE is allowed/],
    [['status', '-o', 'json=x'], /argument 'json=x' is invalid/],
    [['status', '-o', 'jsonpath'], /is invalid: a template is needed, like \{\.agents\[\*\]\.nodeIp\}/],
    [['status', '-o', 'jsonpath={.a'], /is invalid: at character 4: \} is missing, or this is not a path/],
    [['-o', 'name', 'release', 'a'], /^sublet: -o name: this command prints table, json, yaml or jsonpath=TEMPLATE\n$/],
    [['agents', '--state', 'well'], /allowed choices are ok, failed, configuring, planned/],
    [['overlay'], /Usage: sublet overlay/],
    [['overlay', 'ad'], /unknown command 'ad' \(Did you mean add\?\)\n {2}See: sublet overlay --help/],
    [['overlay', 'add', 'x'], /^sublet: --subnet or --subnet6 is needed\n/],
    [['overlay', 'add', 'x', '--subnet', '9.0.0.0/8'], /--subnet and --prefix go together/],
    [
      ['overlay', 'grow', 'x', '--subnet', '9.0.0.1/8'],
      /--subnet: "9\.0\.0\.1\/8" has host bits: 9\.0\.0\.0\/8 is the network/,
    ],
    [['release'], /missing required argument 'ID'/],
    [['reserve', 'dcos', '9.0.0.0/24'], /--for and --for-node: give one of them/],
    [
      ['members', 'ad'],
      /unknown command 'ad': there is add, promote, replace, remove, move\n {2}See: sublet members --help/,
    ],
    [
      ['agent', 'statsu'],
      /unknown command 'statsu': there is status, check, ping, prune, renew, leave\n {2}See: sublet agent --help/,
    ],
    [['network', 'gorw'], /unknown command 'gorw': there is show, grow, set\n {2}See: sublet network --help/],
    [['adoption', 'ned'], /unknown command 'ned': there is end\n {2}See: sublet adoption --help/],
    [['members', 'add', 'm2'], /"m2": NAME=HOST:PORT is needed, like m2=10\.0\.0\.2:7071/],
    [['members', 'replace', 'm3'], /missing required argument 'NEW'/],
    [['members', 'replace', 'm3', 'm4', '--wait', '5'], /--wait: "5" is not a duration, like 5m/],
    [['lookup', '9.0.0'], /IP: "9\.0\.0" is not an IP address/],
    [['history', '--limit', '1001'], /--limit: 1001 is out of range: 1 to 1000 is allowed/],
    [['history', '--limit', '0'], /--limit: 0 is out of range: 1 to 1000 is allowed/],
    [['history', '--from', '-1'], /argument '-1' is invalid: a whole number/],
    [['agents', '--live', '--silent'], /--live and --silent exclude one another/],
    [['agents', '--master', 'nonsense'], /--master: "nonsense" has no port/],
    [['agents', '--timeout', '5'], /--timeout: "5" is not a duration from 1ms to 10m, like 5s/],
    [['config', 'check', '--kind', 'x', 'y'], /: allowed choices are master, agent/],
  ];
  for (const [args, message] of wrong) {
    it(`takes \`${['sublet', ...args].join(' ')}\` for wrong use`, async () => {
      const { code, out, notes } = await ran(...args);
      assert.match(notes, message);
      assert.equal(out, '');
      assert.equal(code, 2);
    });
  }

  it('says of a snapshot that is not there what it says of any file', async () => {
    const { code, notes } = await ran('snapshot', 'inspect', 'no-such.snapshot');
    assert.deepEqual([code, notes], [1, 'sublet: no-such.snapshot: there is no such file\n']);
  });

  it('ends with 3 when there is no master, naming each and what to do', async () => {
    // Port 9 is `discard`: nothing listens there.
    const { code, out, notes } = await ran('status', '--master', '127.0.0.1:9,[::1]:9');
    assert.equal(code, 3);
    assert.equal(out, '');
    assert.match(
      notes,
      /^sublet: no master reachable\n {2}127\.0\.0\.1:9: nothing listens there.*\n {2}\[::1\]:9: .*\n {2}Name the masters with --master/,
    );
  });
});

describe('the sublet process', () => {
  const spawned = (...args: readonly string[]) =>
    spawnSync(process.execPath, [main, ...args], {
      encoding: 'utf8',
      env: { ...process.env, SUBLET_MASTER: '127.0.0.1:9', NO_COLOR: '', FORCE_COLOR: '' },
    });

  it('ends with the exit code of the command', () => {
    assert.equal(spawned('version').status, 0);
    assert.equal(spawned('statsu').status, 2);
    assert.equal(spawned('status').status, 3);
  });

  it('ends quietly when its reader does', () => {
    const { stderr, status } = spawnSync('sh', ['-c', `'${process.execPath}' '${main}' --help | true`], {
      encoding: 'utf8',
    });
    assert.equal(stderr, '');
    assert.equal(status, 0);
  });

  it('uses no colours in a pipe', () => {
    // The escape character begins every colour.
    assert.equal(spawned('--help').stdout.includes('\u001b'), false);
    assert.equal(spawned('statsu').stderr.includes('\u001b'), false);
  });
});
