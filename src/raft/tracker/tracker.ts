/**
 * The arithmetic of configuration changes: voters, learners, and the members with tracked progress, before and after a
 * change (Raft paper §6, dissertation §4.3). Values in, values out: an error leaves nothing behind.
 *
 * "Incoming" voters are `config.voters`, "outgoing" ones `config.votersOutgoing`; the configuration is joint while
 * there are outgoing ones. Learners that still vote in the outgoing half wait in `learnersNext`.
 */

import { invariant } from '#errors/invariant.js';
import type { ConfChange, ConfChangeOperation } from '#raft/confchange/conf-change.js';
import { type ConfState, type LogIndex, logIndex, type MemberId, noIndex, noMember } from '#raft/log/entry.js';
import type { InflightLimits } from '#raft/tracker/inflights.js';
import { Progress } from '#raft/tracker/progress.js';
import { isVoter } from '#raft/tracker/quorum.js';

/** A configuration and the progress of everyone in it. Lists ascend, and so do the keys of `progress`. */
export type ProgressTracker = { readonly config: ConfState; readonly progress: ReadonlyMap<MemberId, Progress> };

/** What a member that is new in a change starts with: nothing matched, to be probed from `lastIndex` on. */
export type NewPeers = { readonly lastIndex: LogIndex; readonly limits: InflightLimits };

/** This change can't be made in this configuration. */
export class MembershipError extends Error {
  override readonly name = 'MembershipError';
}

