import assert from 'node:assert/strict';
import { openAddresses, openWarnings } from '#master/process/open-addresses.js';

describe('what other machines reach of a master without TLS', () => {
  const loopback = { listen: '127.0.0.1:7070', peerListen: '[::1]:7071', httpListen: 'localhost:7072' };
  const beyond = { listen: '10.0.0.1:7070', peerListen: '0.0.0.0:7071', httpListen: '[::]:7072' };
  const options = (listening: Parameters<typeof openAddresses>[0]): readonly string[] =>
    openAddresses(listening).map(({ option }) => option);

  it('is each port beyond loopback, and behind TLS none but HTTP in clear', () => {
    assert.deepEqual(options(loopback), []);
    assert.deepEqual(options(beyond), ['listen', 'peerListen', 'httpListen']);
    assert.deepEqual(options({ ...beyond, tls: {} }), ['httpListen']);
    assert.deepEqual(options({ ...beyond, tls: {}, httpTls: true }), []);
    assert.deepEqual(options({ ...beyond, httpTls: true }), ['listen', 'peerListen', 'httpListen']);
  });

  it('R1: is in one warning, with the addresses', () => {
    assert.deepEqual(openWarnings([]), []);
    const [warning, ...more] = openWarnings(openAddresses({ ...loopback, listen: '10.0.0.1:7070' }));
    assert.match(
      warning?.message ?? '',
      /^other machines reach 10\.0\.0\.1:7070 without TLS \(insecure\): every caller/,
    );
    assert.deepEqual(more, []);
  });
});
