import assert from 'node:assert/strict';
import { cellOf } from '#page/plan/hilbert.js';
import { type BlockMap, type CellState, cellStates, PlanModel } from '#page/plan/plan-model.js';
import { rasterOf } from '#page/plan/raster.js';
import { addressText, blockAt, blockSpace, blockText, parsedAddress, shownMax, subnetText } from '#page/plan/subnet.js';
import type { MapAgent, MapNetwork, MapOverlay } from '#page/plan/wire.js';

const overlay: MapOverlay = {
  name: 'dcos',
  subnet: '9.0.0.0/16',
  prefix: 24,
  subnet6: '',
  prefix6: 0,
  enabled: true,
  draining: false,
};
const network = (...overlays: readonly MapOverlay[]): MapNetwork => ({
  vtepSubnet: '44.128.0.0/20',
  quarantineMs: 0,
  reclaimMs: 0,
  overlays,
});
const peer = (agentId: string, block: number): MapAgent => ({
  agentId,
  nodeIp: Uint8Array.of(10, 0, 0, block),
  vtepIp: Uint8Array.of(44, 128, 0, block),
  overlays: [{ name: 'dcos', subnet: Uint8Array.of(9, 0, block, 0, 24), subnet6: new Uint8Array(0) }],
  unreachable: false,
});
const at = (revision: number) => ({ revision, branch: 'b' });
/** Colours that name the states: 1, 2, 3 … */
const palette = cellStates.map((_, index) => index + 1);
const opaque = 0xff000000;

describe('the plan as the page knows it', () => {
  let model: PlanModel;
  const map = (): BlockMap => model.map('dcos', 'v4') ?? assert.fail();
  beforeEach(() => {
    model = new PlanModel();
    model.take({ kind: 'begin', clusterId: 'c' });
    model.take({ kind: 'chunk', chunk: { network: network(overlay), peers: [peer('a', 1)] } });
    model.take({ kind: 'deflated', bytes: new Uint8Array(0) }, { network: undefined, peers: [peer('b', 2)] });
    assert.deepEqual(
      [model.agents.size, model.isLoaded, model.arriving],
      [0, false, 2],
      'nothing shows before the end',
    );
    model.take({ kind: 'end', ...at(7) });
  });

  it('is a snapshot at its end', () => {
    assert.deepEqual([...model.agents.keys()], ['a', 'b']);
    assert.deepEqual(
      [...map().holders],
      [
        [1, 'a'],
        [2, 'b'],
      ],
    );
    assert.deepEqual([model.clusterId, model.revision, model.branch, model.isLoaded], ['c', 7, 'b', true]);
  });

  it('follows changes', () => {
    const changes = [
      { kind: 'peer', peer: peer('a', 5) },
      { kind: 'removed', agentId: 'b' },
      { kind: 'peer', peer: peer('c', 2) },
    ] as const;
    assert.equal(model.take({ kind: 'changes', changes, ...at(9) }), true);
    assert.deepEqual([...map().holders].sort(), [
      [2, 'c'],
      [5, 'a'],
    ]);
    assert.equal(model.take({ kind: 'progress', ...at(12) }), false);
    assert.equal(model.revision, 12);
    // The order of two agents that swap a block does not matter.
    model.take({
      kind: 'changes',
      changes: [
        { kind: 'peer', peer: peer('d', 5) },
        { kind: 'removed', agentId: 'a' },
      ],
      ...at(13),
    });
    assert.equal(map().holders.get(5), 'd');
  });

  it('keeps a map whose space stays, and makes others anew from the agents that there are', () => {
    const kept = map();
    kept.setAside([[9, 1, 'r']]);
    const second = { ...overlay, name: 'second', subnet: '10.0.0.0/16' };
    model.take({ kind: 'changes', changes: [{ kind: 'network', network: network(overlay, second) }], ...at(8) });
    assert.equal(map(), kept);
    assert.equal(model.maps.length, 2);
    const grown = { ...overlay, subnet: '9.0.0.0/8' };
    model.take({ kind: 'changes', changes: [{ kind: 'network', network: network(grown) }], ...at(9) });
    assert.notEqual(map(), kept);
    assert.equal(map().holders.get(1), 'a');
    assert.equal(map().space.count, 65_536);
  });

  it('has each block in one of five states', () => {
    map().setAside([
      [100, 4, 'e'],
      [9, 1, 'r'],
      [2, 2, 'e'],
      [10, 2, 'q'],
    ]);
    const states = [0, 1, 2, 3, 4, 9, 10, 11, 12, 99, 100, 103, 104].map((block) => map().stateOf(block));
    const [f, h, r, e, q]: readonly CellState[] = cellStates;
    assert.deepEqual(states, [f, h, h, e, f, r, q, q, f, f, e, e, f]);
    const { side, perCell, pixels } = rasterOf(map(), palette);
    assert.deepEqual([side, perCell], [16, 1]);
    for (let block = 0; block < 256; block++) {
      const expected = (opaque | (cellStates.indexOf(map().stateOf(block)) + 1)) >>> 0;
      assert.equal(pixels[cellOf(block, side)], expected, `block ${block}`);
    }
  });

  it('mixes the colours where a cell is many blocks, so that one of many is still seen', () => {
    const large = { ...overlay, subnet: '9.0.0.0/8', prefix: 32 };
    model.take({ kind: 'changes', changes: [{ kind: 'network', network: network(large) }], ...at(8) });
    map().setAside([
      [16, 16, 'e'],
      [32, 1, 'r'],
    ]);
    const grey = [0, 0, 0, 200, 0];
    const { side, perCell, pixels } = rasterOf(map(), [0, 0, 100, 200, 0]);
    assert.deepEqual([side, perCell, grey.length], [1_024, 16, 5]);
    assert.equal((pixels[cellOf(1, side)] ?? 0) & 255, 200);
    assert.equal((pixels[cellOf(2, side)] ?? 0) & 255, 35);
    assert.equal((pixels[cellOf(3, side)] ?? 0) & 255, 0);
  });
});

describe('the addresses of the map', () => {
  it('are numbers of blocks and back, in both families', () => {
    const v4 = blockSpace('9.0.0.0/8', 24);
    assert.deepEqual([v4.count, v4.isWhole, blockText(v4, 65_535)], [65_536, true, '9.255.255.0/24']);
    assert.equal(blockAt(v4, parsedAddress('9.1.2.3') ?? 0n), 258);
    assert.equal(blockAt(v4, parsedAddress('10.0.0.0/24') ?? 0n), undefined);
    const v6 = blockSpace('fd00::/16', 64);
    assert.deepEqual([v6.count, v6.isWhole, blockText(v6, 258)], [shownMax, false, 'fd00:0:0:102::/64']);
    assert.equal(blockAt(v6, parsedAddress('fd00:0:0:102::7') ?? 0n), 258);
    assert.equal(parsedAddress('host-7'), undefined);
  });

  it('are written of bytes', () => {
    assert.equal(addressText(Uint8Array.of(9, 0, 7, 1)), '9.0.7.1');
    assert.equal(addressText(Uint8Array.of(0xfd, ...new Uint8Array(14), 7)), 'fd00::7');
    assert.equal(subnetText(Uint8Array.of(9, 0, 7, 0, 24)), '9.0.7.0/24');
    assert.deepEqual([addressText(new Uint8Array(3)), subnetText(new Uint8Array(0))], ['', '']);
  });
});
