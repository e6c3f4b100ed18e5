/**
 * Says to the store of a master that does not run where the masters are reached now. It is for the case that all of them
 * have moved, so that none finds another and none can lead. The log and its membership stay as they are; the addresses go
 * beside them, until the leader that they make possible has had the cluster record them.
 */
import { ExpectedError } from '#errors/expected-error.js';
import { existingStorePlace } from '#master/store-place.js';
import type { MovedMember } from '#replica/members/moved-members.js';
import type { MemberInfo } from '#replica/ports/membership.js';
import { systemClock } from '#replica/ports/system-clock.js';
import { ownAs } from '#storage/files/directory.js';
import { writeMoved } from '#storage/files/moved-file.js';
import { openLevelStore } from '#storage/level-store.js';

/** A member by its name, and HOST:PORT where its peers reach it. */
export type NamedPeer = { readonly name: string; readonly peer: string };
export type OfflineMove = {
  readonly self: MemberInfo;
  readonly members: readonly MemberInfo[];
  readonly moved: readonly MovedMember[];
};

/** The store, or the addresses, do not fit. Nothing was changed. */
export class OfflineMoveError extends ExpectedError {
  override readonly name = 'OfflineMoveError';
}

/**
 * Members that are not named stay at their recorded addresses. What was set before is replaced.
 * @throws StoreError, also when a master has the store open; NoStoreError; OfflineMoveError when the store or the addresses do not fit
 */
export async function moveOffline(dataDir: string, peers: readonly NamedPeer[]): Promise<OfflineMove> {
  const place = existingStorePlace(dataDir);
  const store = await openLevelStore(place, { clock: systemClock });
  try {
    const { applied } = store.loaded;
    const members = applied?.membership.members ?? [];
    const self = members.find(({ id }) => id === store.identity.memberId);
    if (self === undefined) {
      throw new OfflineMoveError(
        `the store in ${place} is of no member of a cluster: it was removed, or never was one`,
      );
    }
    const moved = movedMembers(members, peers);
    await writeMoved(place, moved);
    return { self, members, moved };
  } finally {
    await store.close();
    // LevelDB begins new files whenever it opens.
    await ownAs(place, place);
  }
}

/** @throws OfflineMoveError for a name that is not there or is given twice, and for an address that two would have */
export function movedMembers(members: readonly MemberInfo[], peers: readonly NamedPeer[]): readonly MovedMember[] {
  for (const { name } of peers) {
    if (peers.filter((other) => other.name === name).length > 1) throw new OfflineMoveError(`${name} is given twice`);
    if (members.some((member) => member.name === name)) continue;
    throw new OfflineMoveError(
      `there is no member "${name}"; there are ${members.map((member) => member.name).join(', ')}`,
    );
  }
  const after = members.map((member) => ({
    member,
    peer: peers.find(({ name }) => name === member.name)?.peer ?? member.peer,
  }));
  for (const { member, peer } of after) {
    const twin = after.find((other) => other.peer === peer && other.member.id !== member.id);
    if (twin !== undefined) {
      throw new OfflineMoveError(
        `${member.name} and ${twin.member.name} would both be at ${peer}: each needs its own address`,
      );
    }
  }
  return after.flatMap(({ member, peer }) =>
    peer === member.peer ? [] : [{ storeId: member.storeId, from: member.peer, to: peer }],
  );
}
