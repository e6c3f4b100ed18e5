/** The commands of `quorum/`: commit indexes and votes, with the cross-checks (README, section 8). */

import {
  type Argument,
  type Directive,
  parseNumber,
  ScriptError,
  singleValue,
} from '#cluster-test/conformance/script.js';
import { type MemberId, memberId } from '#raft/log/entry.js';
import {
  allVoters,
  jointIndex,
  jointVote,
  majorityIndex,
  majorityVote,
  quorumOf,
  type VoteResult,
  type Voters,
} from '#raft/tracker/quorum.js';

const resultNames = { won: 'VoteWon', pending: 'VotePending', lost: 'VoteLost' } as const satisfies Record<
  VoteResult,
  string
>;

/** Runs one directive and gives its output. Throws on what no file may expect. */
export function runQuorum({ command, args }: Directive): string {
  const voters = votersIn(args, 'cfg');
  const joint = args.some(({ key }) => key === 'cfgj');
  const config: Voters = { voters, votersOutgoing: joint ? votersIn(args, 'cfgj') : [] };
  switch (command) {
    case 'committed':
      return committed(config, joint, valuesOf(config, args, 'idx', parseIndex));
    case 'vote':
      return vote(config, joint, valuesOf(config, args, 'votes', parseVote));
    default:
      throw new ScriptError(`unknown command ${command}`);
  }
}

function votersIn(args: readonly Argument[], name: 'cfg' | 'cfgj'): readonly MemberId[] {
  const argument = args.find(({ key }) => key === name);
  if (argument === undefined || (name === 'cfgj' && argument.values.length === 1 && singleValue(argument) === 'zero')) {
    return [];
  }
  return [...new Set(argument.values.map((value) => memberId(parseNumber(value))))];
}

/** The values, by voter in the order of first appearance. */
function valuesOf<Value>(
  config: Voters,
  args: readonly Argument[],
  name: string,
  parse: (text: string) => Value,
): ReadonlyMap<MemberId, Value | undefined> {
  const voters = [...new Set([...config.voters, ...config.votersOutgoing])];
  const texts = args.filter(({ key }) => key === name).flatMap(({ values }) => values);
  if (texts.length !== voters.length) {
    throw new ScriptError(`mismatched input: ${voters.length} voters, but ${texts.length} values of ${name}`);
  }
  return new Map(
    voters.map((voter, at) => {
      const text = texts[at] ?? '_';
      return [voter, text === '_' ? undefined : parse(text)];
    }),
  );
}

function parseIndex(text: string): number {
  const index = parseNumber(text);
  if (index === 0) {
    throw new ScriptError('index 0 is not allowed, _ stands for an unknown one');
  }
  return index;
}

function parseVote(text: string): boolean {
  if (text !== 'y' && text !== 'n') {
    throw new ScriptError(`"${text}" is no vote, y and n are`);
  }
  return text === 'y';
}

type Indexes = ReadonlyMap<MemberId, number | undefined>;

function committed(config: Voters, joint: boolean, indexes: Indexes): string {
  const index = joint ? jointCommitted(config, indexes) : checkedMajority(config.voters, indexes);
  return `${chart(allVoters(config), indexes)}${index === Number.POSITIVE_INFINITY ? '∞' : index}\n`;
}

function jointCommitted(config: Voters, indexes: Indexes): number {
  const index = jointIndex(config, (voter) => indexes.get(voter));
  agree(
    'with the halves swapped',
    index,
    jointIndex(swapped(config), (voter) => indexes.get(voter)),
  );
  return index;
}

function checkedMajority(voters: readonly MemberId[], indexes: Indexes): number {
  const reached = (voter: MemberId): number | undefined => indexes.get(voter);
  const index = majorityIndex(voters, reached);
  agree('by counting', index, countedMajority(voters, indexes));
  agree('joint with nobody', index, jointIndex({ voters, votersOutgoing: [] }, reached));
  agree('joint with itself', index, jointIndex({ voters, votersOutgoing: voters }, reached));
  for (const voter of voters) {
    const own = reached(voter);
    if (own !== undefined && own < index) {
      for (const lower of [own - 1, 0]) {
        const overlaid = majorityIndex(voters, (other) => (other === voter ? lower : reached(other)));
        agree(`with voter ${voter} at ${lower}`, index, overlaid);
      }
    }
  }
  return index;
}

/** The same index by another way: the largest one that a quorum has reached or passed. */
function countedMajority(voters: readonly MemberId[], indexes: Indexes): number {
  if (voters.length === 0) {
    return Number.POSITIVE_INFINITY;
  }
  const known = voters.map((voter) => indexes.get(voter)).filter((index) => index !== undefined);
  const agreed = known.filter((index) => known.filter((other) => other >= index).length >= quorumOf(voters.length));
  return Math.max(0, ...agreed);
}

function vote(config: Voters, joint: boolean, votes: ReadonlyMap<MemberId, boolean | undefined>): string {
  const answer = (voter: MemberId): boolean | undefined => votes.get(voter);
  if (!joint) {
    return `${resultNames[majorityVote(config.voters, answer)]}\n`;
  }
  const result = jointVote(config, answer);
  agree('with the halves swapped', result, jointVote(swapped(config), answer));
  return `${resultNames[result]}\n`;
}

function swapped({ voters, votersOutgoing }: Voters): Voters {
  return { voters: votersOutgoing, votersOutgoing: voters };
}

function agree<Value>(how: string, result: Value, other: Value): void {
  if (result !== other) {
    throw new ScriptError(`the result is ${result}, but ${how} it is ${other}`);
  }
}

function chart(voters: readonly MemberId[], indexes: Indexes): string {
  const count = voters.length;
  if (count === 0) {
    return '<empty majority quorum>';
  }
  const reached = (voter: MemberId): number => indexes.get(voter) ?? 0;
  const bars = new Map<MemberId, number>();
  const ranked = [...voters].sort((a, b) => reached(a) - reached(b) || a - b);
  for (const [at, voter] of ranked.entries()) {
    const before = ranked[at - 1];
    const higher = before !== undefined && reached(voter) > reached(before);
    bars.set(voter, higher || before === undefined ? at : (bars.get(before) ?? 0));
  }
  const lines = voters.map((voter) => {
    const bar = bars.get(voter) ?? 0;
    const drawn = indexes.get(voter) === undefined ? `?${' '.repeat(count)}` : `${'x'.repeat(bar)}>`.padEnd(count + 1);
    return `${drawn} ${String(reached(voter)).padStart(5)}    (id=${voter.toString(16)})\n`;
  });
  return `${' '.repeat(count + 4)}idx\n${lines.join('')}`;
}
