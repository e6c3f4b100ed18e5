import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { scriptFiles } from '#cluster-test/conformance/files.js';
import { type Kind, runFile } from '#cluster-test/conformance/suite.js';
import { condition, runsWith } from '#cluster-test/requirement.js';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const named = process.env.SUBLET_CONFORMANCE;
const files = scriptFiles(named ?? join(root, '..', 'shared', 'raft-conformance'));
/** How many files the set has whose README counts their commands. */
const countedFiles = 31;

describe('the conformance files of the reference implementation', () => {
  if (files === undefined) {
    it('all pass', function () {
      assert.equal(named, undefined, `SUBLET_CONFORMANCE names ${named}, where there are no such files`);
      runsWith(
        this,
        condition(false, 'the files are not beside this checkout (SUBLET_CONFORMANCE names their folder)'),
      );
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
    runsWith(this, condition(files.length === countedFiles, `${files.length} files, not the ${countedFiles} counted`));
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
