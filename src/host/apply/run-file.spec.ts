import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deleteRunFile, writeRunFile } from '#host/apply/run-file.js';
import { observeRunFiles } from '#host/observe/observe-run-files.js';

describe('a file of the run folder', () => {
  let top: string;
  let dir: string;

  beforeEach(() => {
    top = mkdtempSync(join(tmpdir(), 'sublet-run-'));
    dir = join(top, 'run', 'sublet');
  });
  afterEach(() => rmSync(top, { recursive: true }));

  it('is written whole, readable by all and writable by none, whatever the mask; nothing else stays', async () => {
    const mask = process.umask(0o077);
    try {
      await writeRunFile(join(dir, 'lease.json'), '{}\n');
    } finally {
      process.umask(mask);
    }
    assert.equal(statSync(dir).mode & 0o7777, 0o755);
    assert.equal(statSync(join(dir, 'lease.json')).mode & 0o7777, 0o644);
    await writeRunFile(join(dir, 'lease.json'), '{"a":1}\n');
    assert.deepEqual(readdirSync(dir), ['lease.json']);
    await deleteRunFile(join(dir, 'lease.json'));
    await deleteRunFile(join(dir, 'lease.json'));
    assert.deepEqual(readdirSync(dir), []);
  });

  it('takes the place of a link, and does not follow one that was laid for it', async () => {
    mkdirSync(dir, { recursive: true });
    const other = join(top, 'other');
    writeFileSync(other, 'mine');
    symlinkSync(other, join(dir, 'lease.json'));
    symlinkSync(other, join(dir, `.lease.json.${process.pid}`));
    await writeRunFile(join(dir, 'lease.json'), '{}\n');
    assert.equal(readFileSync(other, 'utf8'), 'mine');
    assert.deepEqual(readdirSync(dir), ['lease.json']);
  });

  it('is neither written nor read where other users may write', async () => {
    mkdirSync(dir, { recursive: true });
    chmodSync(dir, 0o777);
    await assert.rejects(writeRunFile(join(dir, 'lease.json'), '{}\n'), /other users may write in .*chmod go-w/);
    assert.ok(!existsSync(join(dir, 'lease.json')));
    const seen = await observeRunFiles({ runDir: dir });
    assert.match(seen.kind === 'unreadable' ? seen.error : '', /run_dir is not used: other users may write in/);
    const flannel = await observeRunFiles({ flannelFile: join(dir, 'subnet.env') });
    assert.match(flannel.kind === 'unreadable' ? flannel.error : '', /the folder of flannel_subnet_file is not used/);
  });

  it('is read with what stands beside it; a folder that is not there has none', async () => {
    assert.deepEqual(await observeRunFiles({ runDir: dir, flannelFile: join(top, 'none', 'subnet.env') }), {
      kind: 'read',
      value: new Map(),
    });
    mkdirSync(join(dir, 'folder.env'), { recursive: true });
    for (const name of ['lease.json', 'dcos.env', 'notes.txt']) writeFileSync(join(dir, name), name);
    const seen = await observeRunFiles({ runDir: dir });
    const expected = [
      [join(dir, 'dcos.env'), 'dcos.env'],
      [join(dir, 'folder.env'), ''],
      [join(dir, 'lease.json'), 'lease.json'],
    ] as const;
    assert.deepEqual(seen.kind === 'read' && [...seen.value].sort(), expected);
  });
});
