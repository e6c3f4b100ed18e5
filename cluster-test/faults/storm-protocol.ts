/** What a spec and its storm clients, each a process in a network namespace of its own, say to one another. */
import type { ReplicaView } from '#cluster-test/process/replica-view.js';

export type StormPlan = {
  /** HOST:PORT of each master. */
  readonly masters: readonly string[];
  /** The first agent number of this client; it uses the `agentsMax` numbers from there. */
  readonly first: number;
  readonly agentsMax: number;
  readonly workers: number;
  /** Between two registrations of a worker, in ms. */
  readonly pauseMs: number;
  readonly seed: number;
  /** Where acknowledgements are written down, one JSON line each. */
  readonly logFile: string;
};

export type StormCommand =
  | { readonly kind: 'go'; readonly plan: StormPlan }
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  | { readonly kind: 'counts' }
  | { readonly kind: 'ask-all-again' }
  | { readonly kind: 'status'; readonly address: string }
  | { readonly kind: 'view'; readonly address: string }
  | { readonly kind: 'read'; readonly address: string; readonly agentId: string };

export type StormCounts = {
  /** Agents that were granted something, each counted once. */
  readonly acknowledged: number;
  /** Answers to agents that asked again, the same as the first. */
  readonly repeated: number;
  /** Linearizable reads of what had been acknowledged before, that were answered. */
  readonly reads: number;
  /** Newest first revision acknowledged. */
  readonly revision: number;
  readonly newestAgent: string;
  /** From the first attempt of a registration to its acknowledgement, retries and all, in ms. */
  readonly longestWaitMs: number;
  /** Other answers than the first, reads that missed an acknowledgement, refusals. */
  readonly wrong: readonly string[];
};

/** What one master says of itself. */
export type MasterState = {
  readonly name: string;
  readonly leads: boolean;
  readonly leader: string;
  readonly term: number;
  readonly appliedIndex: number;
  readonly warnings: readonly string[];
};

export type ReadAnswer = { readonly revision: number; readonly vtepIp: string };

/** The answer to each kind of command. */
export type StormAnswers = {
  readonly go: null;
  readonly pause: null;
  readonly resume: null;
  readonly counts: StormCounts;
  readonly 'ask-all-again': StormCounts;
  readonly status: MasterState;
  readonly view: ReplicaView;
  readonly read: ReadAnswer;
};

export type StormReply =
  | { readonly kind: 'answer'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: string };
