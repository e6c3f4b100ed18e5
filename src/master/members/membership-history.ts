/**
 * Records membership changes in the history. A change and its entry are two steps of the log, so one can be made
 * without the other: the leader proposes the entry once the change is made, and if that fails, the change stands, is
 * answered as made, and this master's own log tells what the history lacks.
 */

import { RefusedError } from '#api/refusal.js';
import { assertNever } from '#errors/invariant.js';
import type { MasterChange, MasterName } from '#ipam/commands/command.js';
import type { MasterLog } from '#master/master-log.js';
import type { MemberAccountOptions } from '#master/members/member-account.js';
import { origin } from '#master/services/operator-parse.js';
import type { PlanClient } from '#master/services/plan-client.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { formatDuration } from '#text/duration.js';
import type { Caller } from '#tls/caller.js';

export type MembershipHistoryOptions = MemberAccountOptions & {
  readonly plan: Pick<PlanClient, 'change'>;
  readonly logger: MasterLog;
};

/** Election timeouts that the entry may take: a leader without a quorum steps down within two. */
const entryTimeouts = 3;

/**
 * Carries out `make`, all steps of one change that `caller` asked for, and then has the history tell of it, once.
 * @throws what `make` throws
 */
export async function recorded(
  options: MembershipHistoryOptions,
  caller: Caller,
  change: MasterChange,
  make: () => Promise<void>,
): Promise<void> {
  const { plan, wallClock, logger } = options;
  const asked = origin(caller, 0, wallClock());
  try {
    await make();
  } catch (error) {
    // It may be made later without this master; a repeated call gets the outcome.
    if (error instanceof ProposeError && error.code === 'unknown-outcome') {
      const what = `the history does not tell whether ${asked.by} ${words(change)}`;
      logger.warn({ code: error.code }, `${what}: ${error.message}`);
    }
    throw error;
  }
  const lacking = `the history does not tell that ${asked.by} ${words(change)}`;
  try {
    const entry = plan.change({ ...asked, wallTime: wallClock(), kind: 'record-membership', change });
    if (!(await inTime(options, entry))) {
      const withinMs = entryTimeouts * options.electionTimeoutMs;
      logger.warn(
        { code: 'timeout' },
        `${lacking}, or does so late: the entry took longer than ${formatDuration(withinMs)}`,
      );
    }
  } catch (error) {
    if (!(error instanceof ProposeError || error instanceof RefusedError)) throw error;
    logger.warn({ code: error.code }, `${lacking}: ${error.message}`);
  }
}

/** False when it took too long. @throws what `entry` is rejected with in time */
async function inTime(
  { clock, electionTimeoutMs }: MembershipHistoryOptions,
  entry: Promise<unknown>,
): Promise<boolean> {
  let cancel = (): void => undefined;
  const tooLate = new Promise<false>((resolve) => {
    cancel = clock.after(entryTimeouts * electionTimeoutMs, () => resolve(false));
  });
  try {
    return await Promise.race([entry.then(() => true), tooLate]);
  } finally {
    cancel();
  }
}

function words(change: MasterChange): string {
  const { kind, master } = change;
  switch (kind) {
    case 'add':
      return `added ${placed(master)}`;
    case 'promote':
      return `promoted ${placed(master)}`;
    case 'remove':
      return `removed ${placed(master)}`;
    case 'replace':
      return `replaced ${placed(master)} by ${placed(change.by)}`;
    default:
      return assertNever(kind);
  }
}

function placed({ name, peer }: MasterName): string {
  return `${name} at ${peer}`;
}
