import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scriptFiles } from '#cluster-test/conformance/files.js';
import { type Kind, runFile } from '#cluster-test/conformance/suite.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const folder = process.env.SUBLET_CONFORMANCE ?? join(root, '..', 'shared', 'raft-conformance');
const files = scriptFiles(folder);

describe('the conformance files of the reference implementation', () => {
  if (files === undefined) {
    it('are not there, so they are not run (SUBLET_CONFORMANCE names their folder)', function () {
      this.skip();
    });
    return;
  }

  const commands = new Map<Kind, number>();
  for (const { path, name } of files) {
    it(name, () => {
      const outcome = runFile(path, readFileSync(path, 'utf8'));
      assert.ok(outcome.ok, outcome.ok ? '' : `line ${outcome.line}: ${outcome.report}`);
      commands.set(outcome.kind, (commands.get(outcome.kind) ?? 0) + outcome.commands);
    });
  }

  it('hold the commands that their README counts', function () {
    if (files.length !== 31) {
      this.skip();
    }
    assert.deepEqual(
      commands,
      new Map<Kind, number>([
        ['confchange', 55],
        ['interaction', 380],
        ['quorum', 88],
      ]),
    );
  });
});
