import assert from 'node:assert/strict';
import { deflateRawSync } from 'node:zlib';
import { parseCidr, parseIp } from '#address/ip.js';
import { cidrBytes, ipBytes } from '#address/ip-bytes.js';
import { WatchProtocolError } from '#agent/peers/peer-message.js';
import { PeerTable } from '#agent/peers/peer-table.js';
import { changes, exampleAgent, exampleNetwork, snapshot } from '#agent/testing/fake-masters.js';
import { sublet } from '#proto/sublet.js';

const { Changes, SnapshotChunk, WatchResponse } = sublet.v1;

/** Agent `number` of the worked example in its short form. */
function shortMessage(agentId: string, number: number): sublet.v1.Peer.$Properties {
  const nodeIp = ipBytes(parseIp(`10.0.0.${number}`));
  const vtepIp = ipBytes(parseIp(`44.128.0.${number}`));
  const subnet = cidrBytes(parseCidr(`9.0.${number - 1}.0/24`));
  return { agentId, nodeIp, vtepIp, overlays: [{ name: 'dcos', subnet }] };
}

function take(table: PeerTable, ...messages: readonly sublet.v1.WatchResponse.$Properties[]): string[] {
  return messages.map((message) => table.take(WatchResponse.decode(WatchResponse.encode(message).finish())));
}

const ids = (table: PeerTable): string[] => (table.picture?.peers ?? []).map(({ agentId }) => agentId);

