import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes, Failure } from '#cli/failure.js';
import { readConfigFile } from '#cli/local/config-file.js';
import { requires, root } from '#cluster-test/requirement.js';

/** A user that every system has, without rights, like a service's own user. */
const nobody = 65_534;
const groupOfRoot = process.getegid?.() ?? 0;

describe('a configuration that the user of a service may not read', () => {
  let folder = '';
  let file = '';

  // Only root can take another user's id for a moment.
  before(function () {
    requires(this, root);
  });
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-unreadable-'));
    chmodSync(folder, 0o755);
    mkdirSync(join(folder, 'etc'));
    // Whatever umask this process has.
    chmodSync(join(folder, 'etc'), 0o755);
    file = join(folder, 'etc', 'master.json');
    writeFileSync(file, '{}', { mode: 0o600 });
  });
  afterEach(() => {
    rmSync(folder, { recursive: true, force: true });
  });

  /** What a process of that user would fail with. */
  function failure(path: string): Failure {
    const groups = process.getgroups?.() ?? [];
    process.setgroups?.([]);
    process.setegid?.(nobody);
    process.seteuid?.(nobody);
    try {
      readConfigFile(path, exitCodes.usage);
    } catch (error) {
      if (error instanceof Failure) return error;
      throw error;
    } finally {
      process.seteuid?.(0);
      process.setegid?.(groupOfRoot);
      process.setgroups?.(groups);
    }
    return assert.fail('it could be read');
  }

  it('is named, with the user that may not read it, its owner, and what gives the user access', () => {
    const { message, hints, exitCode } = failure(file);
    assert.equal(message, `${file}: user nobody may not read it (root’s, mode 0600)`);
    assert.deepEqual(hints, [`Allow that user, for example: chmod o+r ${file}`]);
    assert.equal(exitCode, exitCodes.usage);
    chmodSync(file, 0o604);
    assert.throws(() => failure(file), /it could be read/);
  });

  it('may lie in a folder that the user may not enter', () => {
    const etc = join(folder, 'etc');
    chmodSync(file, 0o644);
    chmodSync(etc, 0o700);
    const { message, hints } = failure(file);
    assert.equal(message, `${file}: user nobody may not enter its folder ${etc} (root’s, mode 0700)`);
    assert.deepEqual(hints, [`Allow that user, for example: chmod o+x ${etc}`]);
    chmodSync(etc, 0o701);
    assert.throws(() => failure(file), /it could be read/);
  });

  it('may be its own, all the same', () => {
    chownSync(file, nobody, nobody);
    chmodSync(file, 0o044);
    const { message, hints } = failure(file);
    assert.match(message, /user nobody may not read it \(uid 65534’s, mode 0044\)$/);
    assert.deepEqual(hints, [`Allow that user, for example: chmod u+r ${file}`]);
  });

  it('may lie behind a link: the folder that is closed is the one that it leads to', () => {
    const etc = join(folder, 'etc');
    const link = join(folder, 'link.json');
    symlinkSync(join('etc', 'master.json'), link);
    chmodSync(etc, 0o700);
    assert.deepEqual(failure(link).hints, [`Allow that user, for example: chmod o+x ${etc}`]);
    chmodSync(etc, 0o755);
    assert.deepEqual(failure(link).hints, [`Allow that user, for example: chmod o+r ${link}`]);
  });

  it('may be its group’s', () => {
    chownSync(file, 0, nobody);
    assert.deepEqual(failure(file).hints, [`Allow that user, for example: chmod g+r ${file}`]);
  });
});
