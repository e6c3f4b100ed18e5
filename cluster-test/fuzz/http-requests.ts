/** Requests of HTTP/1.1, most of them wrong in some way, as bytes of a connection. */
import type { Chance } from '#cluster-test/fuzz/chance.js';

const methods = [
  'GET',
  'GET',
  'POST',
  'HEAD',
  'PUT',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
  'PRI',
  'get',
  '',
  'G T',
  '\u00ff',
];
const targets = [
  ...[
    '/healthz',
    '/readyz',
    '/metrics',
    '/overlay-master/state',
    '/overlay-master/overlays',
    '/',
    '*',
    '',
    '//',
    '/..',
  ],
  ...['/ui/', '/ui/blocks?overlay=%ff&family=v6', '/ui/blocks?%', '/sublet.v1.OperatorService/ListHistory'],
  ...[
    '/sublet.v1.OperatorService/GetAgent?message=%7B%22',
    '/sublet.v1.ClusterService/GetStatus?base64=1&message=%',
    '/sublet.v1./',
  ],
  ...['/%00', '/%', '/\u00ff', 'http://127.0.0.1/metrics', 'x:1', '/metrics?a=%ff', `/${'a'.repeat(9_000)}`],
];
const versions = ['HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0', 'HTTP/2.0', 'HTTP/9', 'http/1.1', ''];
const headers = [
  ...[
    'Host: 127.0.0.1',
    'Host: localhost',
    'Host: attacker.example',
    'Host:',
    'Host: a\r\nHost: b',
    'Content-Length: 5',
  ],
  ...['Content-Length: -1', 'Content-Length: 5, 6', 'Content-Length: 99999999999999999999', 'Content-Length: 0x5'],
  ...[
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: chunked, identity',
    'Transfer-Encoding:\tchunked',
    'Expect: 100-continue',
  ],
  ...['Connection: close', 'Connection: upgrade', 'Upgrade: h2c', 'Origin: http://attacker.example', ' folded: x'],
  ...[
    'Content-Type: application/json',
    'Content-Type: text/plain',
    'no-colon',
    '\u0000: x',
    'x: \u0001',
    `x: ${'y'.repeat(9_000)}`,
  ],
];
const bodies = [
  '',
  '{}',
  '{"agent_ids":["fuzzed-0"]}',
  '5\r\nhello\r\n0\r\n\r\n',
  'ffffffff\r\nx',
  '0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n',
];
const ends = ['\r\n', '\r\n', '\r\n', '\n', '\r'];

export function brokenRequest(chance: Chance): Buffer {
  const end = chance.pick(ends);
  const lines = [`${chance.pick(methods)} ${chance.pick(targets)} ${chance.pick(versions)}`];
  for (let more = chance.below(6); more > 0; more--) lines.push(chance.pick(headers));
  const whole = Buffer.from(`${lines.join(end)}${end}${end}${chance.pick(bodies)}`, 'latin1');
  return chance.below(3) === 0 ? chance.mutated(whole) : whole;
}
