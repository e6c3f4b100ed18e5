import assert from 'node:assert/strict';
import { overlayNameProblem, overlayNamesReserved } from '#address/overlay-name.js';

/** CNI: `libcni/validation.go` of containernetworking/cni. Docker and Podman: the same form, for names of networks. */
const engineForm = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

describe('The name of an overlay', () => {
  for (const name of ['dcos', 'a', '0', '42', 'a-b', 'a-', 'x'.repeat(13), 'nodes', 'hosts']) {
    it(`can be ${name}, which every engine takes`, () => {
      assert.equal(overlayNameProblem(name), undefined);
      assert.match(name, engineForm);
      assert.ok(`m-${name}`.length <= 15);
    });
  }

  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /the name is empty/],
    ['-', /begins with a hyphen/],
    ['-x', /begins with a hyphen/],
    ['--network', /begins with a hyphen/],
    ['x'.repeat(14), /has 14 characters/],
    ['Blue', /other characters/],
    ['a.b', /other characters/],
    ['a_b', /other characters/],
    ['a/b', /other characters/],
    ['a:b', /other characters/],
    ['a b', /other characters/],
    ['a\n', /other characters/],
    ['ä', /other characters/],
    ...overlayNamesReserved.map((name) => [name, /reserved by a container engine/] as const),
  ];
  for (const [name, problem] of bad) {
    it(`can’t be ${JSON.stringify(name)}`, () => assert.match(overlayNameProblem(name) ?? 'nothing', problem));
  }
});
