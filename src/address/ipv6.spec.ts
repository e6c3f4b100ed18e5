import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import { formatIpv6, ipv6, parseIpv6, readIpv6 } from '#address/ipv6.js';

describe('IPv6 addresses', () => {
  // The examples of RFC 5952 §1, §2 and §4, and a few of our own.
  const canonical: [string, string][] = [
    ['2001:0db8:0000:0000:0001:0000:0000:0001', '2001:db8::1:0:0:1'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['fd01:b::', 'fd01:b::'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['::ffff:a00:1', '::ffff:10.0.0.1'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304'],
  ];
  for (const [given, expected] of canonical) {
    it(`write ${given} as ${expected}`, () => assert.equal(formatIpv6(parseIpv6(given)), expected));
  }

  const bad = [
    '',
    ':',
    ':::',
    '1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1::2::3',
    '1:2:3:4:5:6:7:8::',
    '::1:2:3:4:5:6:7:8',
    '12345::',
    'g::',
  ];
  bad.push(
    'fe80::1%eth0',
    '::1.2.3',
    '::1.2.3.4:5',
    '1.2.3.4::',
    '::01.2.3.4',
    ' ::1',
    '::1/64',
    '1:2:3:4:5:6:7:1.2.3.4',
    ':1::2',
    '1::2:',
  );
  for (const text of bad) {
    it(`refuse ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseIpv6(text),
        (error) => error instanceof AddressError && error.value === text,
      );
    });
  }

  it('read back as they were written, zeros in any place', () => {
    const word = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 0xffff }));
    fc.assert(
      fc.property(fc.array(word, { minLength: 8, maxLength: 8 }), (words) => {
        const value = ipv6(words.reduce((sum, next) => (sum << 16n) | BigInt(next), 0n));
        assert.equal(parseIpv6(formatIpv6(value)), value);
        assert.equal(parseIpv6(words.map((next) => next.toString(16)).join(':')), value);
      }),
    );
  });

  it('are distinguished from other text as in Node', () => {
    const piece = fc.constantFrom(':', '::', '0', '1', 'ffff', 'abcde', '1.2.3.4', 'g');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 17 }), (pieces) => {
        const text = pieces.join('');
        assert.equal(readIpv6(text) !== undefined, isIPv6(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('refuse numbers beyond 128 bits', () => {
    assert.throws(() => ipv6(-1n), AddressError);
    assert.throws(() => ipv6(1n << 128n), AddressError);
  });
});
