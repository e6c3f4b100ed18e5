/** What the store says when it can't go on: the error with its code, and the way out that fits. */
import { StoreError } from '#replica/ports/log-store.js';

/** The way out when what this member promised is lost: nothing short of a new member is safe. */
export function rejoinAdvice(place: string): string {
  return (
    'A member that lost part of what it promised must not vote again. Let it rejoin as a new member: remove it ' +
    `from the cluster by its name (sublet members remove NAME), move ${place} away, start with an empty directory, and add it ` +
    '(sublet members add). If it was the only member, restore a saved snapshot instead.'
  );
}

export function corrupt(place: string, what: string, cause?: unknown): StoreError {
  return new StoreError('corrupt', `The store in ${place} is damaged: ${what}. ${rejoinAdvice(place)}`, { cause });
}

export function amnesia(place: string, what: string): StoreError {
  return new StoreError('amnesia', `The store in ${place} has forgotten writes: ${what}. ${rejoinAdvice(place)}`);
}

/** Any failure of `action` as a `StoreError`. A full disk has a code of its own, since it needs another remedy. */
export function storeError(place: string, action: string, error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  const reason = storeFailureReason(error);
  if (isDiskFull(error)) {
    return new StoreError(
      'full',
      `No space left while the store in ${place} was to ${action} (${reason}). Nothing acknowledged is lost. Free some ` +
        'space on its file system, or enlarge it, then start again.',
      { cause: error },
    );
  }
  if (isOutOfDescriptors(error)) {
    return new StoreError(
      'io',
      `The store in ${place} could not ${action}, since no more files can be opened (${reason}). The disk is not the cause. ` +
        'Raise the limit of open files (RLIMIT_NOFILE: ulimit -n, or LimitNOFILE in the unit), then start again.',
      { cause: error },
    );
  }
  if (codesOf(error).includes('LEVEL_CORRUPTION')) {
    return corrupt(place, `LevelDB could not ${action}: ${reason}`, error);
  }
  return new StoreError(
    'io',
    `The store in ${place} could not ${action}: ${reason}. Check the disk and who may read and ` +
      'write there, then start again: whether anything is lost is found out then.',
    { cause: error },
  );
}

/** LevelDB hands the system's words through, not its number. */
export function isDiskFull(error: unknown): boolean {
  return (
    codesOf(error).some((code) => code === 'ENOSPC' || code === 'EDQUOT') ||
    /No space left on device|Disk quota exceeded/.test(storeFailureReason(error))
  );
}

/** Of the process, or of the whole system. LevelDB hands the system's words through. */
function isOutOfDescriptors(error: unknown): boolean {
  return (
    codesOf(error).some((code) => code === 'EMFILE' || code === 'ENFILE') ||
    /Too many open files/.test(storeFailureReason(error))
  );
}

/** The message of `error` and of what caused it. */
export function storeFailureReason(error: unknown): string {
  const messages = chainOf(error).map((one) => (one instanceof Error ? one.message : String(one)));
  return [...new Set(messages)].join(': ');
}

function codesOf(error: unknown): readonly string[] {
  return chainOf(error).flatMap((one) => (one instanceof Error && 'code' in one ? [String(one.code)] : []));
}

const causesMax = 8;

function chainOf(error: unknown): readonly unknown[] {
  const chain: unknown[] = [];
  let next = error;
  while (next !== undefined && next !== null && chain.length < causesMax) {
    chain.push(next);
    next = next instanceof Error ? next.cause : undefined;
  }
  return chain;
}
