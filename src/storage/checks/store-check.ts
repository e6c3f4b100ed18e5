/**
 * What a store must prove before it is used: that head, membership, log and state records agree with each
 * other, and that the database is not behind what the identity file says was durable.
 */
import { type HardState, noMember } from '#raft/log/entry.js';
import type { LoadedLog } from '#replica/ports/log-store.js';
import type { Membership } from '#replica/ports/membership.js';
import { scanLog } from '#storage/checks/log-scan.js';
import { scanState } from '#storage/checks/state-scan.js';
import { amnesia, corrupt, storeFailureReason } from '#storage/checks/store-failure.js';
import type { KeyValueView } from '#storage/key-value.js';
import { decodeHead, type Head } from '#storage/records/head-record.js';
import type { Identity } from '#storage/records/identity-slots.js';
import { headKey, membershipKey } from '#storage/records/keys.js';
import type { LogSums } from '#storage/records/log-sums.js';
import { decodeMembershipRecord } from '#storage/records/membership-record.js';
import { RecordSums, recordName } from '#storage/records/record-sums.js';

export type CheckedStore = {
  readonly loaded: LoadedLog;
  readonly logSums: LogSums;
  readonly recordSums: RecordSums;
};

/** undefined: nothing was ever written. @throws StoreError `corrupt` */
export async function readHead(view: KeyValueView, place: string): Promise<Head | undefined> {
  const bytes = await view.get(headKey);
  if (bytes === undefined) return undefined;
  try {
    return decodeHead(bytes);
  } catch (error) {
    throw corrupt(place, `its head record can't be read: ${storeFailureReason(error)}`, error);
  }
}

/** @throws StoreError `corrupt` when it is missing, damaged, or not the one that `head` was written with */
export async function readMembership(view: KeyValueView, head: Head, place: string): Promise<Membership> {
  const bytes = await view.get(membershipKey);
  if (bytes === undefined) throw corrupt(place, 'its membership record is missing');
  try {
    const { membership, sum } = decodeMembershipRecord(bytes);
    if (sum !== head.membershipSum) throw new RangeError('it is an older one');
    return membership;
  } catch (error) {
    throw corrupt(place, `its membership record can't be used: ${storeFailureReason(error)}`, error);
  }
}

/**
 * Reads everything once and checks it. The hard state is the newer of the database's and the identity file's:
 * after a crash between the two writes of a vote only the file has it.
 * @throws StoreError `corrupt`, `amnesia`
 */
export async function checkStore(
  view: KeyValueView,
  head: Head,
  identity: Identity,
  place: string,
): Promise<CheckedStore> {
  checkOwner(head, identity, place);
  const hardState = newerHardState(head, identity, place);
  const { entries, sums: logSums } = await scanLog(view, head, place);
  const recordSums = new RecordSums();
  if (head.generation === 0) {
    return { loaded: { hardState, entries, compacted: head.compacted, applied: undefined }, logSums, recordSums };
  }
  const membership = await readMembership(view, head, place);
  if (identity.clusterId !== undefined && identity.clusterId !== membership.clusterId) {
    throw corrupt(
      place,
      `its identity file is of cluster ${identity.clusterId}, its database of cluster ${membership.clusterId}`,
    );
  }
  for await (const batch of scanState(view, head, place)) {
    for (const { key, sum } of batch) recordSums.put(recordName(key), sum);
  }
  const loaded = { hardState, entries, compacted: head.compacted, applied: { ...head.applied, membership } };
  return { loaded, logSums, recordSums };
}

/** Same store, same member, and not behind. */
function checkOwner(head: Head, identity: Identity, place: string): void {
  if (identity.storeId !== head.storeId) {
    throw corrupt(place, `its identity file is of store ${identity.storeId}, its database of store ${head.storeId}`);
  }
  if (head.sequence < identity.sequence) {
    throw amnesia(
      place,
      `its database ends at write ${head.sequence} (log index ${head.lastIndex}), but write ${identity.sequence} ` +
        `(log index ${identity.lastIndex}) was durable: an old copy of it was put back, or its tail was cut off`,
    );
  }
  if (identity.memberId !== undefined && identity.memberId !== head.memberId) {
    throw corrupt(
      place,
      `its identity file is of member ${identity.memberId}, its database of member ${head.memberId}`,
    );
  }
}

function newerHardState(head: Head, identity: Identity, place: string): HardState | undefined {
  const stored = head.hardState;
  if (stored === undefined) {
    return identity.term === 0 ? undefined : { term: identity.term, vote: identity.vote, commit: head.compacted.index };
  }
  if (identity.term > stored.term) return { ...stored, term: identity.term, vote: identity.vote };
  if (identity.term < stored.term || identity.vote === noMember || identity.vote === stored.vote) return stored;
  if (stored.vote === noMember) return { ...stored, vote: identity.vote };
  throw corrupt(
    place,
    `in term ${stored.term} its identity file voted for member ${identity.vote}, its database for member ${stored.vote}`,
  );
}
