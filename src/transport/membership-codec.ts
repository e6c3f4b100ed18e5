/** Memberships, positions, hellos and reports as Protocol Buffers; what comes in is checked into branded values. */
import type { sublet } from '#proto/sublet.js';
import { type ConfState, logIndex, type MemberId, memberId, term } from '#raft/log/entry.js';
import { noIncarnation } from '#replica/bootstrap/incarnation.js';
import { endedLengthMax, type MemberReport } from '#replica/ports/member-report.js';
import type { AppliedMeta, Membership } from '#replica/ports/membership.js';
import type { MemberHello } from '#replica/ports/peer-network.js';
import type { StoreClaim } from '#replica/ports/store-claim.js';
import { protocolVersion } from '#transport/peer-service.js';

type WireConfState = sublet.raft.v1.ConfState.$Properties;
type WireMembership = sublet.raft.v1.Membership.$Properties;
type WireMeta = sublet.raft.v1.AppliedMeta.$Properties;
export type WireReport = sublet.raft.v1.MemberReport.$Properties;
export type WireClaim = sublet.raft.v1.StoreClaim.$Properties;
type WireHello = sublet.raft.v1.HelloResponse.$Properties;

export function encodeConfState(confState: ConfState): WireConfState {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = confState;
  return {
    voters: [...voters],
    votersOutgoing: [...votersOutgoing],
    learners: [...learners],
    learnersNext: [...learnersNext],
    autoLeave,
  };
}

export function decodeConfState(wire: WireConfState | null | undefined): ConfState {
  return {
    voters: ids(wire?.voters),
    votersOutgoing: ids(wire?.votersOutgoing),
    learners: ids(wire?.learners),
    learnersNext: ids(wire?.learnersNext),
    autoLeave: wire?.autoLeave === true,
  };
}

export function encodeMembership({
  clusterId,
  incarnation,
  confState,
  members,
  nextMemberId,
}: Membership): WireMembership {
  const wireMembers = members.map(({ id, name, peer, storeId }) => ({ id, name, peer, storeId }));
  return { clusterId, incarnation, confState: encodeConfState(confState), members: wireMembers, nextMemberId };
}

export function decodeMembership(wire: WireMembership): Membership {
  return {
    clusterId: wire.clusterId ?? '',
    incarnation: wire.incarnation ?? noIncarnation,
    confState: decodeConfState(wire.confState),
    members: (wire.members ?? []).map(({ id, name, peer, storeId }) => ({
      id: memberId(id ?? 0),
      name: name ?? '',
      peer: peer ?? '',
      storeId: storeId ?? '',
    })),
    nextMemberId: memberId(wire.nextMemberId ?? 0),
  };
}

export function encodeMeta({ index, term: at, time, membership }: AppliedMeta): WireMeta {
  return { index, term: at, timeMs: time, membership: encodeMembership(membership) };
}

export function decodeMeta(wire: WireMeta): AppliedMeta {
  return {
    index: logIndex(wire.index ?? 0),
    term: term(wire.term ?? 0),
    time: logIndex(wire.timeMs ?? 0),
    membership: decodeMembership(wire.membership ?? {}),
  };
}

export function encodeHello(hello: MemberHello): WireHello {
  const { clusterId, name, storeId, bootstrapped, membership } = hello;
  return {
    protocolVersion,
    clusterId,
    name,
    storeId,
    bootstrapped,
    ...(membership === undefined ? {} : { membership: encodeMembership(membership) }),
    commandKinds: [...hello.commandKinds],
    founders: hello.founders.map(({ name: founder, peer }) => ({ name: founder, peer })),
    seen: hello.seen.map(({ name: founder, storeId: store }) => ({ name: founder, storeId: store })),
    claim: encodeClaim(hello.claim),
    contradiction: hello.contradiction ?? '',
  };
}

export function decodeHello(wire: WireHello): MemberHello {
  if (wire.protocolVersion !== protocolVersion) {
    const versions = `version ${wire.protocolVersion ?? 0}, this member version ${protocolVersion}`;
    throw new Error(`it speaks the peers' protocol in ${versions}: run compatible releases`);
  }
  return {
    clusterId: wire.clusterId ?? '',
    name: wire.name ?? '',
    storeId: wire.storeId ?? '',
    bootstrapped: wire.bootstrapped === true,
    membership: wire.membership == null ? undefined : decodeMembership(wire.membership),
    commandKinds: wire.commandKinds ?? [],
    founders: (wire.founders ?? []).map((founder) => ({ name: founder.name ?? '', peer: founder.peer ?? '' })),
    seen: (wire.seen ?? []).map((founder) => ({ name: founder.name ?? '', storeId: founder.storeId ?? '' })),
    claim: decodeClaim(wire.claim, wire.storeId ?? ''),
    contradiction: wire.contradiction || undefined,
  };
}

export function encodeClaim({ storeId, session, term: at, lastIndex }: StoreClaim): WireClaim {
  return { storeId, starts: session.starts, nonces: [...session.nonces], term: at, lastIndex };
}

/** Of the store that its member is known with; a peer of an earlier release states nothing of it. */
export function decodeClaim(wire: WireClaim | null | undefined, storeId: string): StoreClaim {
  const session = { starts: wire?.starts ?? 0, nonces: wire?.nonces ?? [] };
  return { storeId, session, term: wire?.term ?? 0, lastIndex: wire?.lastIndex ?? 0 };
}

export function encodeReport({ serves, space, commandKinds, ended }: MemberReport): WireReport {
  const { freeBytes, neededBytes, low } = space;
  return {
    serves,
    neededBytes,
    low,
    commandKinds: [...commandKinds],
    ...(freeBytes === undefined ? {} : { freeBytes }),
    ...(ended === undefined ? {} : { ended: ended.slice(0, endedLengthMax) }),
  };
}

export function decodeReport({ serves, freeBytes, neededBytes, low, commandKinds, ended }: WireReport): MemberReport {
  const space = { freeBytes: freeBytes ?? undefined, neededBytes: neededBytes ?? 0, low: low === true };
  const last = ended ? { ended: ended.slice(0, endedLengthMax) } : {};
  return { serves: serves ?? '', space, commandKinds: commandKinds ?? [], ...last };
}

function ids(values: readonly number[] | null | undefined): readonly MemberId[] {
  return (values ?? []).map(memberId);
}
