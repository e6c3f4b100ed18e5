import assert from 'node:assert/strict';
import { pino } from 'pino';
import { readableLog } from '#cli/process/readable-log.js';

describe('a readable line of the log', () => {
  const at = { timestamp: () => ',"time":1750000000123' };
  /** What is printed for one call of the logger. */
  function printed(log: (logger: pino.Logger) => void, coloured = false): string {
    let out = '';
    const base = { process: 'agent', name: 'a1' };
    const write = (line: string): void => {
      out += readableLog(line, Object.keys(base), coloured);
    };
    log(pino({ ...at, base, level: 'trace' }, { write }));
    return out;
  }
  const untimed = (text: string): string => {
    assert.match(text, /^\[\d\d:\d\d:40\.123\] /);
    return text.slice(15);
  };

  it('has the time, the level, the message, and the fields but those of the process', () => {
    assert.equal(untimed(printed((log) => log.info('host changed'))), 'INFO: host changed\n');
    assert.equal(
      untimed(printed((log) => log.warn({ peers: 3, commands: ['ip link'], error: 'why' }, 'host changed'))),
      'WARN: host changed {"peers":3,"commands":["ip link"],"error":"why"}\n',
    );
    assert.equal(untimed(printed((log) => log.child({ peer: 'm2' }).trace('hello'))), 'TRACE: hello {"peer":"m2"}\n');
    assert.equal(untimed(printed((log) => log.fatal({ a: 1 }))), 'FATAL: {"a":1}\n');
  });

  it('has an error with its stack, its cause and its fields below', () => {
    const error = Object.assign(new Error('boom', { cause: new Error('why') }), { code: 'EIO' });
    const lines = untimed(printed((log) => log.error({ err: error, part: 'cni' }, 'failed'))).split('\n');
    assert.equal(lines[0], 'ERROR: failed {"part":"cni"}');
    assert.equal(lines[1], '    Error: boom');
    assert.ok(lines.some((line) => /^ {4}.*Error: why$/.test(line)));
    assert.ok(lines.includes('    {"code":"EIO"}'));
    assert.equal(untimed(printed((log) => log.error({ err: 'text' }, 'failed'))), 'ERROR: failed {"err":"text"}\n');
  });

  it('is painted where colours are', () => {
    assert.equal(untimed(printed((log) => log.error('failed'), true)), '\u001b[31mERROR\u001b[39m: failed\n');
  });

  it('has no control character but line feeds, whatever others wrote', () => {
    const evil = '\u001b]0;x\u0007 \u009b2J \r \u202e \u007f';
    const error = Object.assign(new Error(evil), { evil });
    const out = printed((log) => log.error({ err: error, [evil]: evil }, evil));
    assert.doesNotMatch(out, /[^\P{Cc}\n]|\p{Cf}/u);
  });
});
