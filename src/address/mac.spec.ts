import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import { parseIpv4 } from '#address/ipv4.js';
import { formatMac, mac, macFor, parseMac, parseOui } from '#address/mac.js';

describe('MAC addresses', () => {
  it('of VTEPs are the OUI and the low 24 bits of the VTEP address', () => {
    assert.equal(formatMac(macFor(parseOui('70:B3:D5:00:00:00'), parseIpv4('44.128.0.1'))), '70:b3:d5:80:00:01');
    assert.equal(formatMac(macFor(parseOui('fe:ff:ff:00:00:00'), parseIpv4('44.255.255.255'))), 'fe:ff:ff:ff:ff:ff');
  });

  it('read back as they were written', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 48 - 1 }), (value) => {
        assert.equal(parseMac(formatMac(mac(value))), value);
      }),
    );
  });

  for (const text of [
    '',
    '70:b3:d5:80:00',
    '70:b3:d5:80:00:01:02',
    '70-b3-d5-80-00-01',
    '7:b3:d5:80:00:01',
    'g0:b3:d5:80:00:01',
  ]) {
    it(`refuse ${JSON.stringify(text)}`, () => assert.throws(() => parseMac(text), AddressError));
  }

  it('are an OUI only with three zero bytes and no group bit', () => {
    assert.throws(() => parseOui('70:b3:d5:00:00:01'), /low three bytes must be zero/);
    assert.throws(() => parseOui('01:00:5e:00:00:00'), /multicast/);
    assert.throws(() => mac(2 ** 48), AddressError);
  });
});
