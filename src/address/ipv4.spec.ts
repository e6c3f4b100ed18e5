import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import { formatIpv4, ipv4, parseIpv4 } from '#address/ipv4.js';

describe('IPv4 addresses', () => {
  it('are the number that the network byte order spells', () => {
    assert.equal(parseIpv4('9.0.0.1'), 0x09000001);
    assert.equal(parseIpv4('255.255.255.255'), 0xffffffff);
    assert.equal(formatIpv4(ipv4(0x2c800001)), '44.128.0.1');
  });

  it('read back as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => {
        assert.equal(parseIpv4(formatIpv4(ipv4(value))), value);
      }),
    );
  });

  for (const text of [
    '',
    '9.0.0',
    '9.0.0.0.1',
    '9.0.0.256',
    '09.0.0.1',
    '9.0.0.01',
    ' 9.0.0.1',
    '9.0.0.1 ',
    '9.0.0.x',
    '9..0.1',
    '0x9.0.0.1',
    '٩.0.0.1',
    '9.0.0.1\n',
  ]) {
    it(`refuse ${JSON.stringify(text)}, saying what is allowed`, () => {
      assert.throws(
        () => parseIpv4(text),
        (error) => error instanceof AddressError && error.value === text && /0 to 255/.test(error.message),
      );
    });
  }

  it('refuse numbers beyond 32 bits', () => {
    for (const value of [-1, 2 ** 32, 1.5, Number.NaN]) assert.throws(() => ipv4(value), AddressError);
  });

  it('cut a long value short in the message', () => {
    assert.throws(
      () => parseIpv4('9'.repeat(100_000)),
      (error) => error instanceof AddressError && error.message.length < 250,
    );
  });
});
