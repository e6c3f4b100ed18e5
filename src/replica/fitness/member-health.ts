/**
 * Whether this member is fit to lead: its disk answers, and has room. A leader that is not hands over to one that is; a
 * follower that is not does not campaign while its disk hangs, and delays its campaign while it has no room.
 */
import type { MemberId } from '#raft/log/entry.js';
import type { Raft } from '#raft/raft.js';
import { DiskWatch } from '#replica/fitness/disk-watch.js';
import { successors } from '#replica/fitness/handover.js';
import type { LeadershipState } from '#replica/fitness/leadership-state.js';
import { SpaceWatch, type SpaceWatchParts } from '#replica/fitness/space-watch.js';
import type { ProposeError } from '#replica/ports/replicated-log.js';

export type MemberHealthParts = SpaceWatchParts & {
  readonly raft: Raft;
  readonly leadership: LeadershipState;
  /** Since when the disk is at work on a write, if it is. */
  readonly writer: { readonly diskSinceMs: number | undefined };
};

export class MemberHealth {
  readonly #parts: MemberHealthParts;
  readonly #disk: DiskWatch;
  readonly #space: SpaceWatch;

  constructor(parts: MemberHealthParts) {
    this.#parts = parts;
    this.#disk = new DiskWatch(parts.electionMs, parts.observe);
    this.#space = new SpaceWatch(parts);
  }

  /** Counts a tick with the core, after a leader that is not fit was asked to hand over. */
  tick(): void {
    const { raft, leadership, clock, writer } = this.#parts;
    const able = leadership.leads ? this.successors() : undefined;
    const hangs = this.#disk.check(clock.now(), writer.diskSinceMs, able ?? []);
    const target = this.#space.check(able) ?? hangs;
    if (target !== undefined) raft.transferLeadership(target);
    // A member with a disk that hangs does not campaign: it could neither vote nor lead.
    if (leadership.leads) raft.delay();
    else if (!this.#disk.hangs) raft.delay(this.#space.campaignDelay(leadership.leader));
  }

  /** The voters that could take over from this leader, best first. */
  successors(): readonly MemberId[] {
    const { raft, peers, electionMs } = this.#parts;
    return successors(raft.status(), {
      answers: (member) => peers.heardWithin(electionMs, member),
      scarce: (member) => this.#space.scarce(member),
    });
  }

  /** Why this member refuses to take over; undefined: it takes over. */
  takeoverRefusal(): string | undefined {
    return this.#disk.hangs ? 'this member does not take over while its disk hangs' : undefined;
  }

  /** Tells the peers that this member stops for good, and why. */
  end(reason: string): void {
    this.#space.end(reason);
  }

  /** Why a leader does not take proposals now; undefined: it does. */
  proposalRefusal(): ProposeError | undefined {
    return this.#space.refusal();
  }
}
