import assert from 'node:assert/strict';
import { formatHash } from '#ipam/codec/record-hash.js';
import { Ipam } from '#ipam/ipam.js';
import { StateDigests } from '#master/integrity/state-digests.js';

function hashAt(revision: number): string {
  return formatHash([revision, 0, 0, 0]);
}

/** A machine whose plan is at a revision, with a hash that tells which. */
class CountingMachine {
  revision = 0;

  get ipam(): Ipam {
    const { revision } = this;
    return Object.defineProperties(new Ipam(), {
      revision: { value: revision },
      hash: { value: () => hashAt(revision) },
      hashWords: { value: [revision, 0, 0, 0] },
    });
  }
}

describe('state digests', () => {
  it('know the hash at each of the last 4,096 revisions, and of none before', () => {
    const machine = new CountingMachine();
    const digests = new StateDigests(machine);
    assert.equal(digests.at(3), undefined);
    for (let revision = 3; revision < 3 * 5_000; revision += 3) {
      machine.revision = revision;
      digests.applied();
      // A command that changes nothing is applied at the same revision.
      digests.applied();
    }
    const newest = machine.revision;
    assert.equal(digests.at(newest), hashAt(newest));
    assert.equal(digests.at(newest - 3), hashAt(newest - 3));
    assert.equal(digests.at(newest - 3 * 4_095), hashAt(newest - 3 * 4_095));
    assert.equal(digests.at(newest - 3 * 4_096), undefined);
    assert.equal(digests.at(newest - 1), undefined);
    digests.restored();
    assert.equal(digests.at(newest - 3), undefined);
    assert.deepEqual(digests.latest, { revision: newest, hash: hashAt(newest) });
  });
});
