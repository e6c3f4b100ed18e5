import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

const program = `
  import { reportingMocha } from '#cluster-test/test-report.js';
  const mocha = reportingMocha(false);
  mocha.suite.emit('pre-require', globalThis, '', mocha);
  it('passes', () => {});
  it('fails', () => { throw new Error('as it should'); });
  mocha.run();
`;

describe('the report of the tests', () => {
  it('has no escape codes when it is not written to a terminal, in CI either', () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: import.meta.dirname,
      env: { ...process.env, CI: '1' },
      encoding: 'utf8',
    });
    assert.match(stdout, /✔ passes[\s\S]*1 failing/, stderr);
    assert.ok(!stdout.includes('\x1b'), stdout);
  });
});
