import assert from 'node:assert/strict';
import { isLoopback, unreachableUse } from '#address/host-address.js';
import { parseIp } from '#address/ip.js';

describe('An underlay address', () => {
  const unreachable: readonly (readonly [string, RegExp])[] = [
    ['0.0.0.0', /unspecified/],
    ['0.255.255.255', /unspecified/],
    ['127.0.0.0', /loopback/],
    ['127.0.1.1', /loopback/],
    ['127.255.255.255', /loopback/],
    ['169.254.0.0', /link-local/],
    ['169.254.255.255', /link-local/],
    ['224.0.0.1', /multicast/],
    ['239.255.255.255', /multicast/],
    ['255.255.255.255', /broadcast/],
    ['::', /unspecified/],
    ['::1', /loopback/],
    ['::7f00:1', /IPv4 address in IPv6 form/],
    ['::ffff:127.0.0.1', /IPv4 address in IPv6 form/],
    ['::ffff:10.0.0.1', /IPv4 address in IPv6 form/],
    ['fe80::1', /link-local/],
    ['febf:ffff::1', /link-local/],
    ['ff02::1', /multicast/],
  ];
  for (const [text, use] of unreachable) {
    it(`can’t be ${text}`, () => assert.match(unreachableUse(parseIp(text)) ?? 'nothing against it', use));
  }

  const reachable = ['1.0.0.0', '126.255.255.255', '128.0.0.1', '169.253.255.255', '169.255.0.1', '10.0.2.15'];
  const reachable6 = ['2001:db8::1', 'fd00::1', 'fe7f::1', 'fec0::1', '64:ff9b::a00:1'];
  for (const text of [...reachable, '192.0.2.1', '100.64.0.1', '223.255.255.254', ...reachable6]) {
    it(`can be ${text}`, () => assert.equal(unreachableUse(parseIp(text)), undefined));
  }
});

describe('a loopback host', () => {
  for (const host of ['127.0.0.1', '127.255.0.9', '::1', '[::1]', 'localhost']) {
    it(`is ${host}`, () => assert.equal(isLoopback(host), true));
  }
  for (const host of ['127.999.0.1', '127.0.0.1.example', '10.0.0.1', '[::]', '0.0.0.0', 'master-1', '']) {
    it(`is not ${host}`, () => assert.equal(isLoopback(host), false));
  }
});
