/** The Debian package for this machine, built quickly: not compressed, from what is built already. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { command, type Requirement } from '#cluster-test/requirement.js';

export const top = fileURLToPath(new URL('../../../', import.meta.url));

export const packageTools: readonly Requirement[] = ['npm', 'dpkg-deb'].map(command);

/** Builds it into `folder`. Returns the file. */
export function buildPackage(folder: string): string {
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  execFileSync(
    join(top, 'deploy/package/build.sh'),
    ['--built', '--compression', 'none', '--arch', arch, '--out', folder],
    // A tree without its history has no commit to take the time of.
    { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SOURCE_DATE_EPOCH: '1767225600' } },
  );
  const [file] = readdirSync(folder).filter((name) => name.endsWith(`_${arch}.deb`));
  if (file === undefined) throw new Error(`no package in ${folder}`);
  return join(folder, file);
}

/** The version of `laterPackage`. */
export const upgraded = '0.1.99';

/** The package as a later release: another version, in the control file and in the program. */
export function laterPackage(file: string, to: string): void {
  const root = mkdtempSync(join(dirname(to), 'later-'));
  execFileSync('dpkg-deb', ['--raw-extract', file, root]);
  const change = (path: string, from: RegExp, text: string): void =>
    writeFileSync(join(root, path), readFileSync(join(root, path), 'utf8').replace(from, text));
  change('DEBIAN/control', /^Version: .*$/m, `Version: ${upgraded}-1`);
  change('usr/lib/sublet/package.json', /"version": "[^"]*"/, `"version": "${upgraded}"`);
  execFileSync('dpkg-deb', ['--root-owner-group', '-Znone', '--build', root, to]);
  rmSync(root, { recursive: true });
}
