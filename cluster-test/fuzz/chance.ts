/** Pieces of inputs, all from one seed. */
import { SeededRandom } from '#replica/testing/seeded-random.js';

/** Numbers at which something ends or begins. */
const edges = [0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32];
/** None is the name of a master, an agent or an overlay of the clusters that are fuzzed: what an operator asks for is done. */
const texts = [
  ...['', ' ', 'a', 'm9', 'dcos', 'host-7', '__proto__', 'constructor', '..', '/'],
  ...['9.0.0.0/24', '9.0.0.0/8', '0.0.0.0/0', '300.1.1.1', '10.0.0.1', '127.0.0.1', '::1', 'fd00::/8', '1.2.3.4/33'],
  ...[
    '127.0.0.1:1',
    'localhost:0',
    '[::1]:99999',
    '\0',
    '\u001b]0;x\u0007',
    '\u202e',
    '\ud800',
    '%00',
    '$(id)',
    '\r\n',
  ],
];

export class Chance extends SeededRandom {
  /** A text that is right now and then: the id of the caller. */
  own = '';

  pick<T>(from: readonly T[]): T {
    const picked = from[this.below(from.length)];
    if (picked === undefined) throw new RangeError('nothing to pick from');
    return picked;
  }

  /** Small, at an edge, or anything up to `max`. */
  number(max = Number.MAX_SAFE_INTEGER): number {
    switch (this.below(4)) {
      case 0:
        return this.below(16);
      case 1:
        return Math.min(max, this.pick(edges));
      case 2:
        return max - this.below(3);
      default:
        return Math.floor((this.below(2 ** 31) / 2 ** 31) * max);
    }
  }

  bytes(lengthMax: number): Buffer {
    return Buffer.from(Uint8Array.from({ length: this.below(lengthMax + 1) }, () => this.below(256)));
  }

  text(): string {
    switch (this.below(7)) {
      case 2:
        return this.own;
      case 0:
        return this.bytes(40).toString('latin1');
      case 1:
        return this.pick(texts).repeat(1 + this.below(300));
      default:
        return this.pick(texts);
    }
  }

  /** `bytes` with some of them changed, cut off, left out or repeated. */
  mutated(bytes: Uint8Array): Buffer {
    let changed = Buffer.from(bytes);
    for (let changes = 1 + this.below(4); changes > 0 && changed.length > 0; changes--) {
      const at = this.below(changed.length);
      const until = Math.min(changed.length, at + 1 + this.below(16));
      switch (this.below(6)) {
        case 0:
          changed = changed.subarray(0, at);
          break;
        case 1:
          changed = Buffer.concat([changed.subarray(0, at), changed.subarray(until)]);
          break;
        case 2:
          changed = Buffer.concat([changed.subarray(0, until), changed.subarray(at)]);
          break;
        case 3:
          changed = Buffer.concat([changed.subarray(0, at), this.bytes(8), changed.subarray(at)]);
          break;
        default:
          changed[at] = this.below(256);
      }
    }
    return changed;
  }
}
