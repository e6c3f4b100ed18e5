/** The row in the title is that of docs/intrusions.md. */
import assert from 'node:assert/strict';
import { RefusedError } from '#api/refusal.js';
import { GuessLimit } from '#master/access/guess-limit.js';
import { VirtualTime } from '#replica/testing/virtual-time.js';

describe('row 32: guesses of secrets', () => {
  let time: VirtualTime;
  let limit: GuessLimit;
  beforeEach(() => {
    time = new VirtualTime();
    limit = new GuessLimit(time);
  });

  /** How many of so many wrong guesses are looked at. */
  function looked(count: number, address: (at: number) => string): number {
    let number = 0;
    for (let at = 0; at < count; at++) {
      try {
        limit.enter(address(at));
        number += 1;
      } catch (error) {
        assert.ok(error instanceof RefusedError && error.reason === 'overloaded', String(error));
      }
    }
    return number;
  }

  it('are 5 a second of one address, after 10 at once', async () => {
    assert.equal(
      looked(1_000, () => '10.0.0.7'),
      10,
    );
    let number = 0;
    for (let second = 0; second < 10; second++) {
      await time.runFor(1_000);
      number += looked(1_000, () => '10.0.0.7');
    }
    assert.equal(number, 50);
    assert.equal(limit.refused, 1_000 - 10 + 10_000 - 50);
    assert.doesNotThrow(() => limit.enter('10.0.0.8'));
  });

  it('are 5 a second of a /64 of IPv6, however it is written', () => {
    const addresses = ['2001:db8::1', '2001:db8:0:0:ffff::9', '2001:db8:0:0:1:2:3:4'];
    assert.equal(
      looked(300, (at) => addresses[at % addresses.length] ?? ''),
      10,
    );
    assert.doesNotThrow(() => limit.enter('2001:db8:0:1::1'));
  });

  it('are 50 a second of all addresses together, after 200 at once', async () => {
    const distinct = (at: number): string => `10.${at >> 16}.${(at >> 8) & 255}.${at & 255}`;
    assert.equal(looked(20_000, distinct), 200);
    await time.runFor(1_000);
    assert.equal(looked(20_000, distinct), 50);
  });

  it('do not count when the token was of use', () => {
    for (let at = 0; at < 1_000; at++) limit.enter('10.0.0.7').right();
    assert.equal(limit.refused, 0);
  });

  it('count all the same when something else was wrong', () => {
    for (let at = 0; at < 10; at++) {
      limit.enter('10.0.0.7').right();
      limit.wrong('10.0.0.7');
    }
    assert.throws(() => limit.enter('10.0.0.7'), RefusedError);
  });
});
