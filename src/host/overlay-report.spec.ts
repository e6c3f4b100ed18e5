import assert from 'node:assert/strict';
import { desired } from '#host/desired/desired.js';
import { hostStatusOf } from '#host/overlay-report.js';
import { hostScope, overlayScope, type Part, type Scope } from '#host/problem.js';
import { exampleInput, underlay } from '#host/testing/example.js';

describe('the status of the overlays', () => {
  const wish = desired(exampleInput(), { underlay });

  function failed(part: Part, scope: Scope = hostScope): { overlays: string[]; problems: readonly string[] } {
    const { overlays, problems } = hostStatusOf(wish, [], [{ scope, part, error: 'no' }], false);
    return { overlays: overlays.filter(({ kind }) => kind === 'failed').map(({ name }) => name), problems };
  }

  it('fails every overlay for what both families stand on', () => {
    for (const part of ['device', 'mtu', 'fdb', 'bridge'] as const) {
      assert.deepEqual(failed(part), { overlays: ['dcos', 'dcos6'], problems: ['no'] }, part);
    }
  });

  it('fails the overlays of one family for what this family alone stands on', () => {
    for (const part of ['sysctl6', 'device6', 'peers6', 'source-route6', 'masquerade6', 'forward6'] as const) {
      assert.deepEqual(failed(part), { overlays: ['dcos6'], problems: [] }, part);
    }
    for (const part of ['sysctl', 'loose-filter', 'peers', 'source-route', 'masquerade', 'forward'] as const) {
      assert.deepEqual(failed(part), { overlays: ['dcos'], problems: [] }, part);
    }
  });

  it('fails an overlay alone for its own part, and none for what is left of an overlay that is gone', () => {
    assert.deepEqual(failed('cni', overlayScope('dcos')), { overlays: ['dcos'], problems: [] });
    assert.deepEqual(failed('bridge', overlayScope('former')), { overlays: [], problems: ['no'] });
  });
});
