import assert from 'node:assert/strict';
import { desired } from '#host/desired/desired.js';
import { hostStatusOf } from '#host/overlay-report.js';
import { hostScope, overlayScope, type Part, type Scope } from '#host/problem.js';
import { exampleInput, underlay } from '#host/testing/example.js';

/** Which families stand on a part of the host. */
type Families = 'both' | 'v4' | 'v6';

/** A new part does not compile until it stands here. */
const families: Readonly<Record<Part, Families>> = {
  device: 'both',
  mtu: 'both',
  'stale-device': 'both',
  fdb: 'both',
  bridge: 'both',
  cni: 'both',
  docker: 'both',
  files: 'both',
  sysctl: 'v4',
  'loose-filter': 'v4',
  peers: 'v4',
  'source-route': 'v4',
  masquerade: 'v4',
  forward: 'v4',
  guard: 'v4',
  sysctl6: 'v6',
  device6: 'v6',
  bridge6: 'v6',
  peers6: 'v6',
  'source-route6': 'v6',
  masquerade6: 'v6',
  forward6: 'v6',
  guard6: 'v6',
};

/** Of the overlays dcos (IPv4) and dcos6 (IPv6). A problem of the whole host is named beside the overlays, too. */
const expected: Readonly<Record<Families, { readonly overlays: string[]; readonly problems: readonly string[] }>> = {
  both: { overlays: ['dcos', 'dcos6'], problems: ['no'] },
  v4: { overlays: ['dcos'], problems: [] },
  v6: { overlays: ['dcos6'], problems: [] },
};

describe('the status of the overlays', () => {
  const wish = desired(exampleInput(), { underlay });

  function failed(part: Part, scope: Scope = hostScope): { overlays: string[]; problems: readonly string[] } {
    const { overlays, problems } = hostStatusOf(wish, [], [{ scope, part, error: 'no' }], false);
    return { overlays: overlays.filter(({ kind }) => kind === 'failed').map(({ name }) => name), problems };
  }

  it('fails, for each part, the overlays of the families that stand on it', () => {
    for (const [part, served] of Object.entries(families) as [Part, Families][]) {
      assert.deepEqual(failed(part), expected[served], part);
    }
  });

  it('fails an overlay alone for its own part, and none for what is left of an overlay that is gone', () => {
    assert.deepEqual(failed('cni', overlayScope('dcos')), { overlays: ['dcos'], problems: [] });
    assert.deepEqual(failed('bridge', overlayScope('former')), { overlays: [], problems: ['no'] });
  });
});
