import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { messageWriter } from '#proto/shared-writer.js';
import { sublet } from '#proto/sublet.js';

const { Type, Enum, MapField } = protobuf;
type Message = { readonly [field: string]: unknown };
type Codec = { encode(message: Message): { finish(): Uint8Array } };

/** Every message of the API, as protobufjs reads it by itself, which generates its encoders at run time. */
function messageTypes(): protobuf.Type[] {
  const names = readdirSync('proto', { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.proto'));
  const root = new protobuf.Root();
  root.resolvePath = (_origin, target) => join('proto', target);
  root.loadSync(names);
  root.resolveAll();
  const types: protobuf.Type[] = [];
  const walk = (nested: protobuf.ReflectionObject): void => {
    if (nested instanceof Type) types.push(nested);
    if (nested instanceof protobuf.Namespace) for (const inner of nested.nestedArray) walk(inner);
  };
  walk(root.lookup('sublet') ?? assert.fail('proto/ has no package sublet'));
  return types;
}

/** The generated code of a message. */
function codecOf(type: protobuf.Type): Codec {
  const found = type.fullName
    .split('.')
    .slice(2)
    .reduce<unknown>((scope, name) => Object(scope)[name], sublet);
  return Object(found);
}

const numbers = {
  uint32: fc.integer({ min: 0, max: 0xffffffff }),
  int32: fc.integer(),
  fixed32: fc.integer({ min: 0, max: 0xffffffff }),
  uint64: fc.oneof(fc.maxSafeNat(), fc.nat({ max: 0x20000000 }), fc.nat({ max: 300 })),
  int64: fc.maxSafeNat(),
  double: fc.double({ noNaN: true }),
} as const;

function valuesOf(field: protobuf.Field, depth: number): fc.Arbitrary<unknown> {
  const { type, resolvedType } = field;
  if (resolvedType instanceof Type) return messageOf(resolvedType, depth + 1);
  if (resolvedType instanceof Enum) return fc.constantFrom(...Object.values(resolvedType.values));
  if (type === 'string') return fc.oneof(fc.string(), fc.string({ minLength: 100, maxLength: 300 }));
  if (type === 'bytes') return fc.uint8Array({ maxLength: 300 });
  if (type === 'bool') return fc.boolean();
  return Object.entries(numbers).find(([name]) => name === type)?.[1] ?? assert.fail(`no values for ${type}`);
}

function messageOf(type: protobuf.Type, depth = 0): fc.Arbitrary<Message> {
  const fields = type.fieldsArray.map((field) => {
    if (depth > 3 && field.resolvedType instanceof Type) return [field.name, fc.constant(null)] as const;
    const value = valuesOf(field, depth);
    if (field instanceof MapField) {
      assert.equal(field.keyType, 'string', field.fullName);
      return [
        field.name,
        fc.dictionary(fc.string({ minLength: 1 }), value, { maxKeys: 3, noNullPrototype: true }),
      ] as const;
    }
    if (field.repeated) return [field.name, fc.array(value, { maxLength: 3 })] as const;
    return [field.name, fc.option(value)] as const;
  });
  const record = fc.record(Object.fromEntries(fields), { requiredKeys: [] });
  // Of a oneof one field at the most.
  return record.map((message) => {
    for (const { oneof } of type.oneofsArray) {
      const given = oneof.filter((name) => message[name] != null);
      for (const name of given.slice(1)) delete message[name];
    }
    return message;
  });
}

describe('encoded messages', () => {
  it('are as protobufjs by itself encodes them, whatever they say', () => {
    for (const type of messageTypes()) {
      fc.assert(
        fc.property(messageOf(type), (message) => {
          const expected = type.encode(type.create(message)).finish();
          assert.deepEqual(Buffer.from(codecOf(type).encode(message).finish()), Buffer.from(expected), type.fullName);
        }),
        { numRuns: 30 },
      );
    }
  });

  it('may begin while another one is under way', () => {
    const outer = messageWriter().uint32(10).string('outer');
    const inner = messageWriter().uint32(18).string('inner').finish();
    assert.equal(Buffer.from(inner).toString('latin1'), '\x12\x05inner');
    assert.equal(Buffer.from(outer.finish()).toString('latin1'), '\x0a\x05outer');
  });

  it('may follow one that could not be encoded', () => {
    const unreadable = {
      get agentId(): string {
        throw new Error('no text');
      },
    };
    assert.throws(() => sublet.v1.LeaveRequest.encode(unreadable));
    assert.equal(Buffer.from(sublet.v1.LeaveRequest.encode({ agentId: 'a' }).finish()).toString('latin1'), '\x0a\x01a');
  });

  it('are each in memory of their own', () => {
    const first = sublet.v1.LeaveRequest.encode({ agentId: 'first' }).finish();
    sublet.v1.LeaveRequest.encode({ agentId: 'other' }).finish();
    assert.equal(Buffer.from(first).toString('latin1'), '\x0a\x05first');
  });
});
