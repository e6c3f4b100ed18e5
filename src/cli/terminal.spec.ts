import assert from 'node:assert/strict';
import { wrap } from '#cli/terminal.js';

describe('text for a terminal', () => {
  it('breaks between words, and what follows stands two further in', () => {
    assert.equal(wrap('  one two three four', { columns: 11 }), '  one two\n    three\n    four');
    assert.equal(wrap('fits\nthis does not', { columns: 9 }), 'fits\nthis does\n  not');
  });

  it('leaves a word whole that is wider than the terminal, and everything for a pipe', () => {
    assert.equal(wrap('a 2001:db8:1:2:3:4:5:6/128 b', { columns: 10 }), 'a\n  2001:db8:1:2:3:4:5:6/128\n  b');
    assert.equal(wrap('one two three', { columns: undefined }), 'one two three');
  });

  it('does not count what only paints', () => {
    assert.equal(wrap('\u001b[31mred\u001b[39m two', { columns: 7 }), '\u001b[31mred\u001b[39m two');
  });
});
