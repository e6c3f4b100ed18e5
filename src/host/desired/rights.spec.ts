import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { hasNetAdmin, mayChangeNetwork } from '#host/desired/rights.js';

describe('The right to change the network', () => {
  const status = (mask: string): string =>
    `Name:\tnode\nCapPrm:\t0000000000000000\nCapEff:\t${mask}\nCapBnd:\t000001ffffffffff\n`;

  for (const [who, mask, may] of [
    ['root', '000001ffffffffff', true],
    ['a user', '0000000000000000', false],
    ['a user with CAP_NET_ADMIN', '0000000000001000', true],
    ['root in a container without it', '00000000a80425fb', false],
  ] as const) {
    it(`${may ? 'is' : 'is not'} that of ${who}`, () => assert.equal(hasNetAdmin(status(mask)), may));
  }

  it('is read of this process', () => {
    assert.equal(mayChangeNetwork(), hasNetAdmin(readFileSync('/proc/self/status', 'utf8')));
  });
});
