import assert from 'node:assert/strict';
import { bareHostOf, hostOf, portOf, remoteHostOf } from '#address/host-and-port.js';

describe('HOST:PORT', () => {
  it('has a host, with or without the brackets of an IPv6 address, and a port', () => {
    for (const [address, host, bare, port] of [
      ['127.0.0.1:7070', '127.0.0.1', '127.0.0.1', 7070],
      ['master-1.example:7071', 'master-1.example', 'master-1.example', 7071],
      ['[2001:db8::1]:7070', '[2001:db8::1]', '2001:db8::1', 7070],
      // As a socket names its other end.
      ['::ffff:10.0.0.1:40000', '::ffff:10.0.0.1', '::ffff:10.0.0.1', 40_000],
      [':7070', '', '', 7070],
    ] as const) {
      assert.deepEqual([hostOf(address), bareHostOf(address), portOf(address)], [host, bare, port]);
    }
    assert.deepEqual(
      [
        '::ffff:10.0.0.1:40000',
        '[::ffff:10.0.0.1]:40000',
        '10.0.0.1:40000',
        '2001:db8::1:40000',
        '::ffff:1:2:40000',
        '',
      ].map(remoteHostOf),
      ['10.0.0.1', '10.0.0.1', '10.0.0.1', '2001:db8::1', '::ffff:1:2', ''],
    );
    assert.deepEqual([hostOf(''), hostOf('master-1')], ['', '']);
  });
});
