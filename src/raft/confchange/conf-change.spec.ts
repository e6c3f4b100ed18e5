import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type ConfChange, decodeConfChange, encodeConfChange, leaveJointChange } from '#raft/confchange/conf-change.js';
import { RaftError } from '#raft/errors.js';
import { memberId } from '#raft/log/entry.js';
import { bytes, confChange } from '#raft/testing/core-member.js';

const ids = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat()).map(memberId);
const kinds = fc.constantFrom('add-voter' as const, 'remove' as const, 'update' as const, 'add-learner' as const);
const operations = fc.record({ kind: kinds, member: ids }, { noNullPrototype: true });
const general: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.constantFrom('auto' as const, 'implicit' as const, 'explicit' as const),
  operations: fc.array(operations, { maxLength: 9 }),
  context: fc.uint8Array({ maxLength: 300 }),
});

function assertSame(actual: ConfChange, expected: ConfChange): void {
  assert.deepEqual({ ...actual, context: [...actual.context] }, { ...expected, context: [...expected.context] });
}

describe('an encoded configuration change', () => {
  it('decodes to itself, with its context', () => {
    fc.assert(
      fc.property(general, (value) => {
        const data = encodeConfChange(value, 'conf-change-v2');
        assertSame(decodeConfChange({ type: 'conf-change-v2', data }), value);
      }),
    );
  });

  it('of the single-operation form decodes to an automatic change of one operation', () => {
    fc.assert(
      fc.property(operations, fc.uint8Array({ maxLength: 300 }), (operation, context) => {
        const value: ConfChange = { transition: 'auto', operations: [operation], context };
        const data = encodeConfChange(value, 'conf-change');
        assertSame(decodeConfChange({ type: 'conf-change', data }), value);
      }),
    );
  });

  it('has the known bytes of the Protocol Buffers layout', () => {
    const value = {
      ...confChange(
        [
          ['add-voter', 300],
          ['remove', 2],
        ],
        'explicit',
      ),
      context: bytes('x'),
    };
    assert.deepEqual(
      [...encodeConfChange(value, 'conf-change-v2')],
      [0x08, 2, 0x12, 5, 0x08, 0, 0x10, 0xac, 0x02, 0x12, 4, 0x08, 1, 0x10, 2, 0x1a, 1, 0x78],
    );
    assert.deepEqual(
      [...encodeConfChange(confChange([['add-learner', 4]]), 'conf-change')],
      [0x08, 0, 0x10, 3, 0x18, 4],
    );
  });

  it('without any data means: leave the joint configuration', () => {
    assertSame(decodeConfChange({ type: 'conf-change-v2', data: new Uint8Array(0) }), leaveJointChange);
  });

  it('of foreign bytes is refused, never misread as something that throws later', () => {
    const refused = { name: 'RaftError', code: 'malformed-conf-change' };
    for (const type of ['conf-change', 'conf-change-v2'] as const) {
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (data) => {
          try {
            const read = decodeConfChange({ type, data });
            assertSame(decodeConfChange({ type, data: encodeConfChange(read, type) }), read);
          } catch (error) {
            assert.ok(error instanceof RaftError && error.code === 'malformed-conf-change', String(error));
          }
        }),
      );
    }
    assert.throws(() => decodeConfChange({ type: 'normal', data: bytes('x') }), refused);
    assert.throws(() => decodeConfChange({ type: 'conf-change', data: Uint8Array.of() }), refused);
    assert.throws(
      () => decodeConfChange({ type: 'conf-change-v2', data: Uint8Array.of(8, 0, 0x12, 5, 8, 0, 0x10, 1) }),
      refused,
    );
    assert.throws(
      () => decodeConfChange({ type: 'conf-change-v2', data: Uint8Array.of(8, 0, 0x12, 4, 8, 9, 0x10, 1) }),
      refused,
    );
    assert.throws(() => decodeConfChange({ type: 'conf-change-v2', data: Uint8Array.of(8, 0, 0x1a, 9, 1) }), refused);
  });

  it('of the single-operation form holds exactly one operation and no transition', () => {
    const refused = { name: 'RaftError', code: 'malformed-conf-change' };
    assert.throws(() => encodeConfChange(leaveJointChange, 'conf-change'), refused);
    assert.throws(() => encodeConfChange(confChange([['remove', 1]], 'explicit'), 'conf-change'), refused);
    assert.throws(
      () =>
        encodeConfChange(
          confChange([
            ['remove', 1],
            ['remove', 2],
          ]),
          'conf-change',
        ),
      refused,
    );
  });
});
