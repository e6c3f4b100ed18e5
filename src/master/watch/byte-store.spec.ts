import assert from 'node:assert/strict';
import { ByteStore } from '#master/watch/byte-store.js';

describe('a byte store', () => {
  it('keeps copies, many of which share their memory', () => {
    const store = new ByteStore();
    const source = Buffer.alloc(100);
    const kept = Array.from({ length: 2_000 }, (_, number) => store.keep(source.fill(number)));
    source.fill(0xff);
    for (const [number, bytes] of kept.entries()) assert.deepEqual(bytes, new Uint8Array(100).fill(number));
    const memory = new Set(kept.map(({ buffer }) => buffer));
    assert.equal(memory.size, 4);
    assert.ok([...memory].every(({ byteLength }) => byteLength === 64 * 1024));
  });

  it('keeps a long piece by itself', () => {
    const store = new ByteStore();
    const long = store.keep(new Uint8Array(100_000).fill(7));
    assert.equal(long.buffer.byteLength, 100_000);
    assert.equal(long[99_999], 7);
  });
});
