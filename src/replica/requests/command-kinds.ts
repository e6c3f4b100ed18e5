/**
 * Rolling upgrades: a command of a kind that came with a later release is proposed only once every member can apply it,
 * since one that meets a kind that it does not know has to stop. Members tell each other which kinds they know.
 */
import type { Entry, LogIndex, MemberId } from '#raft/log/entry.js';
import type { PeerAccounts } from '#replica/members/peer-accounts.js';
import type { MemberInfo, Membership } from '#replica/ports/membership.js';
import { ProposeError } from '#replica/ports/replicated-log.js';
import { decodeStamped } from '#replica/requests/cluster-time.js';

/** Kinds of commands that members of earlier releases may not know. */
export type LaterCommands = {
  readonly kinds: readonly string[];
  /** The kind of a command; any other text for one that it can't read. Must not throw. Asked only while there are `kinds`. */
  readonly kindOf: (command: Uint8Array) => string;
  /** Whether the state shows that a command of the kind was applied: its entry may be compacted away. */
  readonly inState?: (kind: string) => boolean;
};

export type CommandKindsParts = {
  readonly self: MemberInfo;
  readonly later: LaterCommands | undefined;
  readonly applied: { readonly membership: Membership };
  readonly peers: Pick<PeerAccounts, 'of'>;
};

export class CommandKinds {
  readonly #parts: CommandKindsParts;
  readonly #later: ReadonlySet<string>;
  /** Committed once: the leader knew then that all members know them, and a later member knows what all knew. */
  readonly #inUse = new Set<string>();
  /** What members that were added here answered before they were members. */
  #asked: ReadonlyMap<MemberId, readonly string[]> = new Map();

  /** `entries` are what the log holds at start, committed up to `commit`. */
  constructor(parts: CommandKindsParts, entries: readonly Entry[], commit: LogIndex) {
    this.#parts = parts;
    this.#later = new Set(parts.later?.kinds);
    for (const entry of entries) if (entry.index <= commit) this.applied(entry);
  }

  /** `entry` is committed, and so is every kind in it for good. */
  applied({ type, data }: Entry): void {
    if (this.#later.size === this.#inUse.size || type !== 'normal' || data.byteLength === 0) return;
    const kind = this.#parts.later?.kindOf(decodeStamped(data).command);
    if (kind !== undefined && this.#later.has(kind)) this.#inUse.add(kind);
  }

  /** A member that was just added has not reported yet; this is what it said when it was asked. */
  answered(member: MemberId, kinds: readonly string[]): void {
    const ids = this.#parts.applied.membership.members.map(({ id }) => id);
    const kept = [...this.#asked].filter(([id]) => ids.includes(id));
    this.#asked = new Map([...kept, [member, kinds]]);
  }

  /** Why a leader does not propose `command` yet; undefined: it may. */
  refusal(command: Uint8Array): ProposeError | undefined {
    const { later, self, applied, peers } = this.#parts;
    if (later === undefined || this.#later.size === this.#inUse.size) return undefined;
    const kind = later.kindOf(command);
    if (!this.#later.has(kind) || this.#inUse.has(kind)) return undefined;
    if (later.inState?.(kind) === true) {
      this.#inUse.add(kind);
      return undefined;
    }
    for (const { id, name, peer } of applied.membership.members) {
      if (id === self.id) continue;
      const known = peers.of(id)?.report?.commandKinds ?? this.#asked.get(id);
      if (known?.includes(kind) === true) continue;
      const why =
        known === undefined
          ? 'has not said yet which commands it knows: start it, or remove it'
          : 'runs a release that does not know it, and would stop: upgrade it first';
      return new ProposeError('not-known-by-all', `a command of kind "${kind}": member ${name} at ${peer} ${why}`);
    }
    return undefined;
  }
}
