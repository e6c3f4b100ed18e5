/** Which files a path stands for: itself, or all `.txt` files below a folder. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

export type ScriptFile = {
  readonly path: string;
  /** Folder and file name, for reports. */
  readonly name: string;
};

/** Sorted by path. Undefined if `path` does not exist, or is a folder without any. */
export function scriptFiles(path: string): readonly ScriptFile[] | undefined {
  if (!existsSync(path)) {
    return undefined;
  }
  const paths = statSync(path).isDirectory()
    ? readdirSync(path, { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.txt'))
        .map((name) => join(path, name))
        .sort()
    : [path];
  if (paths.length === 0) {
    return undefined;
  }
  return paths.map((file) => ({ path: file, name: join(basename(dirname(file)), basename(file)) }));
}
