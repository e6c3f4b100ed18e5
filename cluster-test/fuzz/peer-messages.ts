/** Messages of consensus with any content, most of them near what a member of this term would send. */
import type { Chance } from '#cluster-test/fuzz/chance.js';
import type { sublet } from '#proto/sublet.js';
import { logIndex, term } from '#raft/log/entry.js';
import { entryRecord } from '#replica/driver/entry-record.js';

/** One more than the protocol has. */
const kinds = 16;

export type Near = {
  readonly from: number;
  readonly term: number;
  readonly index: number;
  /** Of the configurations in messages. */
  readonly voters: readonly number[];
};

export function peerMessage(
  chance: Chance,
  { from, term: now, index: last, voters }: Near,
): sublet.raft.v1.PeerMessage.$Properties {
  const near = (value: number): number => Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, value + chance.below(4) - 1));
  const index = chance.below(8) === 0 ? chance.number() : near(Math.max(0, last - chance.below(6)));
  const of = chance.below(8) === 0 ? chance.number() : near(now);
  const entries = Array.from({ length: chance.below(3) }, (_, at) =>
    entryRecord({
      term: term(of),
      index: logIndex(Math.min(index + 1 + at, Number.MAX_SAFE_INTEGER)),
      type: chance.pick(['normal', 'conf-change', 'conf-change-v2']),
      data: chance.bytes(20),
    }),
  );
  return {
    kind: chance.below(kinds),
    from,
    term: of,
    index,
    logTerm: near(of),
    commit: near(index),
    context: chance.number(),
    reject: chance.below(2) === 0,
    rejectHint: near(index),
    transfer: chance.below(4) === 0,
    entries,
    ...(chance.below(3) === 0 ? { confState: { voters: [...voters], learners: [chance.below(5)] } } : {}),
  };
}
