/**
 * Everything that can change the plan, as a closed union. The values are parsed and branded; `command-codec.ts` turns
 * them into what the log holds and back. A command carries all that its outcome depends on besides the plan itself, the
 * leader's judgement of silent holders included, so that every replica comes to the same outcome.
 */
import type { Cidr4 } from '#address/cidr4.js';
import type { Cidr6 } from '#address/cidr6.js';
import type { Cidr, Ip } from '#address/ip.js';
import type { Ipv4 } from '#address/ipv4.js';
import type { AgentId, InstanceId, RunId } from '#ipam/identity.js';
import type { JoinRole } from '#ipam/join-token.js';
import type { NetworkSettings, Overlay } from '#ipam/network.js';
import type { CheckedNetworkConfig, Hostname, NodeIp, Sequence, StatusError } from '#ipam/registration-fields.js';
import type { RevocationCause } from '#ipam/revocation.js';
import type { ReservedFor } from '#ipam/space/usage.js';
import type { OverlayStatus } from '#ipam/view/full-agent.js';

/** What every command carries. */
export type CommandOrigin = {
  /** Time of day when it was proposed, ms since 1970. For display only. */
  readonly wallTime: number;
  /** The author, for the history: an operator's name, or empty. Agents are named by their `agentId`. */
  readonly by: string;
  /** Refused (`aborted`) if the plan's revision is another one. */
  readonly expectedRevision?: number | undefined;
};

/**
 * The proposer's judgement of a holder at one epoch. It counts only while the holder's lease still has that epoch, so
 * a judgement that is overtaken by a new registration can do no harm. A holder not judged counts as live.
 */
export type HolderJudgement = {
  readonly agentId: AgentId;
  readonly epoch: number;
  /** Silent; or, of the holder of the node address that is asked for: it has asked for another one since. */
  readonly silent: boolean;
  /** When it was last heard, ms since 1970; undefined: not since this leader came to office. For the message only. */
  readonly lastHeard: number | undefined;
};

/** What an agent's cached lease says that it holds. */
export type HeldLease = {
  readonly vtepIp: Ipv4 | undefined;
  readonly subnets: readonly HeldSubnet[];
};
export type HeldSubnet = {
  readonly overlay: string;
  readonly subnet: Cidr4 | undefined;
  readonly subnet6: Cidr6 | undefined;
};

/** Establishes the network. Once there is one, only equal settings are accepted, and nothing changes. */
export type ConfigureNetwork = {
  readonly kind: 'configure-network';
  readonly settings: NetworkSettings;
  readonly overlays: readonly Overlay[];
};

/** Changes what may change under agents. Absent fields stay. The VTEP subnets can only grow; `vtepSubnet6` may be added; `reclaim` can only become longer while there are agents. */
export type UpdateNetwork = {
  readonly kind: 'update-network';
  readonly vtepSubnet?: Cidr4 | undefined;
  readonly vtepSubnet6?: Cidr6 | undefined;
  readonly vtepMtu?: number | undefined;
  readonly quarantineMs?: number | undefined;
  readonly reclaim?: { readonly ttlMs: number | undefined } | undefined;
};

/** `config`: from a master's file, which does not bring back a name that was removed; `operator` does. */
export type AddOverlay = {
  readonly kind: 'add-overlay';
  readonly overlay: Overlay;
  readonly source: 'config' | 'operator';
};

/** Enables, disables, grows to a supernet; absent fields stay. */
export type UpdateOverlay = {
  readonly kind: 'update-overlay';
  readonly name: string;
  readonly enabled?: boolean | undefined;
  readonly subnet?: Cidr4 | undefined;
  readonly subnet6?: Cidr6 | undefined;
};

/** Disables an overlay and has agents give back what they hold of it. `update-overlay` with `enabled` ends that. */
export type DrainOverlay = { readonly kind: 'drain-overlay'; readonly name: string };

/** An agent has taken these overlays, which are draining, off its host. */
export type ReturnOverlays = {
  readonly kind: 'return-overlays';
  readonly agentId: AgentId;
  readonly epoch: number;
  readonly overlays: readonly string[];
};

export type RemoveOverlay = { readonly kind: 'remove-overlay'; readonly name: string };

export type Register = {
  readonly kind: 'register';
  readonly agentId: AgentId;
  readonly instanceId: InstanceId;
  /** Of the process that asks; undefined: it names none. */
  readonly runId: RunId | undefined;
  /** Rises with each changed request of an instance; an equal one is a retry. */
  readonly sequence: Sequence;
  readonly nodeIp: NodeIp;
  readonly hostname: Hostname;
  readonly networkConfig: CheckedNetworkConfig;
  /** Claims an id whose holder may still live, for fresh addresses. */
  readonly takeover: boolean;
  /** What the agent runs on. Honoured in adoption, and where it is unconfirmed. */
  readonly held: HeldLease | undefined;
  /** The log does not confirm `held`: the agent gets what it runs on, or nothing in place of it. */
  readonly heldUnconfirmed: boolean;
  /** Of those that `Ipam.holdersConcerned` names. */
  readonly holders: readonly HolderJudgement[];
};

export type ReportStatus = {
  readonly kind: 'report-status';
  readonly agentId: AgentId;
  readonly epoch: number;
  readonly overlays: readonly {
    readonly overlay: string;
    readonly status: OverlayStatus;
    readonly error: StatusError;
  }[];
};

/** The agent has taken its data plane down and gives everything back. */
export type Leave = { readonly kind: 'leave'; readonly agentId: AgentId; readonly epoch: number };

