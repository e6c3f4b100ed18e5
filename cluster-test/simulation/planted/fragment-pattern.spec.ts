import assert from 'node:assert/strict';
import { fragmentPattern } from '#cluster-test/simulation/planted/fragment-pattern.js';

describe('a fragment of code', () => {
  const fragment = 'if (core.log.term(index) !== core.term) {\n  return commit(index, [1]);';

  it('is found however it is laid out', () => {
    for (const text of [
      fragment,
      'x; if(core.log.term( index )!==core.term){return commit(index,[1]);}',
      'if (\n  core.log.term(index) !==\n  core.term\n) {\n\treturn commit(\n    index,\n    [\n      1,\n    ],\n  );',
    ]) {
      assert.equal([...text.matchAll(fragmentPattern(fragment))].length, 1, text);
    }
  });

  it('is not found in other code', () => {
    for (const text of [
      fragment.replace('!==', '==='),
      fragment.replace('return commit', 'returncommit'),
      fragment.replace('core.term)', 'core.terms)'),
      fragment.replace('[1]', '[1, 2]'),
    ]) {
      assert.deepEqual([...text.matchAll(fragmentPattern(fragment))], [], text);
    }
    assert.deepEqual([...'anode.vote = 0'.matchAll(fragmentPattern('node.vote'))], []);
    assert.deepEqual([...'node.votes = 0'.matchAll(fragmentPattern('node.vote'))], []);
  });
});
