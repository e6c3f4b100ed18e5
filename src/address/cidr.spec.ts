import assert from 'node:assert/strict';
import fc from 'fast-check';
import { AddressError } from '#address/brand.js';
import * as v4 from '#address/cidr4.js';
import * as v6 from '#address/cidr6.js';
import { containsIp, familyOf, formatCidr, formatIp, isCidr4, parseCidr, parseIp } from '#address/ip.js';
import { ipv4, parseIpv4 } from '#address/ipv4.js';
import { ipv6, parseIpv6 } from '#address/ipv6.js';

const anyCidr4 = fc
  .tuple(fc.integer({ min: 0, max: 0xffffffff }), fc.integer({ min: 0, max: 32 }))
  .map(([address, prefix]) => v4.networkOf4({ address: ipv4(address), prefix }));
const anyCidr6 = fc
  .tuple(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), fc.integer({ min: 0, max: 128 }))
  .map(([address, prefix]) => v6.networkOf6({ address: ipv6(address), prefix }));

describe('IPv4 networks', () => {
  it('are cut as in the worked example', () => {
    const dcos = v4.parseCidr4('9.0.0.0/8');
    const second = v4.subnetAt4(dcos, 24, 1);
    assert.equal(v4.formatCidr4(second), '9.0.1.0/24');
    assert.deepEqual(v4.halves4(second).map(v4.formatCidr4), ['9.0.1.0/25', '9.0.1.128/25']);
    assert.equal(v4.firstHost4(second), parseIpv4('9.0.1.1'));
    assert.equal(v4.subnetCount4(dcos, 24), 65536);
    assert.equal(v4.addressAt4(v4.parseCidr4('44.128.0.0/20'), 4095), parseIpv4('44.128.15.255'));
  });

  it('hold the addresses from first to last and no other', () => {
    fc.assert(
      fc.property(anyCidr4, fc.integer({ min: 0, max: 0xffffffff }), (network, value) => {
        const inside = value >= network.address && value <= v4.last4(network);
        assert.equal(v4.contains4(network, ipv4(value)), inside);
        if (inside) assert.equal(v4.addressAt4(network, v4.offsetOf4(network, ipv4(value))), value);
        else assert.throws(() => v4.offsetOf4(network, ipv4(value)), AddressError);
        assert.deepEqual(v4.parseCidr4(v4.formatCidr4(network)), network);
      }),
    );
  });

  it('overlap exactly if an address is in both', () => {
    fc.assert(
      fc.property(anyCidr4, anyCidr4, (a, b) => {
        const both = Math.max(a.address, b.address) <= Math.min(v4.last4(a), v4.last4(b));
        assert.equal(v4.overlaps4(a, b), both);
      }),
    );
  });

  it('keep host bits only as interface addresses', () => {
    const vtep = v4.parseInterface4('44.128.0.1/20');
    assert.equal(v4.formatCidr4(vtep), '44.128.0.1/20');
    assert.equal(v4.formatCidr4(v4.networkOf4(vtep)), '44.128.0.0/20');
    assert.throws(
      () => v4.parseCidr4('44.128.0.1/20'),
      /"44.128.0.1\/20" has host bits: 44.128.0.0\/20 is the network/,
    );
  });

  for (const text of [
    '9.0.0.0',
    '9.0.0.0/',
    '9.0.0.0/33',
    '9.0.0.0/08',
    '9.0.0.0/-1',
    '9.0.0.0/8/8',
    '/8',
    '9.0.0/8',
    'fd01::/64',
  ]) {
    it(`refuse ${text}`, () => assert.throws(() => v4.parseCidr4(text), AddressError));
  }

  it('have no piece beyond the last and none larger than themselves', () => {
    const network = v4.parseCidr4('10.0.0.0/30');
    assert.equal(v4.subnetCount4(network, 29), 0);
    assert.throws(() => v4.subnetAt4(network, 32, 4), /has no subnet 4 of prefix 32: it has 4/);
    assert.throws(() => v4.halves4(v4.parseCidr4('10.0.0.1/32')), AddressError);
    assert.throws(() => v4.addressAt4(network, 4), /has no address at offset 4: 0 to 3/);
  });

  it('of prefix 0 are everything', () => {
    const all = v4.parseCidr4('0.0.0.0/0');
    assert.equal(v4.size4(all), 2 ** 32);
    assert.ok(v4.contains4(all, ipv4(0xffffffff)));
  });
});

describe('IPv6 networks', () => {
  it('are cut as in the DC/OS example', () => {
    const dcos6 = v6.parseCidr6('fd01:b::/64');
    const second = v6.subnetAt6(dcos6, 80, 1n);
    assert.equal(v6.formatCidr6(second), 'fd01:b:0:0:1::/80');
    assert.deepEqual(v6.halves6(second).map(v6.formatCidr6), ['fd01:b:0:0:1::/81', 'fd01:b::1:8000:0:0/81']);
    assert.equal(v6.firstHost6(second), parseIpv6('fd01:b::1:0:0:1'));
    assert.equal(v6.subnetCount6(v6.parseCidr6('fd01:b::/64'), 126), 1n << 62n);
  });

  it('hold the addresses from first to last and no other', () => {
    fc.assert(
      fc.property(anyCidr6, fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (network, value) => {
        const inside = value >= network.address && value <= v6.last6(network);
        assert.equal(v6.contains6(network, ipv6(value)), inside);
        if (inside) assert.equal(v6.addressAt6(network, v6.offsetOf6(network, ipv6(value))), value);
        assert.deepEqual(v6.parseCidr6(v6.formatCidr6(network)), network);
      }),
    );
  });

  it('overlap exactly if an address is in both', () => {
    fc.assert(
      fc.property(anyCidr6, anyCidr6, (a, b) => {
        const apart = a.address > v6.last6(b) || b.address > v6.last6(a);
        assert.equal(v6.overlaps6(a, b), !apart);
      }),
    );
  });

  for (const text of ['fd01::', 'fd01::/129', 'fd01::1/64', 'fd01::/064', '9.0.0.0/8', '::/']) {
    it(`refuse ${text}`, () => assert.throws(() => v6.parseCidr6(text), AddressError));
  }
});

describe('addresses of either family', () => {
  it('are distinguished by their text', () => {
    assert.equal(familyOf(parseIp('10.0.0.1')), 4);
    assert.equal(familyOf(parseIp('fd00::1')), 6);
    assert.equal(formatIp(parseIp('FD00::1')), 'fd00::1');
    assert.throws(() => parseIp('host'), AddressError);
  });

  it('are in networks of their own family only', () => {
    assert.ok(containsIp(parseCidr('9.0.0.0/8'), parseIp('9.1.2.3')));
    assert.ok(!containsIp(parseCidr('::/0'), parseIp('9.1.2.3')));
    assert.ok(!containsIp(parseCidr('0.0.0.0/0'), parseIp('::9')));
    assert.ok(isCidr4(parseCidr('9.0.0.0/8')));
    assert.equal(formatCidr(parseCidr('fd01:B::/64')), 'fd01:b::/64');
  });
});
