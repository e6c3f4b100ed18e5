import assert from 'node:assert/strict';
import { fold, longestWord } from '#cli/fold.js';

describe('folded text', () => {
  it('is one line where it fits, as it is', () => {
    assert.deepEqual(fold('two  blanks', 11), ['two  blanks']);
    assert.deepEqual(fold('', 5), ['']);
  });

  it('breaks between words first', () => {
    assert.deepEqual(fold('one two three four', 9), ['one two', 'three', 'four']);
  });

  it('breaks a word that is too long at a sign of names and addresses, or where the line ends', () => {
    assert.deepEqual(fold('operator@127.0.0.1', 10), ['operator@', '127.0.0.1']);
    assert.deepEqual(fold('operator@127.0.0.1', 17), ['operator@', '127.0.0.1']);
    assert.deepEqual(fold('host-1.rack4.example', 14), ['host-1.rack4.', 'example']);
    assert.deepEqual(fold('fd01:b:0:0:1::/80', 15), ['fd01:b:0:0:1::', '/80']);
    assert.deepEqual(fold('fd01:cafe::1', 10), ['fd01:', 'cafe::1']);
    assert.deepEqual(fold('10.128.100.0/24', 13), ['10.128.100.0', '/24']);
    assert.deepEqual(fold('incomprehensible', 10), ['incomprehe', 'nsible']);
    // A seam near the beginning would leave most of the line empty.
    assert.deepEqual(fold('a-incomprehensible', 10), ['a-incompre', 'hensible']);
  });

  it('goes on after a broken word in its last line', () => {
    assert.deepEqual(fold('by operator@127.0.0.1 now', 13), ['by', 'operator@', '127.0.0.1 now']);
  });

  it('knows the longest word', () => {
    assert.equal(longestWord('on the host'), 4);
    assert.equal(longestWord(''), 0);
  });
});
