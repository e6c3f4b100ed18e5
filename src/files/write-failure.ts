/** Says which file could not be written, where and why: the system's own words for a full disk name no path. */
import { dirname } from 'node:path';
import { errorCode } from '#errors/unknown-error.js';

/** A file could not be written. `code` is the system's. */
export class WriteError extends Error {
  override readonly name = 'WriteError';
  readonly code: string;

  constructor(path: string, cause: unknown) {
    const code = errorCode(cause);
    super(`${path} can't be written: ${reasonOf(path, code, cause)}`, { cause });
    this.code = code;
  }
}

function reasonOf(path: string, code: string, cause: unknown): string {
  const folder = dirname(path);
  switch (code) {
    case 'ENOSPC':
      return `the disk of ${folder} is full (ENOSPC): free space there`;
    case 'EDQUOT':
      return `the quota of ${folder} is used up (EDQUOT): free space there`;
    case 'ENOENT':
    case 'ENOTDIR':
      return `there is no folder ${folder}`;
    case 'EROFS':
      return `the file system of ${folder} is read-only (EROFS): mount it writable`;
    case 'EACCES':
    case 'EPERM':
      return `this user may not write in ${folder} (${code})`;
    default:
      return cause instanceof Error ? cause.message : String(cause);
  }
}
