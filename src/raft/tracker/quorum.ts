/**
 * What a majority, or both majorities of a joint configuration (Raft paper §6), have agreed on: an index they
 * have all reached, or the outcome of a vote. Sets of voters are lists without duplicates.
 */
import type { MemberId } from '#raft/log/entry.js';

/** Both halves of a joint configuration; `votersOutgoing` is empty outside of one. A `ConfState` is one of these. */
export type Voters = { readonly voters: readonly MemberId[]; readonly votersOutgoing: readonly MemberId[] };

export type VoteResult = 'won' | 'pending' | 'lost';

/** Voters needed for a majority of `count`. */
export function quorumOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

/**
 * The highest index that a majority of `voters` has reached. `reached` gives a voter's index, undefined if
 * nothing is known of it. Infinity for no voters, which makes an empty half agree with any other.
 */
export function majorityIndex(voters: readonly MemberId[], reached: (voter: MemberId) => number | undefined): number {
  if (voters.length === 0) {
    return Number.POSITIVE_INFINITY;
  }
  const indexes = voters.map((voter) => reached(voter) ?? 0).sort((a, b) => a - b);
  return indexes[voters.length - quorumOf(voters.length)] ?? 0;
}

/** The highest index that both halves have reached. */
export function jointIndex(config: Voters, reached: (voter: MemberId) => number | undefined): number {
  return Math.min(majorityIndex(config.voters, reached), majorityIndex(config.votersOutgoing, reached));
}

/** The outcome so far among `voters`. `vote` is undefined while a voter has not answered. No voters: won. */
export function majorityVote(voters: readonly MemberId[], vote: (voter: MemberId) => boolean | undefined): VoteResult {
  if (voters.length === 0) {
    return 'won';
  }
  let yes = 0;
  let unknown = 0;
  for (const voter of voters) {
    const answer = vote(voter);
    yes += answer === true ? 1 : 0;
    unknown += answer === undefined ? 1 : 0;
  }
  const quorum = quorumOf(voters.length);
  if (yes >= quorum) {
    return 'won';
  }
  return yes + unknown >= quorum ? 'pending' : 'lost';
}

/** Won only if both halves are won, lost as soon as one is lost. */
export function jointVote(config: Voters, vote: (voter: MemberId) => boolean | undefined): VoteResult {
  const incoming = majorityVote(config.voters, vote);
  const outgoing = majorityVote(config.votersOutgoing, vote);
  if (incoming === outgoing) {
    return incoming;
  }
  return incoming === 'lost' || outgoing === 'lost' ? 'lost' : 'pending';
}

/** Everyone with a vote in either half, ascending, each once. */
export function allVoters(config: Voters): readonly MemberId[] {
  return [...new Set([...config.voters, ...config.votersOutgoing])].sort((a, b) => a - b);
}

/** Whether `member` votes in either half. */
export function isVoter(config: Voters, member: MemberId): boolean {
  return config.voters.includes(member) || config.votersOutgoing.includes(member);
}
