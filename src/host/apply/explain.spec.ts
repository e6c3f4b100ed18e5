import assert from 'node:assert/strict';
import { explain } from '#host/apply/explain.js';
import { hostScope } from '#host/problem.js';

describe('what a failed step means', () => {
  it('names the drop-in of the unit for a folder that a service may not write', () => {
    const file = { kind: 'cni-write', dir: '/srv/cni/net.d', name: 'dcos.conflist', content: '' } as const;
    assert.match(
      explain({ ...file, scope: hostScope, part: 'cni' }, 'EROFS'),
      /^"write \/srv\/cni\/net\.d\/dcos\.conflist" failed: EROFS — .*"ReadWritePaths=-\/srv\/cni"/,
    );
  });
});
