import assert from 'node:assert/strict';
import { ToolMissingError } from '#host/tools/runner.js';
import { ShellRunner } from '#host/tools/shell-runner.js';

describe('a shell runner', () => {
  let shell = new ShellRunner();
  beforeEach(() => {
    shell = new ShellRunner();
  });
  afterEach(() => shell.close());

  it('gives output, errors and exit code of each command, whatever characters are in it', async () => {
    assert.deepEqual(await shell.run('printf', ['%s|', 'a b', "it's", '$HOME', '"', '*', 'ü\n']), {
      code: 0,
      stdout: 'a b|it\'s|$HOME|"|*|ü\n|',
      stderr: '',
    });
    assert.deepEqual(await shell.run('sh', ['-c', 'echo out; echo wrong >&2; exit 3']), {
      code: 3,
      stdout: 'out\n',
      stderr: 'wrong\n',
    });
    assert.deepEqual(await shell.run('true', []), { code: 0, stdout: '', stderr: '' });
  });

  it('runs what is asked at once one after the other, and long output whole', async () => {
    const sizes = [200_000, 3, 70_000];
    const results = await Promise.all(sizes.map((size) => shell.run('head', ['-c', String(size), '/dev/zero'])));
    assert.deepEqual(
      results.map(({ stdout }) => stdout.length),
      sizes,
    );
  });

  it('says which tool is missing, and goes on', async () => {
    await assert.rejects(shell.run('no-such-tool', []), ToolMissingError);
    assert.equal((await shell.run('echo', ['on'])).stdout, 'on\n');
  });

  it('ends a command that takes too long, and goes on with a new shell', async () => {
    assert.equal((await shell.run('sleep', ['20'], { timeoutMs: 100 })).code, null);
    assert.equal((await shell.run('echo', ['on'])).stdout, 'on\n');
  });

  it('gives a command an empty standard input', async () => {
    assert.equal((await shell.run('cat', [])).stdout, '');
    assert.equal((await shell.run('echo', ['on'])).stdout, 'on\n');
  });
});
