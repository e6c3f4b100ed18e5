/**
 * Why a file can't be read, in words. Where this user may not, the error names the user, the owner of the file, and
 * what would allow it: a service has a user of its own, often another one than the person that wrote the file.
 */
import { lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { dirname, parse, resolve, sep } from 'node:path';
import { errorCode } from '#errors/unknown-error.js';

export type Unreadable = { readonly why: string; readonly hints: readonly string[] };

/** Undefined for what is no answer of the file system, or a rare one. */
export function whyUnreadable(file: string, error: unknown): Unreadable | undefined {
  switch (errorCode(error)) {
    case 'ENOENT':
      return { why: 'there is no such file', hints: [] };
    case 'EISDIR':
      return { why: 'it is a folder', hints: [] };
    case 'EACCES':
      return barred(file);
    default:
      return undefined;
  }
}

type Right = { readonly words: string; readonly letter: 'r' | 'x'; readonly bit: number };

const reading: Right = { words: 'may not read it', letter: 'r', bit: 4 };
const entering: Right = { words: 'may not enter its folder', letter: 'x', bit: 1 };

function barred(file: string): Unreadable {
  const folder = closedFolder(file);
  const [path, right] = folder === undefined ? [file, reading] : [folder, entering];
  const head = `${whoami()} ${right.words}`;
  let stats: Stats;
  try {
    stats = statSync(path);
  } catch {
    // It has gone, or its links go round in a circle: that is all that can be seen from here.
    return { why: head, hints: [] };
  }
  const { kind, bits } = classOf(stats);
  const owner = stats.uid === 0 ? 'root' : `uid ${stats.uid}`;
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  const why = `${head}${folder === undefined ? '' : ` ${folder}`} (${owner}’s, mode ${mode})`;
  const allowed = (bits & right.bit) !== 0;
  const hint = allowed
    ? 'The mode allows it: look for an ACL, or a rule of SELinux or AppArmor.'
    : `Allow that user, for example: chmod ${kind}+${right.letter} ${path}`;
  return { why, hints: [hint] };
}

/** The first folder on the way to the file that this user may not pass; undefined: it gets as far as the file. */
function closedFolder(file: string, linksMax = 40): string | undefined {
  const whole = resolve(file);
  const { root } = parse(whole);
  let path = root;
  for (const name of whole.slice(root.length).split(sep)) {
    path = resolve(path, name);
    if (present(path, statSync)) continue;
    // A link that is seen, but not what it leads to: on along the link.
    if (!present(path, lstatSync)) return dirname(path);
    return linksMax === 0
      ? undefined
      : closedFolder(resolve(dirname(path), readlinkSync(path)) + whole.slice(path.length), linksMax - 1);
  }
  return undefined;
}

function present(path: string, look: (path: string) => unknown): boolean {
  try {
    look(path);
    return true;
  } catch {
    return false;
  }
}

/** Which three bits of the mode are this user's. */
function classOf({ uid, gid, mode }: Stats): { readonly kind: 'u' | 'g' | 'o'; readonly bits: number } {
  if (uid === process.geteuid?.()) return { kind: 'u', bits: mode >> 6 };
  const groups = [process.getegid?.(), ...(process.getgroups?.() ?? [])];
  return groups.includes(gid) ? { kind: 'g', bits: mode >> 3 } : { kind: 'o', bits: mode };
}

function whoami(): string {
  try {
    return `user ${userInfo().username}`;
  } catch {
    // A user without an entry, as in a container.
    return `uid ${process.geteuid?.() ?? '?'}`;
  }
}
