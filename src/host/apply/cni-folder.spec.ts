import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requires, root } from '#cluster-test/requirement.js';
import { writeCniFile } from '#host/apply/cni-folder.js';
import { observeCni } from '#host/observe/observe-cni.js';

describe('row 56: the CNI folder', () => {
  let place: string;
  let dir: string;
  beforeEach(() => {
    place = mkdtempSync(join(tmpdir(), 'sublet-cni-'));
    dir = join(place, 'net.d');
  });
  afterEach(() => rmSync(place, { recursive: true }));

  for (const mode of [0o777, 0o775, 0o1777]) {
    it(`is not used with mode ${mode.toString(8)}: others may put files there`, async () => {
      mkdirSync(dir);
      chmodSync(dir, mode);
      const observed = await observeCni(dir);
      assert.equal(observed.kind, 'unreadable');
      assert.match(
        observed.kind === 'unreadable' ? observed.error : '',
        /^cni_dir is not used: .*"chmod go-w \/.*net\.d"$/,
      );
    });
  }

  it('is read with mode 755', async () => {
    mkdirSync(dir);
    chmodSync(dir, 0o755);
    assert.equal((await observeCni(dir)).kind, 'read');
  });

  it('is written past a link that was laid where the new file is made', async () => {
    const target = join(place, 'precious');
    writeFileSync(target, 'precious');
    const staging = join(place, '.net.d.sublet');
    mkdirSync(staging, { mode: 0o755 });
    symlinkSync(target, join(staging, `dcos.conflist.${process.pid}`));
    await writeCniFile(dir, 'dcos.conflist', 'network');
    assert.equal(readFileSync(target, 'utf8'), 'precious');
    assert.equal(readFileSync(join(dir, 'dcos.conflist'), 'utf8'), 'network');
  });

  it('is not written by way of a folder that is another user’s, or a link of one', async function () {
    requires(this, root);
    const nobody = 65_534;
    const staging = join(place, '.net.d.sublet');
    mkdirSync(staging);
    lchownSync(staging, nobody, nobody);
    await assert.rejects(writeCniFile(dir, 'dcos.conflist', 'network'), /\.net\.d\.sublet is another user's/);
    rmSync(staging, { recursive: true });
    mkdirSync(join(place, 'theirs'));
    symlinkSync(join(place, 'theirs'), staging);
    lchownSync(staging, nobody, nobody);
    await assert.rejects(writeCniFile(dir, 'dcos.conflist', 'network'), /is another user's/);
    assert.equal(existsSync(join(dir, 'dcos.conflist')), false);
  });
});
