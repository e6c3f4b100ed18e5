import assert from 'node:assert/strict';
import { MessageMeter, pieceBytes } from '#http2/message-meter.js';

function message(bytes: number): Buffer {
  const made = Buffer.alloc(5 + bytes, 'x');
  made.writeUInt8(0, 0);
  made.writeUInt32BE(bytes, 1);
  return made;
}

/** A piece in memory of its own. */
function alone(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes);
}

describe('a message meter', () => {
  it('keeps nothing of whole messages, however many come in one piece', () => {
    const meter = new MessageMeter();
    assert.equal(meter.add(alone(Buffer.concat([message(0), message(7), message(300)]))), 3);
    assert.equal(meter.kept, 0);
  });

  it('counts the bytes of a message that is not whole and what each piece costs, until it is whole', () => {
    const meter = new MessageMeter();
    const whole = message(70_000);
    const ends = [0, 1, 3, 20_000, 60_000];
    let kept = 0;
    for (const [at, begin] of ends.entries()) {
      const piece = alone(whole.subarray(begin, ends[at + 1] ?? 70_004));
      assert.equal(meter.add(piece), 0);
      kept += piece.length + pieceBytes;
      assert.equal(meter.kept, kept);
    }
    assert.equal(meter.length, 70_000);
    assert.equal(meter.add(alone(whole.subarray(70_004))), 1);
    assert.equal(meter.kept, 0);
  });

  it('counts memory that pieces share once, all of it', () => {
    const meter = new MessageMeter();
    const read = new Uint8Array(1_000);
    read.set(message(900));
    meter.add(read.subarray(0, 10));
    assert.equal(meter.kept, 1_000 + pieceBytes);
    meter.add(read.subarray(10, 11));
    assert.equal(meter.kept, 1_000 + 2 * pieceBytes);
    // Of another read one byte is taken, and all of it is kept.
    meter.add(new Uint8Array(64_000).subarray(5, 6));
    assert.equal(meter.kept, 65_000 + 3 * pieceBytes);
  });

  it('counts the begun message behind a whole one', () => {
    const meter = new MessageMeter();
    assert.equal(meter.add(alone(Buffer.concat([message(8), message(8).subarray(0, 6)]))), 1);
    assert.equal(meter.kept, 13 + 6 + pieceBytes);
    assert.equal(meter.length, 8);
  });
});
