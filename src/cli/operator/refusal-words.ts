/** What masters answer when they say no, and what a client meets when there is none, as failures of a command. */

import { status } from '@grpc/grpc-js';
import { reasonOf } from '#api/error-info.js';
import { detailsOf, isServiceError, NoMasterError } from '#api/master-client.js';
import type { RefusalReason } from '#api/refusal.js';
import { exitCodes, Failure } from '#cli/failure.js';
import { formatTime } from '#text/duration.js';

const hints: Partial<Record<status, readonly string[]>> = {
  [status.UNKNOWN]: ['It may or may not have happened: look with `sublet history` before asking again.'],
  [status.DEADLINE_EXCEEDED]: ['It may or may not have happened: look with `sublet history` before asking again.'],
  [status.UNAVAILABLE]: ['Ask again in a moment. `sublet status` shows the leader.'],
  [status.UNIMPLEMENTED]: ['That master is of another version: `sublet status` tells which.'],
  [status.INTERNAL]: ['That is a bug. The log of the master has the details.'],
};

/** Where one code has several reasons. */
const hintsByReason: Partial<Record<RefusalReason, readonly string[]>> = {
  overloaded: ['Nothing happened. Ask again in a moment.'],
  'no-space': ['Nothing happened. A master is short of disk space: `sublet status` tells which, its log how much.'],
  'wrong-port': ['Name the address that the masters serve clients at (their setting `listen`, port 7070 by default).'],
  'resource-exhausted': ['`sublet overlays` tells what is used; `sublet overlay grow` and `sublet release` make room.'],
};

/** The failure that this error is to a person; any other error is thrown as it is. */
export function masterFailure(error: unknown): Failure {
  if (error instanceof NoMasterError) {
    const attempts = error.attempts.map(({ master, reason, explained }) =>
      explained === true ? reason : `${master}: ${shortReason(reason)}`,
    );
    const { attempts: all } = error;
    const unreached = all.every(({ reason, explained }) => explained === true || neverSent(reason));
    if (all.every(({ explained }) => explained === true)) {
      return new Failure(exitCodes.noMaster, ['no master reachable', ...all.map(({ reason }) => reason)].join('\n  '));
    }
    const advice = unreached
      ? 'Name the masters with --master HOST:PORT[,…] or SUBLET_MASTER; `sublet dev` starts a cluster on this machine.'
      : 'Ask again in a moment. `sublet status` shows the leader.';
    const what = unreached ? 'no master reachable' : 'no master can answer now';
    // A server that speaks TLS closes a connection that does not, without a word, and the other way round.
    const tls = error.attempts.some(({ reason }) => /Failed to connect|wrong version number/i.test(reason))
      ? [
          'Masters with TLS need --tls DIR or SUBLET_TLS, the folder with your certificate; masters without it need neither.',
        ]
      : [];
    return new Failure(exitCodes.noMaster, [what, ...attempts].join('\n  '), [advice, ...tls]);
  }
  if (isServiceError(error)) {
    const code: status = error.code;
    const reason = reasonOf(error);
    const advice = (reason && hintsByReason[reason]) ?? hints[code] ?? [];
    return new Failure(exitCodes.refused, `${detailsOf(error)} [${status[code]}]`, advice);
  }
  throw error;
}

function neverSent(reason: string): boolean {
  return /ECONNREFUSED|No connection established|Name resolution failed|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(
    reason,
  );
}

/** What grpc-js says of a connection, without what only it understands. */
export function shortReason(reason: string): string {
  if (/connect ENOENT/.test(reason)) {
    return 'there is no such socket: a master with tls makes it, admin.sock in its data_dir';
  }
  if (/ECONNREFUSED/.test(reason)) return 'nothing listens there (connection refused)';
  if (/Name resolution failed/.test(reason)) return 'the host name is not known';
  if (/wrong version number/.test(reason)) return 'what listens there does not speak TLS';
  const late = /^Deadline exceeded after ([0-9.]+)s/.exec(reason);
  if (late !== null) return `no answer within ${formatTime(Number(late[1]) * 1_000)}`;
  const [, last] = /Last error: (.*?)(?: \(\d{4}-[\d-]+T[\d:.]+Z\))?(?:\. Resolution note.*)?$/.exec(reason) ?? [];
  return last ?? reason;
}
