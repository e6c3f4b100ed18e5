/** Folders that can't be: what the processes and commands say that are given one, and with which exit code they end. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes } from '#cli/failure.js';
import { run } from '#cli/program.js';
import { RecordedTerminal } from '#cli/testing/recorded-terminal.js';
import { writeSnapshotFile } from '#storage/snapshots/snapshot-file.js';
import { meta } from '#storage/testing/sample.js';

describe('a folder that can’t be made', () => {
  const place = mkdtempSync(join(tmpdir(), 'sublet-no-folder-'));
  const file = join(place, 'file');
  const backup = join(place, 'backup');
  const any = '127.0.0.1:0';

  before(async () => {
    writeFileSync(file, '');
    const source = { meta: meta(3), chunks: async function* () {}, close: async () => {} };
    const saved = { savedBy: 'm1', savedAt: 0, version: 'spec' };
    const pieces: Uint8Array[] = [];
    for await (const piece of writeSnapshotFile(source, saved)) pieces.push(piece);
    writeFileSync(backup, Buffer.concat(pieces));
  });
  after(() => rmSync(place, { recursive: true }));

  const cases: readonly (readonly [string, readonly string[], string])[] = [
    [
      'master',
      ['master', '--listen', any, '--peer-listen', any, '--http-listen', any, '--data-dir'],
      'data_dir (--data-dir)',
    ],
    [
      'agent',
      ['agent', '--node-ip', '10.0.0.1', '--network', 'plan', '--http-listen', any, '--state-dir'],
      'state_dir (--state-dir)',
    ],
    ['snapshot restore', ['snapshot', 'restore', backup, '--unverified', '--data-dir'], '--data-dir'],
    ['dev', ['dev', '--data-dir'], ''],
  ];
  const nowhere = [[join(file, 'data'), `${file} is not a folder`]];
  if (process.platform === 'linux') {
    nowhere.push([
      '/proc/sublet',
      "/proc/sublet can't be made: its file system has no folders that can be made (ENOENT)",
    ]);
  }
  for (const [what, words, setting] of cases) {
    it(`is refused by sublet ${what}, with the setting, the folder and the reason`, async () => {
      for (const [folder = '', why = ''] of nowhere) {
        const terminal = new RecordedTerminal();
        assert.equal(await run([...words, folder], terminal), exitCodes.refused);
        assert.ok(
          terminal.notes.startsWith(`sublet: ${setting === '' ? '' : `${setting} `}${folder} can`),
          terminal.notes,
        );
        assert.ok(terminal.notes.includes(why), terminal.notes);
        assert.doesNotMatch(terminal.notes, /lstat|mkdir/);
      }
    });
  }
});
