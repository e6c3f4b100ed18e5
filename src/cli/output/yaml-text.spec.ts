import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { parse } from 'yaml';
import { yamlText } from '#cli/output/yaml-text.js';

describe('YAML', () => {
  it('keeps every value, and holds no unprintable character', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', ' ', ':', '#', '\u202e', '\u2028', '\n', '\u001b', '\\', '"', 'ä', '-'),
    });
    const value = fc.dictionary(text, fc.oneof(text, fc.boolean(), fc.integer(), fc.array(text)));
    fc.assert(
      fc.property(value, (one) => {
        const yaml = yamlText({ ...one });
        assert.doesNotMatch(yaml, /[^\P{Cc}\n]|[\p{Cf}\u2028\u2029]/u);
        assert.deepEqual(parse(yaml), { ...one });
      }),
    );
  });

  it('writes 64-bit numbers, which are texts in JSON, so that they stay texts', () => {
    assert.equal(yamlText({ revision: '9', prefix: 24 }), 'revision: "9"\nprefix: 24\n');
  });
});
