/** Compares the page's reader with the code that the master writes with. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { readChunk, readWatch } from '#page/plan/wire.js';
import { sublet } from '#proto/sublet.js';

const { WatchResponse, SnapshotChunk } = sublet.v1;
const encoded = (message: sublet.v1.WatchResponse.$Properties): Uint8Array => WatchResponse.encode(message).finish();

const peer = {
  agentId: 'host-7',
  nodeIp: Uint8Array.of(10, 0, 0, 7),
  vtepIp: Uint8Array.of(44, 128, 0, 8),
  vtepIp6: new Uint8Array(16),
  overlays: [{ name: 'dcos', subnet: Uint8Array.of(9, 0, 7, 0, 24), subnet6: new Uint8Array(0) }],
  unreachable: true,
};
const readPeer = {
  agentId: 'host-7',
  nodeIp: [10, 0, 0, 7],
  vtepIp: [44, 128, 0, 8],
  overlays: [{ name: 'dcos', subnet: [9, 0, 7, 0, 24], subnet6: [] }],
  unreachable: true,
};
const overlay = { name: 'dcos', subnet: '9.0.0.0/8', prefix: 24, subnet6: 'fd00::/48', prefix6: 64, enabled: true };
const network = {
  vtepSubnet: '44.128.0.0/20',
  vtepMacOui: '70:b3:d5:00:00:00',
  vni: 1024,
  overlays: [overlay],
  quarantineMs: 900_000,
  reclaimMs: 2 ** 40,
};
const readNetwork = {
  vtepSubnet: '44.128.0.0/20',
  quarantineMs: 900_000,
  reclaimMs: 2 ** 40,
  overlays: [{ ...overlay, draining: false }],
};
/** Bytes as plain lists. */
const plain = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value), (_, each) => {
    if (each?.type === 'Buffer') return each.data;
    // A typed array is an object of numbers in JSON.
    const keys = typeof each === 'object' && each !== null ? Object.keys(each) : ['none'];
    return keys.every((key, at) => key === String(at)) ? Object.values(each) : each;
  });

describe('the messages of the watch, as the page reads them', () => {
  it('are those that the master writes', () => {
    const branch = 'f1.7';
    assert.deepEqual(readWatch(encoded({ snapshotBegin: { clusterId: 'c', revision: 3 } })), {
      kind: 'begin',
      clusterId: 'c',
    });
    assert.deepEqual(readWatch(encoded({ snapshotEnd: { revision: 2 ** 40, branch } })), {
      kind: 'end',
      revision: 2 ** 40,
      branch,
    });
    assert.deepEqual(readWatch(encoded({ progress: { revision: 300, branch } })), {
      kind: 'progress',
      revision: 300,
      branch,
    });
    assert.deepEqual(plain(readWatch(encoded({ deflatedChunk: Uint8Array.of(1, 2) }))), {
      kind: 'deflated',
      bytes: [1, 2],
    });
    const chunk = { network, peers: [peer, { agentId: 'bare' }] };
    const bare = { agentId: 'bare', nodeIp: [], vtepIp: [], overlays: [], unreachable: false };
    const read = { network: readNetwork, peers: [readPeer, bare] };
    assert.deepEqual(plain(readChunk(SnapshotChunk.encode(chunk).finish())), read);
    assert.deepEqual(plain(readWatch(encoded({ snapshotChunk: chunk }))), { kind: 'chunk', chunk: read });
    const changes = [
      { revision: 8, peerChanged: peer },
      { revision: 9, agentRemoved: 'host-8' },
      { revision: 9, networkChanged: network },
    ];
    assert.deepEqual(plain(readWatch(encoded({ changes: { changes, revision: 9, branch } }))), {
      kind: 'changes',
      changes: [
        { kind: 'peer', peer: readPeer },
        { kind: 'removed', agentId: 'host-8' },
        { kind: 'network', network: readNetwork },
      ],
      revision: 9,
      branch,
    });
  });

  it('may be of a later release', () => {
    // Field 90 as a number, field 91 as bytes, field 92 and 93 as fixed numbers, and then one that is known.
    const later = [0xd0, 5, 1, 0xda, 5, 2, 7, 7, 0xe1, 5, 1, 2, 3, 4, 5, 6, 7, 8, 0xed, 5, 1, 2, 3, 4];
    const known = [...encoded({ progress: { revision: 5 } })];
    assert.deepEqual(readWatch(Uint8Array.from([...later, ...known])), { kind: 'progress', revision: 5, branch: '' });
    assert.deepEqual(readWatch(Uint8Array.from(later)), { kind: 'unknown' });
  });

  it('end in an error or are read, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          assert.ok(readWatch(bytes).kind.length > 0);
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
        }
      }),
    );
  });
});
