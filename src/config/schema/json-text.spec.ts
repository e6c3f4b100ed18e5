import assert from 'node:assert/strict';
import fc from 'fast-check';
import { JsonTextError, parseJsonText } from '#config/schema/json-text.js';

describe('JSON text', () => {
  it('reads what JSON.parse reads, and says so', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 1, 2, '\t'), (json, indent) => {
        const text = JSON.stringify(JSON.parse(json), undefined, indent);
        assert.deepEqual(parseJsonText(text).value, JSON.parse(text));
      }),
    );
  });

  it('refuses what JSON.parse refuses', () => {
    fc.assert(
      fc.property(
        fc.json(),
        fc.nat(),
        fc.constantFrom('', ',', '}', ']', '"', '\\', '-', '.', 'x', '\n', '\0'),
        (json, at, put) => {
          const cut = at % (json.length + 1);
          const text = json.slice(0, cut) + put + json.slice(cut + 1);
          let wanted: unknown;
          try {
            wanted = JSON.parse(text);
          } catch {
            assert.throws(() => parseJsonText(text), JsonTextError);
            return;
          }
          let read: unknown;
          try {
            read = parseJsonText(text).value;
          } catch (error) {
            // The one thing that it is stricter in.
            assert.match(String(error), /there twice/);
            return;
          }
          assert.deepEqual(read, wanted);
        },
      ),
    );
  });

  it('knows the line of each value, and of the nearest around one that is not there', () => {
    const text = parseJsonText('{\n  "a": [1,\n    {"b":\n      2}],\n  "c": {}\n}\n');
    assert.equal(text.line([]), 1);
    assert.equal(text.line(['a']), 2);
    assert.equal(text.line(['a', 0]), 2);
    assert.equal(text.line(['a', 1]), 3);
    assert.equal(text.line(['a', 1, 'b']), 3);
    assert.equal(text.line(['c', 'd', 'e']), 5);
  });

  const wrong: readonly (readonly [string, string, number, number])[] = [
    ['', 'the file is empty: a JSON object { … } is expected', 1, 1],
    ['{"a": 1,\n}', '"," before "}"', 2, 1],
    ['{"a": 1\n "b": 2}', '"\\"" where "," or "}" is expected', 2, 2],
    ['{"a" 1}', '"1" where ":" is expected after the key "a"', 1, 6],
    ['{a: 1}', '"a" where a key in double quotes is expected', 1, 2],
    ['{\n // no\n}', '"/" (JSON has no comments) where a key in double quotes is expected', 2, 2],
    ['{"a": tru}', '"tru" where a value is expected', 1, 7],
    ['{"a": "x\n"}', 'a text that does not end on its line, or has a wrong \\ in it', 1, 7],
    ['{"a": 1} {', '"{" after the end of the document', 1, 10],
    ['{"a": [1', 'the end of the file where "," or "]" is expected', 1, 9],
    ['{"a": 1,\n "b": 2, "a": 3}', 'the key "a" is there twice', 2, 10],
    ['['.repeat(40), 'nested more than 32 deep', 1, 34],
  ];
  for (const [text, message, line, column] of wrong) {
    it(`says of ${JSON.stringify(text.slice(0, 24))}: ${message}`, () => {
      assert.throws(() => parseJsonText(text), { name: 'JsonTextError', message, line, column });
    });
  }

  it('takes a key named __proto__ for a key', () => {
    assert.deepEqual(Object.keys(Object(parseJsonText('{"__proto__": 1}').value)), ['__proto__']);
  });
});
