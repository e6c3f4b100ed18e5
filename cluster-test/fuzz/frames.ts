/** Frames of HTTP/2 (RFC 9113), right and wrong ones, as bytes of a connection. */
import type { Chance } from '#cluster-test/fuzz/chance.js';

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const types = {
  data: 0,
  headers: 1,
  priority: 2,
  resetStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;
export const flags = { endStream: 1, endHeaders: 4 } as const;

/** One frame; `length` is what its head says, whatever the payload has. */
export function frame(
  type: number,
  flag: number,
  stream: number,
  payload: Uint8Array = new Uint8Array(),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flag;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field without indexing (RFC 7541, 6.2.2), of less than 127 bytes each. */
export function field(name: string, value: string): Buffer {
  const part = (text: string): Buffer => {
    const bytes = Buffer.from(text, 'latin1');
    return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  };
  return Buffer.concat([Buffer.from([0]), part(name), part(value)]);
}

const post = Buffer.from([0x83]);
const http = Buffer.from([0x86]);

/** The head of a call of gRPC. */
export function callHead(path: string): Buffer {
  const fields = [field(':path', path), field(':authority', 'x'), field('content-type', 'application/grpc')];
  return Buffer.concat([post, http, ...fields, field('te', 'trailers')]);
}

/** SETTINGS on a stream after GOAWAY: nghttp2 before 1.68.1 ends the process (CVE-2026-27135). */
export const settingsAfterGoAway = Buffer.concat([
  preface,
  frame(types.settings, 0, 0),
  frame(types.goAway, 0, 0, Buffer.alloc(19)),
  frame(types.headers, flags.endStream | flags.endHeaders, 1, callHead('/a').subarray(0, 30)),
  frame(types.settings, 75, 4, Buffer.alloc(35, 0xd7)),
]);

const paths = [
  ...['/sublet.v1.ClusterService/GetStatus', '/sublet.v1.AgentService/KeepAlive', '/sublet.v1.AgentService/Watch'],
  ...['/sublet.raft.v1.PeerService/Deliver', '/sublet.peer.v1.ForwardService/Forward', '/', '', '/a b', '\u00ff', '*'],
];
const names = [
  ...['grpc-timeout', 'grpc-encoding', 'content-length', 'connection', 'cookie', 'x-bin', ':method', 'Upper', 'te'],
  ...['transfer-encoding', 'host', 'grpc-status', ':status', ':protocol', '', 'user-agent'],
];
const values = ['1S', 'gzip', '-1', '5', '99999999999999999999', '\u0080\u00ff', 'PUT', 'chunked', '', 'trailers'];

function head(chance: Chance): Buffer {
  const parts = [Buffer.from([chance.pick([0x83, 0x83, 0x83, 0x82, 0x86])]), http, field(':path', chance.pick(paths))];
  for (let more = chance.below(4); more > 0; more--) parts.push(field(chance.pick(names), chance.pick(values)));
  // An index beyond the table, a size of the table beyond all limits, an integer without an end.
  if (chance.below(12) === 0) {
    parts.push(
      chance.pick(
        [
          [0xff, 0x80, 0x80],
          [0x3f, 0xff, 0xff, 0xff, 0x0f],
          [0xff, 0xff],
        ].map((bytes) => Buffer.from(bytes)),
      ),
    );
  }
  if (chance.below(3) !== 0) parts.push(field('content-type', 'application/grpc'));
  return Buffer.concat(parts);
}

/** The bytes of a connection that begins well and goes wrong. */
export function brokenConnection(chance: Chance): Buffer {
  const parts = [chance.below(20) === 0 ? chance.bytes(60) : preface];
  const settings = Buffer.from([0, chance.below(10), ...chance.bytes(4), 0, 0, 0, 0]).subarray(0, 6);
  parts.push(frame(types.settings, 0, 0, chance.below(2) === 0 ? Buffer.alloc(0) : settings));
  let stream = 1;
  for (let more = 1 + chance.below(8); more > 0; more--) {
    const at = chance.below(8) === 0 ? chance.below(9) : stream;
    switch (chance.below(9)) {
      case 0:
      case 1:
      case 2:
        parts.push(
          frame(types.headers, chance.below(6) === 0 ? chance.below(256) : flags.endHeaders, at, head(chance)),
        );
        parts.push(
          frame(
            types.data,
            chance.below(2),
            at,
            Buffer.concat([Buffer.from([0, 0, 0, 0, chance.below(64)]), chance.bytes(64)]),
          ),
        );
        stream += 2;
        break;
      case 3:
        parts.push(frame(types.resetStream, 0, at, Buffer.from([0, 0, 0, chance.below(14)])));
        break;
      case 4:
        parts.push(frame(types.windowUpdate, 0, chance.below(3), chance.bytes(4)));
        break;
      case 5:
        parts.push(frame(types.goAway, 0, 0, chance.bytes(24)));
        break;
      case 6:
        parts.push(frame(types.continuation, chance.below(256), at, chance.bytes(20)));
        break;
      case 7:
        parts.push(frame(types.data, 0, at, chance.bytes(3), 16_000));
        break;
      default:
        parts.push(frame(chance.below(14), chance.below(256), chance.below(6), chance.bytes(40)));
    }
  }
  const whole = Buffer.concat(parts);
  return chance.below(4) === 0 ? chance.mutated(whole) : whole;
}
