/** The Debian package for this machine, built quickly: not compressed, from what is built already. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
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