/** An operator frees what agents hold: all of them or none. A holder not judged silent needs `force`. */
export type Release = {
  readonly kind: 'release';
  readonly agentIds: readonly AgentId[];
  readonly force: boolean;
  readonly holders: readonly HolderJudgement[];
};

/**
 * An operator puts an agent that is silent in the place of another: all that the first held is reserved for the second.
 * `off`: by the operator's word that host is off for good, and nothing is quarantined.
 */
export type ReplaceAgent = {
  readonly kind: 'replace-agent';
  readonly agentId: AgentId;
  readonly successor: AgentId;
  readonly off: boolean;
  readonly holders: readonly HolderJudgement[];
};

/** The lease of this epoch has run out. */
export type Expire = { readonly kind: 'expire'; readonly agentId: AgentId; readonly epoch: number };

/**
 * Keeps one block for one agent, or for the agent that registers a node address. `overlay` undefined: an address of the
 * VTEP subnet, as a /32.
 */
export type Reserve = {
  readonly kind: 'reserve';
  readonly overlay: string | undefined;
  readonly subnet: Cidr;
} & ReservedFor;

export type Unreserve = { readonly kind: 'unreserve'; readonly overlay: string | undefined; readonly subnet: Cidr };

/**
 * Excludes a range of whole blocks from allocation. A holder of one keeps it until it is freed, and does not get it
 * back.
 */
export type Exclude = { readonly kind: 'exclude'; readonly overlay: string | undefined; readonly subnet: Cidr };

/** Ends an exclusion, named as it was made. */
export type Unexclude = { readonly kind: 'unexclude'; readonly overlay: string | undefined; readonly subnet: Cidr };

/** What shows that this plan is older than what others have seen. */
export type AdoptionProof = {
  readonly reason: string;
  /** The highest epoch that was claimed; 0: the claim was of another kind. */
  readonly claimedEpoch: number;
  /** Of the branch that begins here. */
  readonly value: string;
};

/** `held` is honoured where free and no fresh block is allocated, until it is ended. `proof` absent: after a restore. */
export type BeginAdoption = { readonly kind: 'begin-adoption'; readonly proof?: AdoptionProof | undefined };

/** Refused if more agents on record than `missing` have not come back. */
export type EndAdoption = { readonly kind: 'end-adoption'; readonly missing: number };

/** The first command of each leader: a branch of the log's history begins here. `value` is random, 12 hex digits. */
export type MarkBranch = { readonly kind: 'mark-branch'; readonly value: string };

/** A master as its peers know it: its name, and HOST:PORT. */
export type MasterName = { readonly name: string; readonly peer: string };

/** What an operator changed of the masters. `by` votes in the place of `master`, which is gone. */
export type MasterChange =
  | { readonly kind: 'add' | 'promote' | 'remove'; readonly master: MasterName }
  | { readonly kind: 'replace'; readonly master: MasterName; readonly by: MasterName };

/** Has the history tell of a change of the masters that is made. Changes nothing else. */
export type RecordMembership = { readonly kind: 'record-membership'; readonly change: MasterChange };

/** A token with which one identity gets its first certificate. Ids and hashes are lower-case hex digits. */
export type CreateToken = {
  readonly kind: 'create-token';
  /** 32 hex digits, random. */
  readonly id: string;
  /** SHA-256 of its secret, 64 hex digits. */
  readonly secretHash: string;
  readonly role: JoinRole;
  /** The id in the identity that it stands for. */
  readonly subject: string;
  /** The address that it is used from; undefined: any. */
  readonly nodeIp: Ip | undefined;
  /** From the cluster time of this command on. */
  readonly ttlMs: number;
  /** How many keys may be certified with it. */
  readonly uses: number;
};

/**
 * A key is to be certified by a token. The same key may be certified again, from the same address, a few times: the answer may
 * have been lost.
 */
export type UseToken = {
  readonly kind: 'use-token';
  readonly id: string;
  /** SHA-256 of the secret that was shown. */
  readonly secretHash: string;
  readonly role: JoinRole;
  readonly subject: string;
  /** The address that it is used from. */
  readonly address: Ip;
  /** SHA-256 of the public key, 64 hex digits. */
  readonly keyHash: string;
};

export type RevokeToken = { readonly kind: 'revoke-token'; readonly id: string };

/** Has masters refuse every certificate of an identity. */
export type RevokeIdentity = {
  readonly kind: 'revoke-identity';
  /** ROLE/ID */
  readonly identity: string;
  readonly cause: RevocationCause;
  /** Whether the lease of the agent ends, too. */
  readonly release: boolean;
};

/** Ends a revocation; with cause `removal`, one of that cause only. */
export type UnrevokeIdentity = {
  readonly kind: 'unrevoke-identity';
  readonly identity: string;
  readonly cause: RevocationCause;
  /** Certificates that begin earlier stay revoked, ms since 1970; undefined: none do. */
  readonly acceptedFrom: number | undefined;
};

/** Changes nothing but the history: the whole plan is read through a master. */
export type RecordBackup = { readonly kind: 'record-backup'; readonly master: string };

export type Action =
  | ConfigureNetwork
  | UpdateNetwork
  | AddOverlay
  | UpdateOverlay
  | RemoveOverlay
  | Register
  | ReportStatus
  | Leave
  | Release
  | Expire
  | Reserve
  | Unreserve
  | Exclude
  | Unexclude
  | BeginAdoption
  | EndAdoption
  | RecordMembership
  | DrainOverlay
  | ReturnOverlays
  | ReplaceAgent
  | MarkBranch
  | CreateToken
  | UseToken
  | RevokeToken
  | RevokeIdentity
  | UnrevokeIdentity
  | RecordBackup;

export type Command = CommandOrigin & Action;
export type CommandKind = Action['kind'];
