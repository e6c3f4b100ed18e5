/** What a replica tells of itself, as lines of the log; and what ends the process. */

import { ExpectedError } from '#errors/expected-error.js';
import { assertNever } from '#errors/invariant.js';
import type { MasterLog } from '#master/master-log.js';
import type { ReplicaEvent } from '#replica/replica-event.js';
import { formatTime } from '#text/duration.js';

/** This master was removed from the cluster; the message says how it comes back. */
export class RemovedError extends ExpectedError {
  override readonly name = 'RemovedError';
}

export function reportReplicaEvent(event: ReplicaEvent, log: MasterLog, fail: (error: Error) => void): void {
  switch (event.kind) {
    case 'fatal':
      fail(event.error);
      return;
    case 'removed':
      fail(new RemovedError(event.message));
      return;
    case 'bootstrap-problem': {
      const { code, peer, message } = event.problem;
      // Of all that keeps a member waiting, a lost disk alone can not come right by itself.
      if (code === 'wiped') fail(new Error(message));
      else if (code === 'unreachable' || code === 'not-ready') log.info({ code, peer }, `waiting: ${message}`);
      else log.error({ code, peer }, message);
      return;
    }
    case 'bootstrapped': {
      const { clusterId, members } = event.membership;
      const names = members.map(({ name }) => name);
      log.info({ clusterId, members: names, how: event.how }, `the cluster ${clusterId} exists: ${names.join(', ')}`);
      return;
    }
    case 'membership':
      log.info({ members: event.membership.members.map(({ name }) => name) }, 'the membership has changed');
      return;
    case 'disk-hangs':
      log.warn({ forMs: event.forMs }, `the disk has not finished a write for ${formatTime(event.forMs)}`);
      return;
    case 'disk-answers':
      log.warn({ afterMs: event.afterMs }, `the disk answers again, after ${formatTime(event.afterMs)}`);
      return;
    case 'space-low': {
      const { problem, handsOverTo } = event;
      const way =
        handsOverTo === undefined ? '' : `; leadership is handed over to member ${handsOverTo}, which has room`;
      log.warn({ handsOverTo }, `the disk is nearly full: ${problem}${way}`);
      return;
    }
    case 'no-space':
      log.error({}, `changes are refused: ${event.account}`);
      return;
    case 'space-back':
      log.info({}, 'there is room on the disk again');
      return;
    case 'paused':
      log.warn({ forMs: event.forMs }, `this process was paused for ${formatTime(event.forMs)}`);
      return;
    case 'snapshot-sent':
      log.info({ to: event.to, index: event.index }, 'a snapshot was sent to a member');
      return;
    case 'snapshot-failed':
      log.warn({ to: event.to, err: event.error }, `a snapshot to a member failed: ${event.error.message}`);
      return;
    case 'snapshot-waits':
      log.info({ to: event.to }, 'a member needs a snapshot, and waits until others have theirs');
      return;
    case 'snapshot-installed':
      log.info({ from: event.from, index: event.index }, 'the state was replaced by a snapshot');
      return;
    case 'refused-by-peer':
      log.error({ peer: event.peer }, `${event.peer} refuses this member: ${event.reason}`);
      return;
    case 'peer-rewound':
      log.error({ peer: event.peer }, `${event.message}; this master does not hear it`);
      return;
    case 'message-refused':
      log.debug({ from: event.from }, `a message was dropped: ${event.reason}`);
      return;
    default:
      assertNever(event);
  }
}
