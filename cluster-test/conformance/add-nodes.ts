/** `add-nodes`: options, core configuration and initial snapshot (README of the conformance folder, 3.2 and 3.3). */

import { Node } from '#cluster-test/conformance/node.js';
import { CommandError } from '#cluster-test/conformance/output.js';
import {
  type Argument,
  type Directive,
  parseBoolean,
  parseNumber,
  ScriptError,
  singleValue,
} from '#cluster-test/conformance/script.js';
import { logIndex, memberId, noIndex, noTerm, type SnapshotMeta, term } from '#raft/log/entry.js';
import type { RaftConfig, ReadOnlyMode } from '#raft/raft-config.js';

export const electionTicks = 3;
const unlimited = Number.POSITIVE_INFINITY;

/** Everything of a core's configuration but its id and where it starts. */
type Options = Omit<RaftConfig, 'id' | 'applied'>;

const defaults: Options = {
  electionTicks,
  heartbeatTicks: 1,
  preVote: false,
  checkQuorum: false,
  asyncStorageWrites: false,
  readOnly: 'safe',
  stepDownOnRemoval: false,
  maxAppendBytes: unlimited,
  maxInflightAppends: 2 ** 31 - 1,
  maxInflightBytes: unlimited,
  maxCommittedBytesPerReady: unlimited,
  maxUncommittedBytes: unlimited,
  // No file depends on the timeouts drawn: the longest is as good as any.
  random: (below) => below - 1,
};

/** One option's effect on the configuration. */
const settings = new Map<string, (value: string) => Partial<Options>>([
  ['inflight', (value) => ({ maxInflightAppends: parseNumber(value) })],
  ['max-committed-size-per-ready', (value) => ({ maxCommittedBytesPerReady: parseNumber(value) })],
  ['async-storage-writes', (value) => ({ asyncStorageWrites: parseBoolean(value) })],
  ['prevote', (value) => ({ preVote: parseBoolean(value) })],
  ['checkquorum', (value) => ({ checkQuorum: parseBoolean(value) })],
  ['disable-conf-change-validation', (value) => ({ disableConfChangeValidation: parseBoolean(value) })],
  ['step-down-on-removal', (value) => ({ stepDownOnRemoval: parseBoolean(value) })],
  ['read-only', (value) => ({ readOnly: parseReadOnly(value) })],
]);

export function addNodes(nodes: Node[], { args }: Directive): void {
  const [count, ...rest] = args;
  if (count === undefined) {
    throw new ScriptError('add-nodes needs a number of nodes');
  }
  let options = defaults;
  for (const argument of rest) {
    const setting = settings.get(argument.key);
    options = setting === undefined ? options : { ...options, ...setting(singleValue(argument)) };
  }
  const start = startingPoint(rest);
  for (let added = 0; added < parseNumber(count.key); added += 1) {
    nodes.push(new Node({ ...options, id: memberId(nodes.length + 1), applied: start.index }, start));
  }
}

/** The snapshot that new nodes begin with; the empty one at index 0 unless any of its parts is given. */
function startingPoint(args: readonly Argument[]): SnapshotMeta {
  const values = (name: string): readonly string[] =>
    args.filter(({ key }) => key === name).flatMap((argument) => argument.values);
  const members = (name: string) => values(name).map((id) => memberId(parseNumber(id)));
  const voters = members('voters');
  const learners = members('learners');
  const confState = { voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false };
  const index = logIndex(parseNumber(values('index').at(-1) ?? '0'));
  const content = values('content').at(-1) ?? '';
  if (index === 0 && voters.length === 0 && learners.length === 0 && content === '') {
    return { index: noIndex, term: noTerm, confState };
  }
  if (index <= 1) {
    throw new CommandError('index must be specified as > 1 due to bootstrap');
  }
  return { index, term: term(1), confState };
}

function parseReadOnly(value: string): ReadOnlyMode {
  if (value === 'safe' || value === 'lease-based') {
    return value;
  }
  throw new CommandError(`invalid read-only option "${value}"`);
}
