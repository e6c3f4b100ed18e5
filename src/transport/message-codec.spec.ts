import assert from 'node:assert/strict';
import fc from 'fast-check';
import { sublet } from '#proto/sublet.js';
import { type ConfState, logIndex, memberId, term } from '#raft/log/entry.js';
import type { PeerMessage } from '#raft/message.js';
import { decodeMessage, encodeMessage, WireError } from '#transport/message-codec.js';

const { PeerMessage: Wire } = sublet.raft.v1;

const sender = memberId(7);
const receiver = memberId(9);
const indexes = fc.nat(2 ** 40).map(logIndex);
const positionMax = 2 ** 52;
const terms = fc.maxSafeNat().map((value) => term(Math.min(value, positionMax)));
const envelope = { from: fc.constant(sender), to: fc.constant(receiver), term: terms };
const memberIds = fc.array(fc.integer({ min: 1, max: 50 }).map(memberId), { maxLength: 5 });
const confStates: fc.Arbitrary<ConfState> = fc.record({
  voters: memberIds,
  votersOutgoing: memberIds,
  learners: memberIds,
  learnersNext: memberIds,
  autoLeave: fc.boolean(),
});
const appends = fc
  .record({ index: indexes, data: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 5 }), at: terms })
  .chain(({ index, data, at }) =>
    fc.record({
      kind: fc.constant('append' as const),
      ...envelope,
      index: fc.constant(index),
      logTerm: terms,
      commit: indexes,
      entries: fc.constant(
        data.map((bytes, nth) => ({
          term: at,
          index: logIndex(index + 1 + nth),
          type: 'normal' as const,
          data: bytes,
        })),
      ),
    }),
  );

const positions = fc.record({ index: fc.integer({ min: 1 }).map(logIndex), term: fc.integer({ min: 1 }).map(term) });
const messages: fc.Arbitrary<PeerMessage> = fc.oneof(
  appends,
  fc.record({
    kind: fc.constant('append-response' as const),
    ...envelope,
    index: indexes,
    logTerm: terms,
    reject: fc.boolean(),
    rejectHint: indexes,
  }),
  fc.record(
    {
      kind: fc.constantFrom('vote' as const, 'pre-vote' as const),
      ...envelope,
      index: indexes,
      logTerm: terms,
      transfer: fc.boolean(),
      committed: positions,
    },
    { requiredKeys: ['kind', 'from', 'to', 'term', 'index', 'logTerm', 'transfer'] },
  ),
  fc.record(
    {
      kind: fc.constantFrom('vote-response' as const, 'pre-vote-response' as const),
      ...envelope,
      reject: fc.boolean(),
      committed: positions,
    },
    { requiredKeys: ['kind', 'from', 'to', 'term', 'reject'] },
  ),
  fc.record({
    kind: fc.constant('snapshot' as const),
    ...envelope,
    snapshot: fc.record({ index: indexes, term: terms, confState: confStates }),
  }),
  fc.record({ kind: fc.constant('heartbeat' as const), ...envelope, commit: indexes, context: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('heartbeat-response' as const), ...envelope, context: fc.maxSafeNat() }),
  fc.record({ kind: fc.constant('timeout-now' as const), ...envelope }),
  fc.record({ kind: fc.constant('transfer-leader' as const), ...envelope, from: fc.constant(memberId(3)) }),
  // In the name of the member that asked a member that led until just now, too.
  fc.record({
    kind: fc.constant('read-index' as const),
    ...envelope,
    from: fc.constantFrom(sender, memberId(3)),
    request: fc.maxSafeNat(),
  }),
  fc.record({
    kind: fc.constant('read-index-response' as const),
    ...envelope,
    request: fc.maxSafeNat(),
    index: indexes,
  }),
);

function travel(message: PeerMessage): PeerMessage {
  return decodeMessage(Wire.decode(Wire.encode(encodeMessage(message)).finish()), sender, receiver);
}

/** Without prototypes and kinds of buffers, which do not travel. */
function plain(message: PeerMessage): unknown {
  const entries =
    message.kind === 'append' ? message.entries.map((entry) => ({ ...entry, data: [...entry.data] })) : [];
  return JSON.parse(JSON.stringify({ ...message, entries }));
}

describe('message on the wire', () => {
  it('arrives as it was sent', () => {
    fc.assert(fc.property(messages, (message) => assert.deepEqual(plain(travel(message)), plain(message))));
  });

  it('is refused when it speaks in the name of another member', () => {
    const message = { ...encodeMessage({ kind: 'timeout-now', from: sender, to: receiver, term: term(1) }), from: 8 };
    assert.throws(() => decodeMessage(message, sender, receiver), /member 7 sent a message in the name of member 8/);
  });

  it('is refused when an entry is damaged, out of order, or its kind unknown', () => {
    const append = encodeMessage({
      kind: 'append',
      from: sender,
      to: receiver,
      term: term(1),
      index: logIndex(4),
      logTerm: term(1),
      commit: logIndex(4),
      entries: [{ term: term(1), index: logIndex(5), type: 'normal', data: new Uint8Array(3) }],
    });
    const record = append.entries?.[0] ?? new Uint8Array();
    // A copy: `slice` of a Buffer is a view of the record itself.
    const damaged = Uint8Array.from(record);
    damaged[20] = 77;
    assert.equal(decodeMessage(append, sender, receiver).kind, 'append');
    const wrong = [
      { ...append, entries: [damaged] },
      { ...append, entries: [record, record] },
      { ...append, kind: 99 },
      { ...append, term: -1 },
      { ...append, index: 2 ** 60 },
      ...['term', 'index', 'logTerm', 'commit', 'commitTerm', 'rejectHint'].map((field) => ({
        ...append,
        [field]: positionMax + 1,
      })),
      {},
    ];
    for (const wire of wrong) assert.throws(() => decodeMessage(wire, sender, receiver), WireError);
  });
});