export const emptyMembership: ProgressTracker = {
  config: { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  progress: new Map(),
};

export function isJoint(config: ConfState): boolean {
  return config.votersOutgoing.length > 0;
}

/** What applying `change` makes of `membership`. Throws `MembershipError`. */
export function changeMembership(membership: ProgressTracker, change: ConfChange, peers: NewPeers): ProgressTracker {
  const { transition, operations } = change;
  if (operations.length === 0 && transition === 'auto') {
    return leaveJoint(membership);
  }
  if (transition !== 'auto' || operations.length > 1) {
    return enterJoint(membership, { autoLeave: transition !== 'explicit', operations }, peers);
  }
  return simpleChange(membership, operations, peers);
}

/** Changes at most one voter, without a joint configuration. Throws `MembershipError`. */
export function simpleChange(
  membership: ProgressTracker,
  operations: readonly ConfChangeOperation[],
  peers: NewPeers,
): ProgressTracker {
  if (isJoint(membership.config)) {
    throw new MembershipError("can't apply simple config change in joint config");
  }
  const draft = new Draft(membership, peers);
  draft.apply(operations);
  const before = new Set(membership.config.voters);
  const gone = [...before].filter((voter) => !draft.incoming.has(voter)).length;
  const added = [...draft.incoming].filter((voter) => !before.has(voter)).length;
  if (gone + added > 1) {
    throw new MembershipError('more than one voter changed without entering joint config');
  }
  return draft.finish();
}

/** Makes the present voters the outgoing half, then applies `operations` to the incoming one. Throws `MembershipError`. */
export function enterJoint(
  membership: ProgressTracker,
  change: { readonly autoLeave: boolean; readonly operations: readonly ConfChangeOperation[] },
  peers: NewPeers,
): ProgressTracker {
  if (isJoint(membership.config)) {
    throw new MembershipError('config is already joint');
  }
  if (membership.config.voters.length === 0) {
    throw new MembershipError("can't make a zero-voter config joint");
  }
  const draft = new Draft(membership, peers);
  for (const voter of draft.incoming) {
    draft.outgoing.add(voter);
  }
  draft.apply(change.operations);
  draft.autoLeave = change.autoLeave;
  return draft.finish();
}

/** Drops the outgoing half; learners that waited for it become learners. Throws `MembershipError`. */
export function leaveJoint(membership: ProgressTracker): ProgressTracker {
  if (!isJoint(membership.config)) {
    throw new MembershipError("can't leave a non-joint config");
  }
  const draft = new Draft(membership, undefined);
  for (const member of draft.learnersNext) {
    draft.learners.add(member);
    draft.setLearner(member, true);
  }
  draft.learnersNext.clear();
  for (const member of draft.outgoing) {
    if (!draft.incoming.has(member) && !draft.learners.has(member)) {
      draft.progress.delete(member);
    }
  }
  draft.outgoing.clear();
  draft.autoLeave = false;
  return draft.finish();
}

/** The membership that `confState` stands for, with fresh progress for all. Throws `MembershipError`. */
export function restoreMembership(confState: ConfState, peers: NewPeers): ProgressTracker {
  const voters = confState.voters.map(operation('add-voter'));
  const learners = confState.learners.map(operation('add-learner'));
  let membership = emptyMembership;
  const simply = (operations: readonly ConfChangeOperation[]): void => {
    for (const single of operations) {
      membership = simpleChange(membership, [single], peers);
    }
  };
  if (!isJoint(confState)) {
    simply([...voters, ...learners]);
    return membership;
  }
  simply(confState.votersOutgoing.map(operation('add-voter')));
  const operations = [
    ...confState.votersOutgoing.map(operation('remove')),
    ...voters,
    ...learners,
    ...confState.learnersNext.map(operation('add-learner')),
  ];
  return enterJoint(membership, { autoLeave: confState.autoLeave, operations }, peers);
}

function operation(kind: ConfChangeOperation['kind']): (member: MemberId) => ConfChangeOperation {
  return (member) => ({ kind, member });
}

/** The working copy of one change. */
class Draft {
  readonly incoming: Set<MemberId>;
  readonly outgoing: Set<MemberId>;
  readonly learners: Set<MemberId>;
  readonly learnersNext: Set<MemberId>;
  autoLeave: boolean;
  readonly progress: Map<MemberId, Progress>;
  readonly #peers: NewPeers | undefined;

  constructor({ config, progress }: ProgressTracker, peers: NewPeers | undefined) {
    this.incoming = new Set(config.voters);
    this.outgoing = new Set(config.votersOutgoing);
    this.learners = new Set(config.learners);
    this.learnersNext = new Set(config.learnersNext);
    this.autoLeave = config.autoLeave;
    this.progress = new Map(progress);
    this.#peers = peers;
  }

  apply(operations: readonly ConfChangeOperation[]): void {
    for (const { kind, member } of operations) {
      if (member === noMember) {
        continue;
      }
      switch (kind) {
        case 'add-voter':
          this.#makeVoter(member);
          break;
        case 'add-learner':
          this.#makeLearner(member);
          break;
        case 'remove':
          this.#remove(member);
          break;
        case 'update':
          break;
      }
    }
    if (this.incoming.size === 0) {
      throw new MembershipError('removed all voters');
    }
  }

  #makeVoter(member: MemberId): void {
    this.incoming.add(member);
    if (!this.progress.has(member)) {
      this.#track(member, false);
      return;
    }
    this.setLearner(member, false);
    this.learners.delete(member);
    this.learnersNext.delete(member);
  }

  #makeLearner(member: MemberId): void {
    const present = this.progress.get(member);
    if (present === undefined) {
      this.learners.add(member);
      this.#track(member, true);
      return;
    }
    if (present.learner) {
      return;
    }
    this.#remove(member);
    this.progress.set(member, present);
    if (this.outgoing.has(member)) {
      // It votes in the outgoing half until that half is left; no member is voter and learner at once.
      this.learnersNext.add(member);
    } else {
      this.learners.add(member);
      this.setLearner(member, true);
    }
  }

  #remove(member: MemberId): void {
    this.incoming.delete(member);
    this.learners.delete(member);
    this.learnersNext.delete(member);
    if (!this.outgoing.has(member)) {
      this.progress.delete(member);
    }
  }

  #track(member: MemberId, learner: boolean): void {
    invariant(this.#peers !== undefined, () => `member ${member} appears while leaving a joint configuration`);
    const { lastIndex, limits } = this.#peers;
    const next = logIndex(Math.max(lastIndex, 1));
    const progress = new Progress({ match: noIndex, next, learner, limits });
    // Counted as heard from, or the first quorum check after the change would take it for dead.
    progress.active = true;
    this.progress.set(member, progress);
  }

  setLearner(member: MemberId, learner: boolean): void {
    const progress = this.progress.get(member);
    invariant(progress !== undefined, () => `member ${member} is configured but not tracked`);
    if (progress.learner !== learner) {
      this.progress.set(member, progress.withLearner(learner));
    }
  }

  finish(): ProgressTracker {
    const config: ConfState = {
      voters: ascending(this.incoming),
      votersOutgoing: ascending(this.outgoing),
      learners: ascending(this.learners),
      learnersNext: ascending(this.learnersNext),
      autoLeave: this.autoLeave,
    };
    const progress = new Map([...this.progress].sort(([a], [b]) => a - b));
    checkMembership({ config, progress });
    return { config, progress };
  }
}

function ascending(members: ReadonlySet<MemberId>): readonly MemberId[] {
  return [...members].sort((a, b) => a - b);
}

/** Asserts what holds of every membership, however it came about. */
function checkMembership({ config, progress }: ProgressTracker): void {
  const learner = (member: MemberId): boolean | undefined => progress.get(member)?.learner;
  for (const member of [...config.voters, ...config.votersOutgoing, ...config.learners, ...config.learnersNext]) {
    invariant(progress.has(member), () => `member ${member} is configured but not tracked`);
  }
  for (const member of config.learnersNext) {
    invariant(config.votersOutgoing.includes(member), () => `staged learner ${member} is not an outgoing voter`);
    invariant(learner(member) === false, () => `staged learner ${member} is a learner already`);
  }
  for (const member of config.learners) {
    invariant(!isVoter(config, member), () => `learner ${member} is a voter too`);
    invariant(learner(member) === true, () => `learner ${member} is not marked as one`);
  }
  const staged = config.learnersNext.length > 0 || config.autoLeave;
  invariant(isJoint(config) || !staged, () => 'staged learners or auto-leave outside of a joint configuration');
}
