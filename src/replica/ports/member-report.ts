import { formatSize } from '#text/size.js';
/**
 * What a member says of itself to its peers: where it serves clients, how much room its disk has, and what it can
 * apply. Sent when something changes, with each new connection, and again and again; the newest counts.
 */

export type MemberReport = {
  /** HOST:PORT at which it serves the clients of what is replicated; empty: not known. */
  readonly serves: string;
  readonly space: ReportedSpace;
  /** Kinds of commands that its state machine knows; see `CommandKinds`. */
  readonly commandKinds: readonly string[];
  /** Why it stops for good, in its last report; undefined: it goes on. */
  readonly ended?: string | undefined;
};

/** Characters of `ended`. */
export const endedLengthMax = 1_000;

export type ReportedSpace = {
  /** undefined: its system does not say. */
  readonly freeBytes: number | undefined;
  /** So much has to be free for all to be well. */
  readonly neededBytes: number;
  /** Its store asks that proposals be refused. */
  readonly low: boolean;
};

/** Like `3.1 MiB free, 80.0 MiB needed`. */
export function spaceText({ freeBytes, neededBytes }: Omit<ReportedSpace, 'low'>): string {
  const free = freeBytes === undefined ? 'does not say how much is' : formatSize(freeBytes);
  return `${free} free, ${formatSize(neededBytes)} needed`;
}
