import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import { formatCidr, formatIp, parseCidr, parseIp } from '#address/ip.js';
import { cidrBytes, cidrOfBytes, ipBytes, ipOfBytes } from '#address/ip-bytes.js';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('addresses as bytes', () => {
  it('are in network byte order', () => {
    assert.equal(hex(ipBytes(parseIp('10.0.1.200'))), '0a0001c8');
    assert.equal(hex(ipBytes(parseIp('fd00::1'))), `fd${'0'.repeat(29)}1`);
    assert.equal(hex(cidrBytes(parseCidr('9.0.1.0/24'))), '0900010018');
    assert.equal(hex(cidrBytes(parseCidr('fd00:9::/64'))), `fd000009${'0'.repeat(24)}40`);
  });

  it('of any address and network are read back as they were', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const ip = parseIp(text);
        assert.equal(ipOfBytes(ipBytes(ip)), ip);
        const whole = parseCidr(`${formatIp(ip)}/${typeof ip === 'number' ? 32 : 128}`);
        assert.equal(formatCidr(cidrOfBytes(cidrBytes(whole))), formatCidr(whole));
      }),
    );
  });

  it('are refused in another length, with host bits, or with a prefix beyond the address', () => {
    assert.throws(
      () => ipOfBytes(new Uint8Array(5)),
      new AddressError('0000000000', 'is not an IP address: it has 5 bytes, and 4 or 16 are allowed'),
    );
    assert.throws(() => ipOfBytes(new Uint8Array()), /it has 0 bytes/);
    assert.throws(() => cidrOfBytes(new Uint8Array(4)), /is not a network: it has 4 bytes, and 5 or 17 are allowed/);
    assert.throws(() => cidrOfBytes(Uint8Array.of(9, 0, 1, 7, 24)), /has host bits/);
    assert.throws(() => cidrOfBytes(Uint8Array.of(9, 0, 1, 7, 33)), /has a prefix of 33: 0 to 32 is allowed/);
  });
});
