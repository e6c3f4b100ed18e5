import assert from 'node:assert/strict';
import { isLoopback } from '#address/host-address.js';
import { formatHostPort, parseHostPort } from '#config/host-port.js';

describe('HOST:PORT', () => {
  const right: readonly (readonly [string, string, boolean])[] = [
    ['127.0.0.1:7070', '127.0.0.1:7070', true],
    ['127.9.9.9:0', '127.9.9.9:0', true],
    ['[0:0::1]:7070', '[::1]:7070', true],
    ['[FD00::A]:1', '[fd00::a]:1', false],
    ['localhost:7070', 'localhost:7070', true],
    ['0.0.0.0:7070', '0.0.0.0:7070', false],
    ['[::]:7070', '[::]:7070', false],
    ['master-1.example:65535', 'master-1.example:65535', false],
    ['127.example:1', '127.example:1', false],
  ];
  for (const [text, written, loopback] of right) {
    it(`reads ${text}, ${loopback ? 'loopback' : 'not loopback'}`, () => {
      const parsed = parseHostPort(text);
      assert.equal(formatHostPort(parsed), written);
      assert.equal(isLoopback(parsed.host), loopback);
    });
  }

  const wrong: readonly (readonly [string, RegExp])[] = [
    ['127.0.0.1', /has no port/],
    ['::1', /has no port/],
    ['master-1', /has no port/],
    ['::1:7070', /has no port/], // An address by itself, as it happens.
    [':7070', /has no host/],
    ['127.0.0.1:70000', /has port 70000: 1 to 65535 is allowed/],
    ['127.0.0.1:x', /is not HOST:PORT/],
    ['1.2.3:7070', /has no IPv4 address before its port/],
    ['[1.2.3.4]:7070', /has no IPv6 address in its brackets/],
    ['-a:7070', /has no host name or address before its port/],
    ['http://a:7070', /is a URL/],
    ['zk://a:2181', /is a ZooKeeper address/],
    ['', /is not HOST:PORT/],
  ];
  for (const [text, message] of wrong) {
    it(`does not read ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseHostPort(text), { name: 'AddressError', message });
    });
  }
});
