import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { deflateRawSync } from 'node:zlib';
import { parseCidr, parseIp } from '#address/ip.js';
import { cidrBytes, ipBytes } from '#address/ip-bytes.js';
import {
  inflateChanges,
  inflateChunk,
  peerOfAgent,
  peerOfShort,
  WatchProtocolError,
} from '#agent/peers/peer-message.js';
import { exampleAgent } from '#agent/testing/fake-masters.js';
import { sublet } from '#proto/sublet.js';

const oui = '70:b3:d5:00:00:00';
const short = {
  agentId: 'b',
  nodeIp: ipBytes(parseIp('10.0.0.2')),
  vtepIp: ipBytes(parseIp('44.128.0.2')),
  overlays: [{ name: 'dcos', subnet: cidrBytes(parseCidr('9.0.1.0/24')) }],
};

describe('a peer in its short form', () => {
  it('says what the agent itself says', () => {
    assert.deepEqual(peerOfShort(short, oui), peerOfAgent(exampleAgent('b', 2)));
  });

  it('may have IPv6, of the node, the VTEP and the subnets', () => {
    const both = {
      ...short,
      nodeIp: ipBytes(parseIp('fd00::2')),
      vtepIp6: ipBytes(parseIp('fd01::2')),
      overlays: [{ name: 'six', subnet6: cidrBytes(parseCidr('fd09:0:1::/48')) }],
    };
    assert.deepEqual(peerOfShort(both, oui), {
      agentId: 'b',
      nodeIp: 'fd00::2',
      vtepIp: '44.128.0.2',
      vtepIp6: 'fd01::2',
      vtepMac: '70:b3:d5:80:00:02',
      overlays: [{ name: 'six', subnet6: 'fd09:0:1::/48' }],
    });
  });

  it('is none while another agent has its node address', () => {
    assert.equal(peerOfShort({ ...short, unreachable: true }, oui), undefined);
  });

  it('is refused with what is wrong in it', () => {
    const cases: readonly (readonly [sublet.v1.Peer.$Properties, RegExp])[] = [
      [{ ...short, nodeIp: new Uint8Array(3) }, /peer "b": 000000: is not an IP address|peer "b": .*it has 3 bytes/],
      [{ ...short, vtepIp: ipBytes(parseIp('fd00::1')) }, /peer "b": .*fd00::1.* is not an IPv4 address/],
      [{ ...short, overlays: [{ name: 'dcos', subnet: Uint8Array.of(9, 0, 1, 7, 24) }] }, /peer "b": .*has host bits/],
    ];
    for (const [message, reason] of cases) {
      assert.throws(
        () => peerOfShort(message, oui),
        (error) => error instanceof WatchProtocolError && reason.test(error.message),
      );
    }
    assert.throws(() => peerOfShort(short, ''), WatchProtocolError);
  });
});

describe('a compressed chunk', () => {
  const chunk = sublet.v1.SnapshotChunk.encode({ peers: [short] }).finish();

  it('is the chunk that was compressed', () => {
    const { peers } = inflateChunk(deflateRawSync(chunk));
    assert.deepEqual(
      peers.map((peer) => peerOfShort(peer, oui)),
      [peerOfAgent(exampleAgent('b', 2))],
    );
  });

  it('is refused beyond 1 MiB, broken off, or where it is none', () => {
    const peers = Array.from({ length: 40_000 }, () => short);
    const whole = sublet.v1.SnapshotChunk.encode({ peers }).finish();
    assert.ok(whole.length > 1024 * 1024);
    const bomb = deflateRawSync(whole);
    assert.ok(bomb.length < 20_000);
    const refused = (bytes: Uint8Array): void => assert.throws(() => inflateChunk(bytes), WatchProtocolError);
    refused(bomb);
    refused(deflateRawSync(chunk).subarray(0, -2));
    refused(randomBytes(64).fill(0xff, 0, 1));
    refused(deflateRawSync(Buffer.from([0xff, 0xff])));
  });
});

describe('a compressed batch of changes', () => {
  const list = sublet.v1.Changes.encode({ changes: [{ revision: 7, peerChanged: short }] }).finish();

  it('is the batch that was compressed, at the position that stands beside it', () => {
    const { changes, revision, branch } = inflateChanges({ changes: deflateRawSync(list), revision: 9, branch: 'b' });
    assert.deepEqual([changes?.length, changes?.[0]?.revision, revision, branch], [1, 7, 9, 'b']);
  });

  it('is refused beyond 1 MiB, or where it is none', () => {
    const refused = (bytes: Uint8Array): void =>
      assert.throws(
        () => inflateChanges({ changes: bytes, revision: 9 }),
        /^WatchProtocolError: a compressed batch of/,
      );
    refused(deflateRawSync(Buffer.alloc(1024 * 1024 + 1)));
    refused(deflateRawSync(list).subarray(0, -2));
    refused(new Uint8Array());
  });
});
