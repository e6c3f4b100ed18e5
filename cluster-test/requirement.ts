/**
 * What a test needs of the machine. A test whose need is not met is skipped, and the reason is listed at the
 * end of the run; with SUBLET_TEST_ALL=1 (as continuous integration sets it) it fails instead.
 */
import {
  accessSync,
  appendFileSync,
  constants,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import Mocha, { type Context } from 'mocha';

/** A need, and undefined if it is met, or else what is missing. */
export type Requirement = { readonly missing: string | undefined };

type Skipped = { readonly title: string; readonly reason: string };

/** Names the file that each skipped test is noted in, a line of JSON each: specs run in processes of their own. */
const listVariable = 'SUBLET_SKIPPED_LIST';

/** From now on skipped tests are noted. Gives a function that reads what was noted, and removes the list. */
export function noteSkipped(): () => readonly Skipped[] {
  const folder = mkdtempSync(join(tmpdir(), 'sublet-skipped-'));
  const list = join(folder, 'list');
  writeFileSync(list, '');
  process.env[listVariable] = list;
  return () => {
    const lines = readFileSync(list, 'utf8').split('\n').filter(Boolean);
    rmSync(folder, { recursive: true });
    return lines.map((line) => JSON.parse(line) as Skipped);
  };
}

/** Call first in a test or a `before` hook: `require(this, root, command('ipset'))`. */
export function requires(context: Context, ...requirements: readonly Requirement[]): void {
  const reason = requirements.flatMap(({ missing }) => missing ?? []).join('; ');
  if (reason === '') return;
  if (process.env.SUBLET_TEST_ALL === '1') throw new Error(`SUBLET_TEST_ALL=1, but ${reason}`);
  skip(context, reason);
}

/**
 * As `requires`, for what no machine can be made to have: files that may lie beside a checkout, and do not belong to
 * it. Skipped with SUBLET_TEST_ALL=1, too, and listed.
 */
export function runsWith(context: Context, ...requirements: readonly Requirement[]): void {
  const reason = requirements.flatMap(({ missing }) => missing ?? []).join('; ');
  if (reason !== '') skip(context, reason);
}

function skip(context: Context, reason: string): void {
  const { test, currentTest } = context;
  // A hook's `test` is the hook itself, which stands for its suite.
  const title =
    test instanceof Mocha.Test ? test.fullTitle() : (currentTest?.fullTitle() ?? test?.parent?.fullTitle() ?? '');
  const list = process.env[listVariable];
  if (list !== undefined) appendFileSync(list, `${JSON.stringify({ title, reason })}\n`);
  context.skip();
}

/** Root, for namespaces, mounts and devices. */
export const root: Requirement = { missing: process.getuid?.() === 0 ? undefined : 'not root' };

/** A program on PATH, or at an absolute path. */
export function command(name: string): Requirement {
  const folders = name.startsWith('/') ? [''] : (process.env.PATH ?? '').split(delimiter);
  return { missing: folders.some((folder) => executable(join(folder, name))) ? undefined : `no ${name}` };
}

/** A file or folder. */
export function present(path: string): Requirement {
  return { missing: existsSync(path) ? undefined : `no ${path}` };
}

/** Anything else. */
export function condition(met: boolean, otherwise: string): Requirement {
  return { missing: met ? undefined : otherwise };
}

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false; // The only question was whether it can be run.
  }
}
