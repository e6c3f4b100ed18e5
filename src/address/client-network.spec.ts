import assert from 'node:assert/strict';
import { clientNetwork } from '#address/client-network.js';

describe('the network of a caller', () => {
  it('is an IPv4 address itself, also in IPv6 form', () => {
    for (const text of [
      '10.0.0.1',
      '::ffff:10.0.0.1',
      '[::ffff:10.0.0.1]',
      '::ffff:a00:1',
      '0:0:0:0:0:ffff:10.0.0.1',
    ]) {
      assert.equal(clientNetwork(text), '10.0.0.1', text);
    }
  });

  it('is the /64 of an IPv6 address, however it is written', () => {
    for (const text of [
      '2001:db8::1',
      '2001:DB8:0:0:ffff::9',
      '[2001:db8::7]',
      '2001:db8:0:0:1:2:3:4',
      '2001:db8::2%eth0',
    ]) {
      assert.equal(clientNetwork(text), '2001:db8::/64', text);
    }
    assert.equal(clientNetwork('2001:db8:0:1::1'), '2001:db8:0:1::/64');
    assert.equal(clientNetwork('fe80::1%eth0'), 'fe80::/64');
    assert.equal(clientNetwork('::1'), '::/64');
    // Deprecated forms with an IPv4 address at their end are no IPv4 address.
    assert.equal(clientNetwork('::10.0.0.1'), '::/64');
    assert.equal(clientNetwork('64:ff9b::10.0.0.1'), '64:ff9b::/64');
  });

  it('is another text as it is', () => {
    for (const text of ['', 'unknown', '10.0.0.1:80', '1.2.3']) assert.equal(clientNetwork(text), text);
  });
});
