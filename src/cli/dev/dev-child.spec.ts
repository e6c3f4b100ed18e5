import assert from 'node:assert/strict';
import { lastWordsOf } from '#cli/dev/dev-child.js';

describe('the last words of a process of sublet dev', () => {
  const said = (msg: string): string => `${JSON.stringify({ level: 'fatal', msg })}\n`;

  it('are its last five messages, each once', () => {
    const again = [said('m2 was removed'), 'sublet: m2 was removed\n'].join('').repeat(5);
    assert.deepEqual(lastWordsOf(again), ['m2 was removed', 'sublet: m2 was removed']);
    const many = Array.from({ length: 9 }, (_, at) => said(`message ${at}`)).join('');
    assert.deepEqual(
      lastWordsOf(many),
      [4, 5, 6, 7, 8].map((at) => `message ${at}`),
    );
    assert.deepEqual(lastWordsOf(''), []);
  });
});