describe('peer table', () => {
  let table: PeerTable;
  beforeEach(() => {
    table = new PeerTable('a');
  });

  it('is replaced when the end of a snapshot has arrived, not before', () => {
    take(table, ...snapshot(100, [exampleAgent('b', 2), exampleAgent('c', 3)]));
    assert.deepEqual(ids(table), ['b', 'c']);
    const [begin = {}, first = {}, second = {}, end = {}] = snapshot(200, [exampleAgent('d', 4)]);
    assert.deepEqual(take(table, begin, first, second), ['nothing', 'nothing', 'nothing']);
    assert.deepEqual(ids(table), ['b', 'c']);
    assert.equal(table.revision, 100);
    assert.deepEqual(take(table, end), ['network']);
    assert.deepEqual(ids(table), ['d']);
    const going = { clusterId: 'cluster-1', incarnation: 'f1', fromRevision: 200, peersOnly: true, peerForm: 1 };
    assert.deepEqual(table.request({ clusterId: 'cluster-2', incarnation: 'f2' }), going);
  });

  it('forgets a snapshot that broke off with its stream', () => {
    const [begin = {}, first = {}, second = {}, end = {}] = snapshot(100);
    take(table, begin, first);
    table.streamBegins();
    assert.throws(() => take(table, second), WatchProtocolError);
    assert.throws(() => take(table, end), WatchProtocolError);
    assert.equal(table.picture, undefined);
  });

  it('keeps of a peer what a host needs, and leaves itself out', () => {
    take(table, ...snapshot(100));
    assert.deepEqual(table.picture?.peers, [
      {
        agentId: 'b',
        nodeIp: '10.0.0.2',
        vtepIp: '44.128.0.2',
        vtepMac: '70:b3:d5:80:00:02',
        overlays: [{ name: 'dcos', subnet: '9.0.1.0/24' }],
      },
    ]);
  });

  it('is the same from peers in their short form, in compressed chunks and in changes', () => {
    const whole = new PeerTable('a');
    take(whole, ...snapshot(100, [exampleAgent('b', 2), exampleAgent('c', 3)]), changes(101, { agentRemoved: 'c' }));
    take(whole, changes(102, { agentChanged: exampleAgent('d', 4) }));

    const chunk = {
      network: exampleNetwork,
      peers: [shortMessage('a', 1), shortMessage('b', 2), shortMessage('c', 3)],
    };
    const deflatedChunk = deflateRawSync(SnapshotChunk.encode(chunk).finish());
    const [begin = {}, , , end = {}] = snapshot(100);
    assert.deepEqual(take(table, begin, { deflatedChunk }, end), ['nothing', 'nothing', 'network']);
    assert.deepEqual(take(table, changes(101, { agentRemoved: 'c' })), ['peers']);
    const list = { changes: [{ revision: 102, peerChanged: shortMessage('d', 4) }] };
    const deflatedChanges = { changes: deflateRawSync(Changes.encode(list).finish()), revision: 102 };
    assert.deepEqual(take(table, { deflatedChanges }), ['peers']);
    assert.deepEqual(table.picture, whole.picture);
    assert.deepEqual(take(table, { deflatedChanges }), ['nothing']);
  });

  it('learns from the short form that another agent has its node address, or a peer', () => {
    take(table, ...snapshot(100));
    assert.deepEqual(take(table, changes(101, { peerChanged: { ...shortMessage('a', 1), unreachable: true } })), [
      'position',
    ]);
    assert.equal(table.selfReachable, false);
    assert.deepEqual(take(table, changes(102, { peerChanged: { ...shortMessage('b', 2), unreachable: true } })), [
      'peers',
    ]);
    assert.deepEqual(ids(table), []);
    take(table, changes(103, { peerChanged: shortMessage('a', 1) }));
    assert.equal(table.selfReachable, true);
    const chunk = { network: exampleNetwork, peers: [{ ...shortMessage('a', 1), unreachable: true }] };
    const [begin = {}, , , end = {}] = snapshot(104);
    take(table, begin, { deflatedChunk: deflateRawSync(SnapshotChunk.encode(chunk).finish()) }, end);
    assert.equal(table.selfReachable, false);
  });

  it('takes in changes, and returns those that a host would see', () => {
    take(table, ...snapshot(100));
    assert.deepEqual(take(table, changes(101, { agentChanged: exampleAgent('c', 3) })), ['peers']);
    assert.deepEqual(take(table, changes(102, { agentChanged: { ...exampleAgent('c', 3), hostname: 'other' } })), [
      'position',
    ]);
    assert.deepEqual(take(table, changes(103, { agentChanged: exampleAgent('a', 9) })), ['position']);
    assert.deepEqual(take(table, changes(104, { agentRemoved: 'b' })), ['peers']);
    assert.deepEqual(take(table, changes(105, { agentRemoved: 'nobody' })), ['position']);
    assert.deepEqual(take(table, changes(106, { networkChanged: { ...exampleNetwork, overlays: [] } })), ['network']);
    assert.deepEqual(take(table, { progress: { revision: 110 } }), ['position']);
    assert.deepEqual(take(table, { progress: { revision: 110 } }), ['nothing']);
    assert.deepEqual(ids(table), ['c']);
    assert.equal(table.revision, 110);
    assert.deepEqual(table.network?.overlays, []);
  });

  it('keeps the very object of a peer that did not change', () => {
    take(table, ...snapshot(100));
    const before = table.picture?.peers[0];
    take(table, changes(101, { agentChanged: { ...exampleAgent('b', 2), hostname: 'other' } }));
    assert.equal(table.picture?.peers[0], before);
  });

  it('never goes back, and takes nothing in twice', () => {
    take(table, ...snapshot(100));
    take(table, changes(105, { agentRemoved: 'b' }));
    assert.deepEqual(take(table, changes(104, { agentChanged: exampleAgent('b', 2) })), ['nothing']);
    assert.deepEqual(take(table, { progress: { revision: 90 } }), ['nothing']);
    assert.deepEqual(ids(table), []);
    assert.equal(table.revision, 105);
  });

  it('leaves out unreachable agents', () => {
    take(table, ...snapshot(100));
    assert.deepEqual(take(table, changes(101, { agentChanged: { ...exampleAgent('b', 2), reachable: false } })), [
      'peers',
    ]);
    assert.deepEqual(ids(table), []);
  });

  it('refuses what makes no sense', () => {
    assert.throws(() => take(table, changes(101, { agentRemoved: 'b' })), /before any snapshot/);
    take(table, ...snapshot(100));
    const [begin = {}] = snapshot(200);
    take(table, begin);
    assert.throws(() => take(table, changes(101, { agentRemoved: 'b' })), /in the middle of a snapshot/);
  });

  it('row 58: keeps so many peers and no larger ones, however long a snapshot goes on', () => {
    const [begin = {}, first = {}] = snapshot(100, []);
    take(table, begin, first);
    const chunk = (from: number, count: number, agentId = 'p') => ({
      snapshotChunk: {
        agents: Array.from({ length: count }, (_, n) => ({
          ...exampleAgent('b', 2),
          agentId: `${agentId}${from + n}`,
        })),
      },
    });
    for (let from = 0; from < 65_536; from += 8_192) take(table, chunk(from, 8_192));
    assert.throws(() => take(table, chunk(65_536, 1)), /^WatchProtocolError: more than 65536 agents came$/);
    // One that is known may change.
    assert.deepEqual(take(table, chunk(0, 1)), ['nothing']);
    table.streamBegins();
    take(table, begin, first);
    assert.throws(
      () => take(table, chunk(0, 1, 'p'.repeat(16_384))),
      /^WatchProtocolError: an agent takes \d+ characters: at most 16384 are allowed$/,
    );
  });

  it('goes on from a picture', () => {
    take(table, ...snapshot(100));
    const copy = new PeerTable('a', table.picture);
    assert.deepEqual(copy.picture, table.picture);
    assert.deepEqual(copy.request(undefined), table.request(undefined));
    assert.ok(copy.isOf({ clusterId: 'cluster-1', incarnation: 'f1' }));
    assert.ok(!copy.isOf({ clusterId: 'cluster-1', incarnation: 'f2' }));
    // A lease from before there were any: it may be of any incarnation.
    assert.ok(copy.isOf({ clusterId: 'cluster-1', incarnation: '' }));
  });
});

describe('the branch of a peer table', () => {
  it('goes with its revision, is kept in its picture, and is sent back', () => {
    const table = new PeerTable('a');
    take(table, ...snapshot(200).slice(0, -1), { snapshotEnd: { revision: 200, branch: '0.7.0123456789ab' } });
    assert.deepEqual([table.picture?.revision, table.picture?.branch], [200, '0.7.0123456789ab']);
    // A master that is behind tells a revision that is known already, and its branch says nothing of the table's.
    take(table, { progress: { revision: 210, branch: '0.205.0123456789ab' } });
    take(table, { progress: { revision: 190, branch: '0.7.0123456789ab' } });
    const { fromRevision, branch } = table.request(undefined);
    assert.deepEqual([fromRevision, branch], [210, '0.205.0123456789ab']);
    assert.equal(new PeerTable('a', table.picture).request(undefined).branch, '0.205.0123456789ab');
  });
});
