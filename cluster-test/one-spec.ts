/**
 * `npm run spec -- PATH [OPTION…]`: runs single specs. A path names the source (`src/raft/tracker/quorum.spec.ts`) or what is compiled from
 * it; everything else goes to mocha as it stands.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const top = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** The compiled spec of a path from the caller's folder or from the top; undefined: it is not a path of a spec. */
function compiled(path: string): string | undefined {
  if (path.startsWith('-') || !/\.spec(\.[jt]s)?$/.test(path)) return undefined;
  const name = relative(top, path).replace(/^dist\//, '');
  return join('dist', name.replace(/(\.[jt]s)?$/, '.js'));
}

process.chdir(top);
const args = process.argv.slice(2).map((argument) => compiled(argument) ?? argument);
const specs = args.filter((argument) => argument.endsWith('.spec.js'));
const missing = specs.filter((spec) => !existsSync(spec));
if (specs.length === 0 || missing.length > 0) {
  console.error(
    missing.length > 0
      ? `no such spec: ${missing.join(', ')}`
      : 'npm run spec -- PATH [OPTION…]\nexample: npm run spec -- src/raft/tracker/quorum.spec.ts -g joint',
  );
  process.exit(2);
}
const run = spawnSync('node_modules/.bin/mocha', ['--exit', ...args], { stdio: 'inherit' });
process.exitCode = run.status ?? 1;
